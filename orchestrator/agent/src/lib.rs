//! The nodes' half of the swarm: what every member runs, whether or not it is a manager as well.
//!
//! ```text
//!  session ── the managers' messages ──> view: what the node, the gossip and the renewal go by
//!     ▲  └─ heartbeats: scheduling delay, who is dead in gossip
//!  renewal ── a new key and certificate, kept by the node before it is used ──> view: role, certificate
//!  gossip  ── keys and roster from the session ──> who is alive
//!  worker  ── tasks from the session ──> a runner each ──> containers; their states go back to the managers
//!  logs    ── what the leader wants to read ──> containers' logs ──> the leader
//!  peers   ── images that other nodes have, and what this one has for them (7946/tcp)
//! ```
//!
//! Rules kept here: a key is born on the node that uses it; the managers' word counts, gossip only reports; whatever
//! fails is tried again with a growing pause. Deliberately absent: containers, which an [`Executor`] runs, and any state on
//! disk, which is the node's.

#![forbid(unsafe_code)]

mod backoff;
mod container;
mod controller;
mod controllers;
mod join;
mod logs;
mod peers;
mod remotes;
mod renew;
mod runner;
mod session;
mod statuses;
mod task;
mod task_image;
#[cfg(test)]
mod tests;
mod worker;

pub use container::ContainerExecutor;
pub use controller::{Controller, Executor, KeptTask, LogQuery, TaskFailure, TaskKeeper, TaskLog};
pub use join::{JoinOrder, Joined, join};
pub use peers::PeerImages;
pub use remotes::Remote;
pub use task::{Step, next_step};

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use engine::Engine;
use gossip::{Gossip, GossipSettings, GossipView, Roster};
use model::{GOSSIP_PORT, GossipKey, ManagerPeer, NodeId, Role, SessionMessage, SwarmError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rpc::{Connector, Identity, TlsState};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tracing::{error, warn};

use controllers::Controllers;
use logs::LogSource;
use peers::ImageDesk;
use remotes::Remotes;
use renew::Renewal;
use session::SessionLoop;
use statuses::Statuses;
use worker::Worker;

/// Keeps a new identity, and whom to trust, where they survive a crash, before the managers hear of them.
#[async_trait]
pub trait IdentityKeeper: Debug + Send + Sync {
    /// On return the identity is on disk.
    async fn keep(&self, identity: &Identity, role: Role) -> Result<(), SwarmError>;

    /// On return the roots (PEM, one each) are on disk.
    async fn keep_roots(&self, roots: &[String]) -> Result<(), SwarmError>;
}

/// What a node says when its agent ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Farewell {
    /// It comes back in a moment.
    #[default]
    Restart,
    /// It stops until somebody starts it again.
    Stop,
    /// It leaves the swarm.
    Leave,
}

/// What an agent knows; costs nothing to look at.
#[derive(Debug, Clone)]
pub struct AgentView {
    /// The manager in session with this node.
    pub manager: Option<Remote>,
    /// What the managers said last.
    pub message: Option<Arc<SessionMessage>>,
    /// The role in the certificate in use.
    pub role: Role,
    /// The certificate in use, PEM, and what links it to a root.
    pub certificate: String,
    /// The roots that are trusted and kept, PEM, one each.
    pub roots: Vec<String>,
    /// Why there is no session; empty while there is.
    pub error: String,
}

