//! The dispatcher during one term of the leader: its sessions, and the loop that judges them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream;
use gossip::GossipView;
use model::{HeartbeatRequest, Node, NodeHealth, NodeId, Role, SessionId, SwarmError, TaskReports};
use rpc::{AssignmentStream, PeerIdentity, SessionStream};
use store::{Event, Snapshot, Store, WatchError, WorkEvent};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::announce::{Common, concerns_its_agent};
use super::down::Verdict;
use super::sessions::{Circumstances, Sessions};
use super::statuses::{StatusChange, StatusLine};
use super::work::{OpenAssignments, concerned};
use super::{Item, heartbeat_period, reports};
use crate::words::{removed, unavailable};

/// How often silence is measured; the limits are seconds.
const TICK: Duration = Duration::from_millis(200);
/// How long a measured delay of the leader's own scheduling stretches the limits.
const DELAY_MEMORY: Duration = Duration::from_secs(30);

/// One term of the dispatcher.
#[derive(Debug)]
pub(crate) struct DispatcherTerm {
    store: Store,
    line: StatusLine,
    sessions: Mutex<Sessions>,
    /// Something happened that may make a node down: a stream ended, a node leaves or stops.
    woken: Notify,
    gossip: watch::Receiver<GossipView>,
    picture: watch::Sender<Picture>,
    cancel: CancellationToken,
}

/// What sessions compare to know whether there is something to tell.
#[derive(Debug, Clone)]
struct Picture {
    common: Option<Arc<Common>>,
    view: Snapshot,
}

impl Picture {
    fn of(view: Snapshot) -> Self {
        Self { common: Common::of(&view).map(Arc::new), view }
    }
}

impl DispatcherTerm {
    /// A term without sessions; it ends with the token.
    pub(crate) fn new(store: Store, gossip: watch::Receiver<GossipView>, cancel: CancellationToken) -> Self {
        let picture = watch::Sender::new(Picture::of(store.view()));
        Self {
            store,
            line: StatusLine::default(),
            sessions: Mutex::new(Sessions::new(Instant::now())),
            woken: Notify::new(),
            gossip,
            picture,
            cancel,
        }
    }

    /// Writes what is learned of nodes, until the term ends.
    pub(crate) async fn write_statuses(&self) -> Result<(), SwarmError> {
        self.line.run(&self.store, self.cancel.clone()).await
    }

