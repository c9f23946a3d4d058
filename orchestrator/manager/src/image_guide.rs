//! Tells nodes who may have the image of a task, and which image a node may be given: the leader knows the tasks.
//!
//! ```text
//! a node that lacks the image of its task ── sources ──> leader: whom to ask, in this order
//! a node that is asked for it             ── grant ────> leader: which image that task of that node needs
//! ```
//!
//! Reads tasks, nodes. Writes nothing. Never knows which images a node has: that is asked of the nodes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use model::{
    ImageGrant, ImageGrantRequest, ImageSources, ImageSourcesRequest, NodeHealth, NodeId, SwarmError, Task, TaskId,
    TaskState,
};
use raft::Raft;
use rpc::{ImageGuideService, PeerIdentity};
use store::{Snapshot, Store};
use tonic::Status;

use crate::membership::require_leader;
use crate::words::{not_found, precondition};

/// The most nodes that are named: a task whose image is nowhere must not have every node ask every other one.
const NODES_NAMED: usize = 64;

/// The guide of one manager.
#[derive(Debug)]
pub(crate) struct ImageGuide {
    store: Store,
    raft: Raft,
}

impl ImageGuide {
    /// A guide that answers while this manager leads.
    pub(crate) fn new(store: Store, raft: Raft) -> Self {
        Self { store, raft }
    }
}

#[async_trait]
impl ImageGuideService for ImageGuide {
    async fn sources(&self, caller: PeerIdentity, request: ImageSourcesRequest) -> Result<ImageSources, Status> {
        require_leader(&self.raft)?;
        let leader = self.raft.status().borrow().leader.as_ref().map(|leader| leader.node_id.clone());
        let nodes = sources(&self.store.view(), leader.as_ref(), &caller.node_id, &request.task_id);
        nodes.map(|nodes| ImageSources { nodes }).map_err(rpc::to_status)
    }

    async fn grant(&self, _: PeerIdentity, request: ImageGrantRequest) -> Result<ImageGrant, Status> {
        require_leader(&self.raft)?;
        let view = self.store.view();
        let granted = task_of(&view, &request.node_id, &request.task_id).and_then(image_of);
        granted.map(|image| ImageGrant { image: image.to_owned() }).map_err(rpc::to_status)
    }
}

/// Whom a node asks for the image of its task: the leader, the other managers, the nodes whose tasks of the service have
/// the image already, the rest. Only who is ready is named. The order is the same for all who ask, as the first word
/// counts where an image is named without a digest.
fn sources(
    view: &Snapshot,
    leader: Option<&NodeId>,
    asking: &NodeId,
    task_id: &TaskId,
) -> Result<Vec<NodeId>, SwarmError> {
    let task = task_of(view, asking, task_id)?;
    let image = image_of(task)?;
    let has_image = |other: &Task| {
        let is_prepared = (TaskState::Ready..=TaskState::Running).contains(&other.state.status.state);
        is_prepared && image_of(other).is_ok_and(|others| others == image)
    };
    let runners: BTreeSet<&NodeId> = view
        .tasks_of_service(&task.state.service_id)
        .filter(|other| has_image(other))
        .filter_map(|other| other.state.node_id.as_ref())
        .collect();
    let mut ranked: Vec<_> = view
        .nodes()
        .filter(|node| node.id != *asking && node.state.status.state == NodeHealth::Ready)
        .map(|node| {
            let is_leader = leader == Some(&node.id);
            // The first of these that holds, as `false` comes before `true`.
            (!is_leader, node.state.member.is_none(), !runners.contains(&node.id), &node.id)
        })
        .collect();
    ranked.sort_unstable();
    Ok(ranked.into_iter().take(NODES_NAMED).map(|(.., node)| node.clone()).collect())
}

/// A task that a node has and is to go on with.
fn task_of<'a>(view: &'a Snapshot, node: &NodeId, task_id: &TaskId) -> Result<&'a Task, SwarmError> {
    let is_wanted = |task: &&Task| {
        let state = &task.state;
        state.node_id.as_ref() == Some(node)
            && state.desired < TaskState::Shutdown
            && state.status.state <= TaskState::Running
    };
    let task = view.task(task_id).map(AsRef::as_ref).filter(is_wanted);
    task.ok_or_else(|| not_found(&format!("node {node} has no task {task_id} that needs an image")))
}

