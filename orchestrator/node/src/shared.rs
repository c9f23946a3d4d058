//! What a node shows of itself at this moment. Looking costs nothing and waits for nobody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::AgentView;
use model::{Role, SwarmError};
use tokio::sync::watch;

use crate::access::NodeManager;
use crate::disk::NodeFile;
use crate::managing::Standing;
use crate::phase::{Happening, Phase, next_phase};
use crate::{ManagerAccess, NodeView, SwarmCondition, words};

/// How long a manager that was one before may take to stand again before it is shown as one that is being prepared. Docker
/// waits for 20 s; here all that needs no other manager is done in a fraction of one.
const PREPARATION: Duration = Duration::from_secs(5);

/// What is shown.
#[derive(Debug)]
pub(crate) struct Shared {
    shown: Mutex<Shown>,
    known: watch::Sender<Known>,
}

/// What the node knows of itself, from less to more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Nothing,
    /// What is on disk.
    OnDisk,
    /// As what it stands, or why it cannot.
    Standing,
}

#[derive(Debug)]
struct Shown {
    phase: Phase,
    view: NodeView,
    manager: Option<Arc<dyn ManagerAccess>>,
}

impl Shared {
    /// A node in no swarm.
    pub(crate) fn new() -> Self {
        let shown = Shown { phase: Phase::Inactive, view: outside(), manager: None };
        Self { shown: Mutex::new(shown), known: watch::Sender::new(Known::Nothing) }
    }

    /// Says that the node is in no swarm.
    pub(crate) fn show_outside(&self) {
        self.know(Known::Standing);
    }

    /// Waits until what is shown is what is on disk (before that a member looks like a node in no swarm), and for a
    /// manager a while longer, until it takes calls or says why it cannot.
    pub(crate) fn known(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut known = self.known.subscribe();
        async move {
            if known.wait_for(|known| *known >= Known::OnDisk).await.is_err() {
                std::future::pending::<()>().await;
            }
            let stands = known.wait_for(|known| *known == Known::Standing);
            if tokio::time::timeout(PREPARATION, stands).await.is_err() {
                tracing::warn!("this manager takes longer to stand again; the Engine API is served without it");
            }
        }
    }

    fn know(&self, more: Known) {
        self.known.send_if_modified(|known| {
            let is_more = *known < more;
            *known = more.max(*known);
            is_more
        });
    }

    /// The node's own view.
    pub(crate) fn view(&self) -> NodeView {
        self.lock().view.clone()
    }

    /// The manager on this node, or why there is none.
    pub(crate) fn manager(&self) -> Result<Arc<dyn ManagerAccess>, SwarmError> {
        let shown = self.lock();
        match (&shown.manager, shown.phase) {
            (Some(manager), _) => Ok(Arc::clone(manager)),
            (None, Phase::Inactive) => Err(words::not_in_swarm()),
            (None, Phase::Locked) => Err(words::locked()),
            (None, Phase::Worker) => Err(words::worker()),
            (None, Phase::Joining | Phase::Manager | Phase::Leaving) => Err(words::being_prepared()),
        }
    }

    /// Walks the machine of [`phase`](crate::phase); an impossible step is a bug and changes nothing.
    pub(crate) fn happened(&self, happening: Happening) {
        let mut shown = self.lock();
        let Some(next) = next_phase(shown.phase, happening) else {
            tracing::error!(phase = ?shown.phase, ?happening, "a step that the node's life does not know");
            return;
        };
        if next == shown.phase {
            return;
        }
        tracing::info!(from = ?shown.phase, to = ?next, "phase of the node");
        let was_locked = std::mem::replace(&mut shown.phase, next) == Phase::Locked;
        if was_locked {
            shown.view.error = String::new();
        }
        match next {
            Phase::Inactive => {
                shown.view = outside();
                shown.manager = None;
            }
            Phase::Joining => shown.view = NodeView { condition: SwarmCondition::Pending, ..outside() },
            Phase::Locked => {
                let error = words::locked().message;
                shown.view = NodeView { condition: SwarmCondition::Locked, error, ..outside() };
            }
            Phase::Leaving => shown.manager = None,
            Phase::Worker | Phase::Manager => shown.view.condition = SwarmCondition::Pending,
        }
    }

    /// Shows why the member that is on disk, or its manager, cannot be started.
    pub(crate) fn show_stuck(&self, error: String) {
        self.set_error(error);
        self.know(Known::Standing);
    }

    /// Shows why the node is not well.
    pub(crate) fn set_error(&self, error: String) {
        self.lock().view.error = error;
    }

    /// Shows that the node waits for the unlock key. As in Docker, it does not say who it is before it is unlocked.
    pub(crate) fn show_locked(&self, node: &NodeFile) {
        self.happened(Happening::Locked);
        self.lock().view.addr = node.advertise.ip().to_string();
        self.know(Known::Standing);
    }

    /// Shows the member that is on disk, before any part of it runs.
    pub(crate) fn show_taken_up(&self, node: &NodeFile, role: Role) {
        self.happened(Happening::Certified(role));
        let mut shown = self.lock();
        shown.view.node_id = Some(node.node_id.clone());
        shown.view.cluster_id = Some(node.cluster_id.clone());
        shown.view.addr = node.advertise.ip().to_string();
        shown.view.managers.clone_from(&node.managers);
        drop(shown);
        self.know(if role == Role::Manager { Known::OnDisk } else { Known::Standing });
    }

    /// Shows that the node has failed for good, or that joining has.
    pub(crate) fn show_failed(&self, error: String) {
        let mut shown = self.lock();
        shown.view.condition = SwarmCondition::Failed;
        shown.view.error = error;
        shown.view.is_manager = false;
        shown.manager = None;
    }

    /// Shows how a member stands, and why it is not well.
    pub(crate) fn show_member(&self, node: &NodeFile, agent: &AgentView, standing: Option<&Standing>, error: String) {
        self.happened(Happening::Certified(agent.role));
        let mut shown = self.lock();
        let is_manager = agent.role == Role::Manager && standing.is_some();
        let is_active = agent.message.is_some() || is_manager;
        let stands = is_manager || agent.role == Role::Worker;
        shown.view = NodeView {
            condition: if is_active { SwarmCondition::Active } else { SwarmCondition::Pending },
            node_id: Some(node.node_id.clone()),
            cluster_id: Some(node.cluster_id.clone()),
            addr: node.advertise.ip().to_string(),
            is_manager,
            error,
            managers: node.managers.clone(),
        };
        match (is_manager, &shown.manager) {
            (true, None) => {
                let access = standing.map(|standing| standing.access.clone());
                shown.manager = access.map(|access| Arc::new(NodeManager(access)) as Arc<dyn ManagerAccess>);
            }
            (false, Some(_)) => shown.manager = None,
            (true, Some(_)) | (false, None) => {}
        }
        drop(shown);
        if stands {
            self.know(Known::Standing);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outside() -> NodeView {
    NodeView {
        condition: SwarmCondition::Inactive,
        node_id: None,
        cluster_id: None,
        addr: String::new(),
        is_manager: false,
        error: String::new(),
        managers: Vec::new(),
    }
}