    /// Tells sessions of changes and judges the silent ones, until the term ends.
    pub(crate) async fn run(&self) -> Result<(), SwarmError> {
        let (view, mut events) = self.store.view_and_watch();
        let mut pace = MembersPace { due: Instant::now(), is_held: false };
        self.show(view, &mut pace);
        let mut gossip = self.gossip.clone();
        let mut has_gossip = true;
        let mut own_delay = OwnDelay::default();
        let mut has_news = false;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                due = ticks.tick() => {
                    own_delay.measured(due.elapsed(), Instant::now());
                    if pace.is_held {
                        self.show(self.store.view(), &mut pace);
                    }
                    None
                }
                () = self.woken.notified() => None,
                // Once this node's gossip has ended, what it said last stays.
                changed = gossip.changed(), if has_gossip => {
                    has_gossip = changed.is_ok();
                    None
                }
                event = events.recv() => Some(event),
            };
            match event {
                // Most events are of tasks: no node is judged by them, and no session hears of them.
                None => self.judge(&gossip.borrow(), own_delay.now(Instant::now())),
                Some(Ok(Event::Work(work))) => self.mark(&work),
                Some(Ok(Event::NodeRemoved(node))) => {
                    self.sessions().forget(&node.id);
                    has_news = true;
                }
                Some(Ok(Event::NodeChanged(_) | Event::ClusterChanged)) => has_news = true,
                Some(Ok(Event::Committed { .. })) => {
                    if std::mem::take(&mut has_news) {
                        self.show(self.store.view(), &mut pace);
                    }
                }
                Some(Err(WatchError::Lagged(missed))) => {
                    warn!(missed, "fell behind the store; starting from a new snapshot");
                    let (view, fresh) = self.store.view_and_watch();
                    self.show(view, &mut pace);
                    self.sessions().mark_all();
                    events = fresh;
                }
                Some(Err(WatchError::Closed)) => return Err(unavailable("the store has stopped")),
            }
        }
    }

    /// The line to the store.
    pub(super) fn line(&self) -> &StatusLine {
        &self.line
    }

    /// Opens a session and gives its messages.
    pub(super) fn open(
        self: &Arc<Self>,
        view: &Snapshot,
        node: &NodeId,
        certified: Role,
        session: &SessionId,
    ) -> Result<SessionStream, SwarmError> {
        let over = self.sessions().register(node, session.clone(), Instant::now())?;
        // Subscribed before the view is compared, so that no change is lost between the two.
        let changes = self.picture.subscribe();
        // The node may be newer than the picture: it joined a moment ago. What all are told alike is as all see it.
        let first = Picture { common: changes.borrow().common.clone(), view: view.clone() };
        let guard = OpenSession {
            term: Arc::clone(self),
            node: node.clone(),
            session: session.clone(),
            certified,
            over,
            changes,
            since: view.index(),
            next: Some(first),
            told: None,
        };
        Ok(Box::pin(stream::unfold(Some(guard), |guard| async move {
            let mut guard = guard?;
            match guard.next().await? {
                Ok(message) => Some((Ok(message), Some(guard))),
                Err(refusal) => Some((Err(refusal), None)),
            }
        })))
    }

    /// A node's tasks from now on, as part of its session.
    pub(super) fn assign(self: &Arc<Self>, node: &NodeId, session: &SessionId) -> Result<AssignmentStream, SwarmError> {
        let (over, work) = self.sessions().work_of(node, session)?;
        let assigned = OpenAssignments::new(self.store.clone(), node.clone(), (over, self.cancel.clone()), work);
        Ok(Box::pin(stream::unfold(assigned, |mut assigned| async move {
            let message = assigned.next().await?;
            Some((Ok(message), assigned))
        })))
    }

    /// Takes what a node observed of its tasks; returns once it is committed.
    pub(super) async fn report(&self, node: &NodeId, reports: TaskReports) -> Result<(), SwarmError> {
        self.sessions().check(node, &reports.session_id)?;
        reports::commit(&self.store, node, reports.reports).await
    }

    fn mark(&self, event: &WorkEvent) {
        if let Some((node, task)) = concerned(event) {
            self.sessions().mark(node, task);
        }
    }

    /// Takes a heartbeat.
    pub(super) fn beat(&self, caller: &PeerIdentity, beat: HeartbeatRequest, now: Instant) -> Result<(), SwarmError> {
        let node = &caller.node_id;
        let is_worker = caller.role == Role::Worker;
        let is_going = beat.is_leaving || beat.is_stopping;
        let (is_restarting, tls) = (beat.is_restarting, beat.tls.clone());
        let mut sessions = self.sessions();
        sessions.heartbeat(node, beat, now)?;
        let was_manager = self.store.view().node(node).is_some_and(|node| node.state.former_member.is_some());
        if tls.is_some() || (is_worker && was_manager) {
            let (message, state) = (String::new(), NodeHealth::Ready);
            let change = StatusChange { state, message, addr: None, description: None, tls, is_worker };
            // While the sessions are held: a judgment that the node is down comes before it or after it.
            self.line.push(node.clone(), change);
        }
        drop(sessions);
        if is_going {
            self.woken.notify_one();
        }
        if is_restarting {
            info!(%node, "node announced its restart");
        }
        Ok(())
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the sessions what the store says now. Other members alone are told of at a bounded rate: until then the
    /// sessions see the former ones.
    fn show(&self, view: Snapshot, pace: &mut MembersPace) {
        let now = Instant::now();
        let mut common = Common::of(&view);
        self.picture.send_modify(|picture| {
            pace.is_held = false;
            if let (Some(known), Some(new)) = (&picture.common, &mut common)
                && now < pace.due
            {
                let former = new.with_members_of(known);
                pace.is_held = former != *new;
                *new = former;
            }
            if picture.common.as_deref() != common.as_ref() {
                pace.due = now + common.as_ref().map_or(Duration::ZERO, Common::members_pause);
                picture.common = common.map(Arc::new);
            }
            picture.view = view;
        });
    }

    fn judge(&self, gossip: &GossipView, own_delay: Duration) {
        let view = self.store.view();
        let Some(cluster) = view.cluster() else {
            return;
        };
        let circumstances = Circumstances { now: Instant::now(), period: heartbeat_period(cluster), own_delay, gossip };
        let mut sessions = self.sessions();
        for node in view.nodes().filter(|node| node.state.status.state != NodeHealth::Down) {
            let Verdict::Down(reason) = sessions.judge(&node.id, circumstances) else {
                continue;
            };
            sessions.forget(&node.id);
            let (state, message) = (NodeHealth::Down, reason.to_owned());
            let change = StatusChange { state, message, addr: None, description: None, tls: None, is_worker: false };
            self.line.push(node.id.clone(), change);
        }
    }
}