fn image_of(task: &Task) -> Result<&str, SwarmError> {
    let spec = task.spec.container_spec.as_ref();
    spec.map(|spec| spec.image.as_str()).ok_or_else(|| precondition(&format!("task {} has no image", task.id)))
}

#[cfg(test)]
mod tests {
    use model::{ContainerSpec, Meta, Node, NodeSpec, NodeState, RaftId, RaftMember, ServiceId};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use crate::testing::{RunningStore, node_id, running_store, task};

    use super::*;

    fn node(number: u64, is_manager: bool, health: NodeHealth) -> Node {
        let mut state = NodeState::default();
        state.status.state = health;
        let addr = std::net::SocketAddr::from(([10, 0, 0, 1], 2377));
        state.member = is_manager.then_some(RaftMember { raft_id: RaftId(number), addr });
        Node { id: node_id(number), meta: Meta::default(), spec: NodeSpec::default(), state }
    }

    fn needing(number: u64, node: u64, image: &str, state: TaskState) -> Task {
        let mut task = task(number);
        task.state.service_id = ServiceId::generate(&mut StdRng::seed_from_u64(0));
        task.state.node_id = Some(node_id(node));
        task.state.desired = TaskState::Running;
        task.state.status.state = state;
        task.spec.container_spec = Some(ContainerSpec { image: image.to_owned(), ..ContainerSpec::default() });
        task
    }

    async fn swarm(nodes: Vec<Node>, tasks: Vec<Task>) -> RunningStore {
        let running = running_store();
        let written = running.store.update(move |tx| {
            nodes.into_iter().try_for_each(|node| tx.create_node(node))?;
            tasks.into_iter().try_for_each(|task| tx.create_task(task))
        });
        written.await.unwrap();
        running
    }

    #[tokio::test]
    async fn the_leader_is_asked_first_then_managers_then_who_runs_it_and_nobody_who_is_down() {
        let nodes = vec![
            node(1, true, NodeHealth::Ready),
            node(2, true, NodeHealth::Ready),
            node(3, false, NodeHealth::Ready),
            node(4, false, NodeHealth::Ready),
            node(5, false, NodeHealth::Ready),
            node(6, false, NodeHealth::Down),
        ];
        let tasks = vec![
            needing(1, 3, "a:1", TaskState::Preparing),
            needing(2, 4, "a:1", TaskState::Running),
            needing(3, 5, "a:2", TaskState::Running),
        ];
        let swarm = swarm(nodes, tasks).await;

        let found = sources(&swarm.store.view(), Some(&node_id(2)), &node_id(3), &task(1).id).unwrap();

        assert_eq!(found, [2, 1, 4, 5].map(node_id));
    }

    #[tokio::test]
    async fn an_image_is_for_the_node_whose_task_needs_it_and_for_as_long_as_it_does() {
        let mut ended = needing(2, 1, "a:1", TaskState::Failed);
        ended.state.desired = TaskState::Running;
        let mut unwanted = needing(3, 1, "a:1", TaskState::Preparing);
        unwanted.state.desired = TaskState::Shutdown;
        let swarm = swarm(Vec::new(), vec![needing(1, 1, "a:1", TaskState::Assigned), ended, unwanted]).await;
        let view = swarm.store.view();
        let check = |node: u64, number: u64, expected: Option<&str>| {
            let granted = task_of(&view, &node_id(node), &task(number).id).and_then(image_of);
            assert_eq!(granted.ok(), expected, "node {node}, task {number}");
        };

        check(1, 1, Some("a:1"));
        check(2, 1, None);
        check(1, 2, None);
        check(1, 3, None);
        check(1, 4, None);
    }

    #[tokio::test]
    async fn not_more_than_so_many_nodes_are_named() {
        let nodes = (1..=100).map(|number| node(number, false, NodeHealth::Ready)).collect();
        let swarm = swarm(nodes, vec![needing(1, 1, "a:1", TaskState::Preparing)]).await;

        let found = sources(&swarm.store.view(), None, &node_id(1), &task(1).id).unwrap();

        assert_eq!(found.len(), NODES_NAMED);
    }
}
