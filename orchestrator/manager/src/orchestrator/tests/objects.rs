//! Services, tasks and situations for tables.

use std::sync::Arc;

use jiff::Timestamp;
use model::{
    Availability, ContainerSpec, Meta, Node, NodeHealth, NodeId, NodeSpec, NodeState, NodeStatus, ReplicatedMode,
    RestartPolicy, Service, ServiceId, ServiceMode, ServiceSpec, ServiceState, Task, TaskId, TaskState, TaskStatus,
    UpdateConfig, UpdateState, UpdateStatus,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::orchestrator::change::{Change, Decision};
use crate::orchestrator::decide::decide;
use crate::orchestrator::making::new_task;
use crate::orchestrator::place::Place;
use crate::orchestrator::situation::Situation;

/// A second of nanoseconds.
pub(super) const SECOND: i64 = 1_000_000_000;

/// So many seconds after the beginning of all tables.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

pub(super) fn node_id(number: u64) -> NodeId {
    NodeId::generate(&mut StdRng::seed_from_u64(1_000 + number))
}

pub(super) fn node(number: u64, health: NodeHealth, availability: Availability) -> Node {
    Node {
        id: node_id(number),
        meta: Meta { updated_at: at(0), ..Meta::default() },
        spec: NodeSpec { availability, ..NodeSpec::default() },
        state: NodeState { status: NodeStatus { state: health, ..NodeStatus::default() }, ..NodeState::default() },
    }
}

/// A replicated spec; the image is what its containers do.
pub(super) fn spec(name: &str, image: &str, replicas: u64) -> ServiceSpec {
    let mut spec = ServiceSpec { name: name.to_owned(), ..ServiceSpec::default() };
    spec.mode = ServiceMode { replicated: Some(ReplicatedMode { replicas: Some(replicas) }), ..ServiceMode::default() };
    spec.task_template.container_spec = Some(ContainerSpec { image: image.to_owned(), ..ContainerSpec::default() });
    spec
}

/// The same with another image.
pub(super) fn with_image(spec: &ServiceSpec, image: &str) -> ServiceSpec {
    let mut spec = spec.clone();
    spec.task_template.container_spec.as_mut().unwrap().image = image.to_owned();
    spec
}

/// A restart policy, as Docker writes it; times in seconds.
pub(super) fn policy(condition: &str, delay: i64, max_attempts: u64, window: i64) -> RestartPolicy {
    RestartPolicy {
        condition: condition.to_owned(),
        delay: Some(delay * SECOND),
        max_attempts: Some(max_attempts),
        window: Some(window * SECOND),
    }
}

/// Settings of an update that watches each task for five seconds.
pub(super) fn update_config(parallelism: u64, action: &str, order: &str) -> UpdateConfig {
    UpdateConfig {
        parallelism,
        failure_action: action.to_owned(),
        order: order.to_owned(),
        monitor: 5 * SECOND,
        ..UpdateConfig::default()
    }
}

pub(super) fn update_status(state: UpdateState, message: &str) -> UpdateStatus {
    UpdateStatus { state, started_at: at(0), completed_at: None, message: message.to_owned() }
}

/// A situation that is put together piece by piece: a service of revision 1, and two nodes that take tasks.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) service: Service,
    pub(super) tasks: Vec<Task>,
    pub(super) nodes: Vec<Node>,
}

impl Scene {
    pub(super) fn new(spec: ServiceSpec) -> Self {
        let state = ServiceState { spec_revision: 1, ..ServiceState::default() };
        let id = ServiceId::generate(&mut StdRng::seed_from_u64(7));
        Self {
            service: Service { id, meta: Meta::default(), spec, state },
            tasks: Vec::new(),
            nodes: (1..=2).map(|number| node(number, NodeHealth::Ready, Availability::Active)).collect(),
        }
    }

    /// Adds a task of the service as it is now on node 1, made at a second and observed there since another; gives its id.
    pub(super) fn task(
        &mut self,
        slot: u64,
        (state, desired): (TaskState, TaskState),
        (made, observed): (i64, i64),
    ) -> TaskId {
        let mut rng = StdRng::seed_from_u64(u64::try_from(self.tasks.len()).unwrap());
        let mut task = new_task(&self.situation(0), &Place::Slot(slot), desired, at(made), &mut rng);
        task.meta.created_at = at(made);
        task.meta.updated_at = at(observed);
        task.state.node_id = (state >= TaskState::Assigned).then(|| node_id(1));
        task.state.status = TaskStatus::new(state, "observed", at(observed));
        self.tasks.push(task);
        self.tasks.last().unwrap().id.clone()
    }

    /// Adds a task that runs since a second.
    pub(super) fn running(&mut self, slot: u64, since: i64) -> TaskId {
        self.task(slot, (TaskState::Running, TaskState::Running), (since, since))
    }

    /// The task that was added last.
    pub(super) fn last(&mut self) -> &mut Task {
        self.tasks.last_mut().unwrap()
    }

    /// The service gets another spec, as when an operator updates it.
    pub(super) fn update(&mut self, spec: ServiceSpec) {
        let former = std::mem::replace(&mut self.service.spec, spec);
        self.service.state.previous_spec = Some(Box::new(former));
        self.service.state.spec_revision += 1;
        self.service.state.update_status = None;
    }

    pub(super) fn situation(&self, now: i64) -> Situation {
        Situation {
            service: Arc::new(self.service.clone()),
            tasks: self.tasks.iter().cloned().map(Arc::new).collect(),
            nodes: self.nodes.iter().map(|node| (node.id.clone(), Arc::new(node.clone()))).collect(),
            log_driver: None,
            now: at(now),
        }
    }

    pub(super) fn decide(&self, now: i64) -> Decision {
        decide(&self.situation(now))
    }
}

pub(super) fn want(task: &TaskId, state: TaskState) -> Change {
    Change::Want { task: task.clone(), state }
}

pub(super) fn make(slot: u64, desired: TaskState) -> Change {
    Change::Make { place: Place::Slot(slot), desired }
}

/// A decision of these groups, and no moment to wake at.
pub(super) fn groups(groups: &[&[Change]]) -> Decision {
    Decision { groups: groups.iter().map(|group| group.to_vec()).collect(), wake: None }
}

/// A decision to do nothing before a second.
pub(super) fn wait_until(second: i64) -> Decision {
    Decision { groups: Vec::new(), wake: Some(at(second)) }
}
