//! A laboratory: real nodes over loopback in one process, each on a thread and a runtime of its own, so that one can
//! be killed or frozen like a process. Real TLS, real raft logs in temporary directories, the real ports.
//!
//! Every laboratory has a subnet of 127/8 of its own, so that several run side by side.

mod containers;
mod identity;
mod lab_node;
mod writing;

pub use containers::{Happened, Happening, History};
pub use identity::SwarmIdentity;
pub use lab_node::LabNode;
pub use writing::WritingTasks;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use agent::Executor;
use model::{NodeHealth, NodeId, Role, SwarmError};
use tokio::time::Instant;

use crate::SwarmRead;

/// How long the laboratory waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Laboratories of this process so far, each counted as a step in both halves of a subnet's number.
static LABORATORIES: AtomicU16 = AtomicU16::new(0);

/// Nodes side by side.
#[derive(Debug)]
pub struct Lab {
    subnet: [u8; 2],
    /// The nodes, in the order in which they were added.
    pub nodes: Vec<LabNode>,
    /// What happened to the containers of all of them.
    pub history: History,
}

impl Lab {
    /// A laboratory without nodes, on a subnet of its own.
    ///
    /// With `RUST_LOG` set, what the nodes log is shown with the output of a test that fails.
    pub fn new() -> Self {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        // An error means that another laboratory of this process has done it.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().with_ansi(false).try_init();
        let process = u16::try_from(std::process::id() & 0x3fff).expect("14 bits fit");
        // 64 laboratories a process at most, 16,384 processes: the numbers meet only after that many.
        let [high, low] =
            (process.wrapping_add(LABORATORIES.fetch_add(0x0101, Ordering::Relaxed)) & 0x3fff).to_be_bytes();
        Self { subnet: [64 + high, low], nodes: Vec::new(), history: History::default() }
    }

    /// A swarm of `managers` and `workers` from bootstrap files, all started at once.
    pub fn swarm(managers: usize, workers: usize) -> Self {
        Self::swarm_with(managers, workers, |_| None)
    }

    /// A swarm of which some nodes, by their index, run their tasks by means of their own.
    fn swarm_with(managers: usize, workers: usize, executor: impl Fn(usize) -> Option<Arc<dyn Executor>>) -> Self {
        let mut lab = Self::new();
        let addrs: Vec<IpAddr> = (0..managers + workers).map(|_| lab.add()).collect();
        let identity = SwarmIdentity::generate(&addrs, managers);
        for (number, (node, bootstrap)) in lab.nodes.iter_mut().zip(&identity.bootstraps).enumerate() {
            if let Some(executor) = executor(number) {
                node.executor = executor;
            }
            node.put_bootstrap(bootstrap);
            node.start();
        }
        lab
    }

    /// Adds a bare host, not started; gives its address.
    pub fn add(&mut self) -> IpAddr {
        let number = u8::try_from(self.nodes.len() + 1).expect("a laboratory has at most 254 nodes");
        let addr = IpAddr::V4(Ipv4Addr::new(127, self.subnet[0], self.subnet[1], number));
        self.nodes.push(LabNode::new(format!("node-{number}"), addr, self.history.clone()));
        addr
    }

    /// Adds and starts a bare host; gives its index.
    pub fn add_started(&mut self) -> usize {
        self.add();
        let index = self.nodes.len() - 1;
        self.nodes[index].start();
        index
    }

    /// The index of the node with an id.
    pub fn index_of(&self, id: &NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.is_running() && node.view().node_id.as_ref() == Some(id))
    }

    /// The index of the leader, as a manager sees it.
    pub async fn leader(&self, seen_by: usize) -> usize {
        let read = self.until(seen_by, "a leader", |read| read.managers.values().any(|manager| manager.is_leader));
        let read = read.await;
        let leader = read.managers.iter().find(|(_, manager)| manager.is_leader).map(|(id, _)| id.clone());
        let leader = leader.expect("the wait ended with a leader");
        self.index_of(&leader).expect("the leader is a node of the laboratory")
    }

    /// Waits until a linearizable read on a manager shows what is expected; fails the test after [`PATIENCE`].
    pub async fn until(&self, manager: usize, what: &str, is_so: impl Fn(&SwarmRead) -> bool) -> SwarmRead {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.nodes[manager].read().await;
            match seen {
                Ok(read) if is_so(&read) => return read,
                seen => assert!(Instant::now() < deadline, "waited in vain for {what}; last seen: {}", describe(&seen)),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until so many nodes are ready and so many managers reachable, no more of them, and each manager answers.
    pub async fn settled(&self, seen_by: usize, managers: usize, workers: usize) -> SwarmRead {
        let is_settled = |read: &SwarmRead| {
            let ready = |role: Role| {
                let nodes = read.nodes.values();
                nodes.filter(|node| node.state.role == role && node.state.status.state == NodeHealth::Ready).count()
            };
            let reachable = read.managers.values().filter(|manager| manager.is_reachable).count();
            ready(Role::Manager) == managers
                && ready(Role::Worker) == workers
                && reachable == managers
                && read.managers.len() == managers
                && read.managers.values().filter(|manager| manager.is_leader).count() == 1
        };
        let read = self.until(seen_by, &format!("{managers} managers and {workers} workers"), is_settled).await;
        let deadline = Instant::now() + PATIENCE;
        let is_manager = |node: &LabNode| node.view().node_id.is_some_and(|id| read.managers.contains_key(&id));
        for node in self.nodes.iter().filter(|node| node.is_running() && is_manager(node)) {
            while !node.view().is_manager {
                assert!(Instant::now() < deadline, "{} answers no calls for managers", node.hostname);
                tokio::time::sleep(LOOK).await;
            }
        }
        read
    }

    /// Waits until a node is in the state, as a manager sees it.
    pub async fn health(&self, seen_by: usize, id: &NodeId, state: NodeHealth) -> SwarmRead {
        let is_so = |read: &SwarmRead| read.nodes.get(id).is_some_and(|node| node.state.status.state == state);
        self.until(seen_by, &format!("node {id} to be {}", state.as_str()), is_so).await
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

/// The nodes in a line each, for the message of a failed wait.
fn describe(seen: &Result<SwarmRead, SwarmError>) -> String {
    let read = match seen {
        Ok(read) => read,
        Err(error) => return error.to_string(),
    };
    let mut text = String::new();
    for node in read.nodes.values() {
        let manager = read.managers.get(&node.id);
        let status = &node.state.status;
        let (role, wanted) = (node.state.role.as_str(), node.spec.role.as_str());
        let _ = write!(text, "\n  {} {role} (wanted {wanted}) {} {manager:?}", node.id, status.state.as_str());
    }
    text
}