/// When sessions may be told of other members again.
#[derive(Debug)]
struct MembersPace {
    due: Instant,
    /// There are others than were shown.
    is_held: bool,
}

/// One open session; dropping it ends the session.
struct OpenSession {
    term: Arc<DispatcherTerm>,
    node: NodeId,
    session: SessionId,
    certified: Role,
    over: CancellationToken,
    changes: watch::Receiver<Picture>,
    /// Pictures of an earlier state than the one that the session began with are passed over.
    since: u64,
    next: Option<Picture>,
    told: Option<(Arc<Common>, Arc<Node>)>,
}

impl OpenSession {
    /// The next message, once there is something to tell; `None` when the session is over.
    async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(picture) = self.next.take().filter(|picture| picture.view.index() >= self.since)
                && let Some(item) = self.tell(&picture)
            {
                return Some(item);
            }
            tokio::select! {
                () = self.term.cancel.cancelled() => return None,
                () = self.over.cancelled() => return self.farewell(),
                changed = self.changes.changed() => changed.ok()?,
            }
            self.next = Some(self.changes.borrow_and_update().clone());
        }
    }

    /// What a session ends with: a removed node is told so.
    fn farewell(&self) -> Option<Item> {
        let is_removed = self.term.store.view().node(&self.node).is_none();
        is_removed.then(|| Err(rpc::to_status(removed(&self.node))))
    }

    fn tell(&mut self, picture: &Picture) -> Option<Item> {
        let common = picture.common.as_ref()?;
        let Some(node) = picture.view.node(&self.node) else {
            return Some(Err(rpc::to_status(removed(&self.node))));
        };
        let is_known = self.told.as_ref().is_some_and(|(told_common, told_node)| {
            (Arc::ptr_eq(told_common, common) || told_common == common) && !concerns_its_agent(told_node, node)
        });
        if is_known {
            return None;
        }
        self.told = Some((Arc::clone(common), Arc::clone(node)));
        Some(Ok(common.message(self.session.clone(), node, self.certified)))
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.term.sessions().ended(&self.node, &self.session, Instant::now());
        self.term.woken.notify_one();
    }
}

/// The longest delay lately seen in this loop's own ticks.
#[derive(Debug, Default)]
struct OwnDelay {
    longest: Duration,
    seen: Option<Instant>,
}

impl OwnDelay {
    fn measured(&mut self, delay: Duration, now: Instant) {
        if delay >= self.now(now) {
            self.longest = delay;
            self.seen = Some(now);
        }
    }

    fn now(&self, now: Instant) -> Duration {
        match self.seen {
            Some(seen) if now.duration_since(seen) < DELAY_MEMORY => self.longest,
            Some(_) | None => Duration::ZERO,
        }
    }
}