/// What an agent is built from.
pub struct AgentParts {
    /// The node.
    pub node_id: NodeId,
    /// Where it is reached (its advertise address with the control port).
    pub advertise: SocketAddr,
    /// The machine.
    pub engine: Arc<Engine>,
    /// The certificate in use and who is trusted, shared with the node's server.
    pub tls: TlsState,
    /// The certificate that `tls` was made with, and the role in it.
    pub certificate: String,
    /// The role in the certificate.
    pub role: Role,
    /// The roots, PEM, one each.
    pub roots: Vec<String>,
    /// Channels to managers.
    pub connector: Connector,
    /// The managers to begin with.
    pub managers: Vec<Remote>,
    /// All members to begin with, for gossip; empty until the first session where they are not known.
    pub members: Vec<ManagerPeer>,
    /// Keys of the gossip to begin with; empty until the first session where they are not known.
    pub gossip_keys: Vec<GossipKey>,
    /// Bound to the advertise address's gossip port.
    pub gossip_socket: UdpSocket,
    /// Where other nodes ask for images: bound to the same address and port.
    pub images_listener: TcpListener,
    /// Where this node's own manager knows the leader to be.
    pub leader: watch::Receiver<Option<SocketAddr>>,
    /// What to say at the end.
    pub farewell: watch::Receiver<Farewell>,
    /// Keeps new identities.
    pub keeper: Arc<dyn IdentityKeeper>,
    /// Runs the containers of tasks.
    pub executor: Arc<dyn Executor>,
    /// Keeps the tasks over restarts.
    pub task_keeper: Arc<dyn TaskKeeper>,
    /// The key in use was not born here: replace it as soon as a session stands.
    pub is_first_key: bool,
    /// The wall clock.
    pub clock: gossip::Clock,
    /// Draws spreads, and the nonces of the gossip.
    pub rng: StdRng,
}

impl std::fmt::Debug for AgentParts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AgentParts").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// Why an agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEnd {
    /// It was cancelled.
    Cancelled,
    /// The swarm has removed the node; in its words.
    Removed(String),
}

/// The agent of a node.
#[derive(Debug)]
pub struct Agent {
    session: SessionLoop,
    worker: Worker,
    logs: LogSource,
    renewal: Renewal,
    gossip: Gossip,
    feed: GossipFeed,
    door: ImageDoor,
    farewell: watch::Receiver<Farewell>,
    view: watch::Receiver<AgentView>,
    liveness: watch::Receiver<GossipView>,
}

impl Agent {
    /// Builds an agent; nothing is sent before [`run`](Self::run).
    pub fn new(parts: AgentParts) -> Self {
        let mut rng = parts.rng;
        let farewell = parts.farewell.clone();
        let clock = Arc::clone(&parts.clock);
        let view = watch::Sender::new(AgentView {
            manager: None,
            message: None,
            role: parts.role,
            certificate: parts.certificate,
            roots: parts.roots,
            error: String::new(),
        });
        let feed = GossipFeed {
            keys: watch::Sender::new(parts.gossip_keys),
            roster: watch::Sender::new(roster(&parts.members)),
            view: view.subscribe(),
        };
        let settings = GossipSettings { node_id: parts.node_id.clone(), clock: Arc::clone(&parts.clock) };
        let (keys, members) = (feed.keys.subscribe(), feed.roster.subscribe());
        let gossip = Gossip::new(settings, parts.gossip_socket, keys, members, StdRng::from_rng(&mut rng));
        let liveness = gossip.view();
        let first = rng.random_range(0..usize::from(u16::MAX));
        let renewal = Renewal {
            tls: parts.tls.clone(),
            connector: parts.connector.clone(),
            keeper: Arc::clone(&parts.keeper),
            view: view.clone(),
            is_first_key: parts.is_first_key,
            clock: parts.clock,
            rng: StdRng::from_rng(&mut rng),
        };
        let receiver = view.subscribe();
        let store = parts.engine.images().store().clone();
        let desk = ImageDesk::new(store, parts.connector.clone(), view.subscribe());
        let door = ImageDoor { listener: parts.images_listener, desk, tls: parts.tls.clone() };
        parts.executor.meet(PeerImages::new(parts.connector.clone(), view.subscribe()));
        let statuses = Arc::new(Statuses::default());
        let controllers = Arc::new(Controllers::new());
        let (work, messages) = mpsc::channel(worker::MESSAGES);
        let worker = Worker {
            executor: parts.executor,
            keeper: parts.task_keeper,
            controllers: Arc::clone(&controllers),
            statuses: Arc::clone(&statuses),
            messages,
            clock: Arc::clone(&clock),
        };
        let logs = LogSource {
            controllers,
            connector: parts.connector.clone(),
            tls: parts.tls.clone(),
            view: view.subscribe(),
            rng: StdRng::from_rng(&mut rng),
        };
        let session = SessionLoop {
            node_id: parts.node_id,
            addr: parts.advertise,
            engine: parts.engine,
            tls: parts.tls,
            connector: parts.connector,
            remotes: Remotes::new(parts.managers, first),
            keeper: parts.keeper,
            leader: parts.leader,
            gossip: liveness.clone(),
            farewell: parts.farewell,
            view,
            work,
            statuses,
            rng,
        };
        Self { session, worker, logs, renewal, gossip, feed, door, farewell, view: receiver, liveness }
    }

    /// What the agent knows.
    pub fn view(&self) -> watch::Receiver<AgentView> {
        self.view.clone()
    }

    /// Who is alive, as this node's gossip has it.
    pub fn liveness(&self) -> watch::Receiver<GossipView> {
        self.liveness.clone()
    }

    /// Runs session, tasks, renewal, gossip and the door for images until cancelled, or until the swarm has removed the node. Containers go on
    /// without the agent, unless the node has left or was removed: then none is left on return.
    pub async fn run(self, cancel: CancellationToken) -> AgentEnd {
        let token = cancel.child_token();
        let mut rest = JoinSet::new();
        let (renewal, gossip, feed, farewell) = (self.renewal, self.gossip, self.feed, self.farewell.clone());
        let (renewal_token, gossip_token, feed_token) = (token.clone(), token.clone(), token.clone());
        rest.spawn(async move { renewal.run(renewal_token).await });
        rest.spawn(async move {
            // A node that comes back in a moment is not called dead meanwhile.
            let goes_for_good = move || *farewell.borrow() != Farewell::Restart;
            if let Err(error) = gossip.run(gossip_token, goes_for_good).await {
                // The sessions alone decide now, after a longer silence.
                error!(%error, "gossip has failed; it rests until the agent starts again");
            }
        });
        rest.spawn(async move { feed.run(feed_token).await });
        let (logs, logs_token) = (self.logs, token.clone());
        rest.spawn(async move { logs.run(logs_token).await });
        let (door, door_token) = (self.door, token.clone());
        rest.spawn(async move { door.run(door_token).await });

        let is_removed = Arc::new(AtomicBool::new(false));
        let (worker, worker_token, last_word) = (self.worker, token.clone(), self.farewell.clone());
        let leaves = {
            let is_removed = Arc::clone(&is_removed);
            move || is_removed.load(Ordering::Relaxed) || *last_word.borrow() == Farewell::Leave
        };
        rest.spawn(async move { worker.run(worker_token, leaves).await });

        let end = self.session.run(cancel).await;
        is_removed.store(end.is_some(), Ordering::Relaxed);
        token.cancel();
        while let Some(ended) = rest.join_next().await {
            if let Err(error) = ended {
                warn!(%error, "a part of the agent did not end well");
            }
        }
        end.map_or(AgentEnd::Cancelled, AgentEnd::Removed)
    }
}

/// Where other nodes ask for images.
#[derive(Debug)]
struct ImageDoor {
    listener: TcpListener,
    desk: ImageDesk,
    tls: TlsState,
}

impl ImageDoor {
    async fn run(self, cancel: CancellationToken) {
        let routes = Routes::new(rpc::images_server(Arc::new(self.desk)));
        if let Err(error) = rpc::serve(self.listener, routes, self.tls, cancel).await {
            // Other nodes have the images, or their registries do.
            error!(error = &error as &dyn std::error::Error, "no images are given to other nodes any more");
        }
    }
}

/// Hands keys and roster from the session to the gossip.
#[derive(Debug)]
struct GossipFeed {
    keys: watch::Sender<Vec<GossipKey>>,
    roster: watch::Sender<Roster>,
    view: watch::Receiver<AgentView>,
}

impl GossipFeed {
    async fn run(mut self, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = self.view.changed() => if changed.is_err() {
                    return;
                },
            }
            let Some(message) = self.view.borrow_and_update().message.clone() else {
                continue;
            };
            let keys = message.gossip_keys.clone();
            self.keys.send_if_modified(|current| {
                let is_new = *current != keys;
                *current = keys;
                is_new
            });
            let members = roster(&message.members);
            self.roster.send_if_modified(|current| {
                let is_new = *current != members;
                *current = members;
                is_new
            });
        }
    }
}

/// Where each member gossips.
fn roster(members: &[ManagerPeer]) -> Roster {
    members
        .iter()
        .map(|peer| (peer.node_id.clone(), SocketAddr::new(peer.addr.ip(), GOSSIP_PORT)))
        .collect::<BTreeMap<_, _>>()
}
