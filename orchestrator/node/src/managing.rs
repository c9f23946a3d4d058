//! What a node runs while it is a manager: raft and its log, the store, the services on 2377, the leader's loops.
//!
//! ```text
//! open the log ──> serve 2377 ──> take a place in the group ──────────────> ready
//!                                   first swarm: form with the roster
//!                                   later: ask the leader to be let in
//!                                   after a restart: the log says so already
//!                                   begins anew: before it is opened, the log is made to say so
//!                                 the keys on disk as the swarm wants them: clear or sealed
//! the managers name another raft id, or none ──> ask; retired: the owner starts anew under a fresh id
//! another manager says that this one was removed ──> retired
//! cancelled: stop, close the log; its owner has handed leadership over before
//! ```

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::AgentView;
use engine::Engine;
use gossip::GossipView;
use manager::{Access, Manager, ManagerParts, RaftTransport};
use model::{ErrorKind, JoinRaftRequest, NodeId, RaftId, Role, SessionMessage, with_causes};
use raft::{DataKey, Peer, Raft, RaftSettings, RestingLog};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rpc::{Connector, MembershipClient, TlsState};
use store::{Clock, Snapshot, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::ApiTls;
use crate::api_tls::ApiCertificate;
use crate::events;
use crate::genesis::GenesisFile;
use crate::record::Record;
use crate::sealing::Sealing;

/// How long the leader may take to let a manager into raft: dialing back and catching up.
const LET_IN: Duration = Duration::from_secs(40);
/// Between two attempts to be let in.
const KNOCK_AGAIN: Duration = Duration::from_millis(100);
/// How long the managers may take to say in the session what they have done, or are about to do, with a membership.
const PLACE_PATIENCE: Duration = Duration::from_millis(500);

/// The name of a part, and how it ended.
type PartEnd = (&'static str, Result<(), String>);

/// What the manager of a node is built from.
#[derive(Debug, Clone)]
pub(crate) struct Managing {
    pub(crate) node_id: NodeId,
    pub(crate) raft_id: RaftId,
    pub(crate) hostname: String,
    pub(crate) listen: SocketAddr,
    pub(crate) advertise: SocketAddr,
    pub(crate) record: Record,
    pub(crate) tls: TlsState,
    pub(crate) connector: Connector,
    pub(crate) engine: Arc<Engine>,
    pub(crate) agent: watch::Receiver<AgentView>,
    pub(crate) liveness: watch::Receiver<GossipView>,
    pub(crate) genesis: Option<GenesisFile>,
    pub(crate) clock: Clock,
    pub(crate) raft_settings: RaftSettings,
    /// Where the leader is, for this node's agent.
    pub(crate) leader: watch::Sender<Option<SocketAddr>>,
    pub(crate) api_tls: watch::Sender<Option<ApiTls>>,
    /// The manager, once it has its place in the group and the swarm stands.
    pub(crate) ready: watch::Sender<Option<Standing>>,
}

/// A manager that has its place.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) access: Access,
    pub(crate) raft: Raft,
}

/// Why a manager did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagingError {
    #[error("failed to listen on {addr}")]
    Listen { addr: SocketAddr, source: std::io::Error },
    #[error("failed to open the raft log")]
    Log(#[from] raft::OpenError),
    #[error("{part} has failed: {reason}")]
    Part { part: &'static str, reason: String },
    /// The membership in raft is over for good, while the node is to be a manager: it needs a new one.
    #[error("raft id {0} has been removed from the group")]
    Retired(RaftId),
}

/// Why the leader does not let this manager in.
enum Unwelcome {
    /// Not now; asking again may help.
    NotNow(String),
    /// Never under this raft id.
    Retired(RaftId),
}

impl Managing {
    /// Runs the manager until cancelled.
    pub(crate) async fn run(self, mut rng: StdRng, cancel: CancellationToken) -> Result<(), ManagingError> {
        // The port first: while another program has it, the log must not be touched.
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|source| ManagingError::Listen { addr: self.listen, source })?;
        let store = Store::new(self.clock.clone());
        let raft = self.open(&store, &mut rng).await?;
        let token = cancel.child_token();
        let mut parts = JoinSet::new();
        let outcome = self.run_parts(&mut parts, &raft, &store, listener, &mut rng, &token).await;

        self.ready.send_replace(None);
        token.cancel();
        while let Some(ended) = parts.join_next().await {
            debug!(?ended, "part of the manager ended");
        }
        self.leader.send_replace(None);
        raft.shutdown().await;
        outcome
    }

    async fn open(&self, store: &Store, rng: &mut StdRng) -> Result<Raft, ManagingError> {
        let dir = self.record.disk.raft_dir();
        self.begin_anew(&dir, rng).await?;
        let key = DataKey::load_or_create(&dir, self.record.keyring.seal().as_ref(), rng)?;
        let me = self.peer();
        let transport = Arc::new(RaftTransport::new(self.connector.clone()));
        let settings = self.raft_settings.clone();
        Ok(Raft::open(settings, &dir, key, me, transport, store.state_machine(), StdRng::from_rng(rng)).await?)
    }

    /// Gives the log its new beginning, where that was decided and is not done.
    async fn begin_anew(&self, dir: &Path, rng: &mut StdRng) -> Result<(), ManagingError> {
        if !self.record.node().begins_anew {
            return Ok(());
        }
        let (dir, me, seal, mut rng) = (dir.to_owned(), self.peer(), self.record.keyring.seal(), StdRng::from_rng(rng));
        let rewrite = move || RestingLog::open(&dir, seal.as_ref(), &mut rng)?.begin_anew(&me);
        Ok(tokio::task::spawn_blocking(rewrite).await.map_err(|error| raft_failed(&error))??)
    }

    fn peer(&self) -> Peer {
        Peer {
            raft_id: self.raft_id,
            node_id: self.node_id.clone(),
            addr: self.advertise,
            hostname: self.hostname.clone(),
        }
    }

    async fn run_parts(
        &self,
        parts: &mut JoinSet<PartEnd>,
        raft: &Raft,
        store: &Store,
        listener: TcpListener,
        rng: &mut StdRng,
        token: &CancellationToken,
    ) -> Result<(), ManagingError> {
        let manager = Manager::new(ManagerParts {
            me: self.peer(),
            store: store.clone(),
            raft: raft.clone(),
            tls: self.tls.clone(),
            connector: self.connector.clone(),
            gossip: self.liveness.clone(),
            genesis: self.genesis.as_ref().and_then(GenesisFile::genesis),
            begins_anew: self.record.node().begins_anew,
            lease: Arc::clone(self.engine.lease()),
            clock: self.clock.clone(),
            rng: StdRng::from_rng(rng),
        });
        let access = manager.access();
        let server = rpc::serve(listener, manager.services(), self.tls.clone(), token.clone());
        parts.spawn(async move { ("server", server.await.map_err(|error| error.to_string())) });
        let (member, ends) = (raft.clone(), token.clone());
        parts.spawn(async move { ("raft", member.run(ends).await.map_err(|error| error.to_string())) });
        let (state, proposer, ends) = (store.clone(), Arc::new(raft.clone()), token.clone());
        add(parts, "store", async move { state.run(proposer, ends).await });
        let ends = token.clone();
        parts.spawn(async move { ("manager", manager.run(ends).await.map_err(|error| error.to_string())) });
        add(parts, "leader", tell_leader(self.leader.clone(), raft.status(), token.clone()));
        let (engine, clock) = (Arc::clone(&self.engine), self.clock.clone());
        add(parts, "events", events::publish(store.clone(), raft.status(), engine, clock, token.clone()));
        add(parts, "api certificate", self.api_certificate(store, rng).run(token.clone()));

        tokio::select! {
            () = token.cancelled() => return Ok(()),
            settled = self.settle(raft, store) => settled?,
            ended = parts.join_next() => return end_of(ended, token),
        }
        // Before anybody is told that it is one: where managers are locked, none is without its lock.
        let sealing = Sealing { store: store.clone(), keyring: self.record.keyring.clone() };
        sealing.settle().await;
        add(parts, "sealing", sealing.run(token.clone()));
        info!("this node is a manager");
        self.ready.send_replace(Some(Standing { access, raft: raft.clone() }));
        tokio::select! {
            () = token.cancelled() => Ok(()),
            lost = self.place_lost(raft) => Err(lost),
            ended = parts.join_next() => end_of(ended, token),
        }
    }

    fn api_certificate(&self, store: &Store, rng: &mut StdRng) -> ApiCertificate {
        ApiCertificate {
            store: store.clone(),
            disk: self.record.disk.clone(),
            advertise: self.advertise,
            hostname: self.hostname.clone(),
            clock: self.clock.clone(),
            rng: StdRng::from_rng(rng),
            out: self.api_tls.clone(),
        }
    }

    /// Takes a place in the group, and waits until the swarm is in this store.
    async fn settle(&self, raft: &Raft, store: &Store) -> Result<(), ManagingError> {
        self.take_place(raft).await?;
        tokio::select! {
            stands = self.stand(store) => stands.map_err(raft_failed),
            lost = self.place_lost(raft) => Err(lost),
        }
    }

    /// Becomes a member of the group, unless the log says that it is one.
    async fn take_place(&self, raft: &Raft) -> Result<(), ManagingError> {
        if raft.is_formed().await.map_err(raft_failed)? {
            return Ok(());
        }
        if let Some(genesis) = &self.genesis {
            return tokio::select! {
                formed = raft.form(genesis.raft_roster()) => formed.map_err(raft_failed),
                lost = self.place_lost(raft) => Err(lost),
            };
        }
        loop {
            match self.knock().await {
                Ok(managers) => {
                    info!(managers, "the leader has let this manager into raft");
                    return Ok(());
                }
                Err(Unwelcome::Retired(raft_id)) => return Err(ManagingError::Retired(raft_id)),
                Err(Unwelcome::NotNow(reason)) => {
                    debug!(reason, "not in raft yet");
                    tokio::time::sleep(KNOCK_AGAIN).await;
                }
            }
        }
    }

    /// Watches what the managers say of this membership; returns when it is over for good.
    ///
    /// This node may have been demoted and promoted while it was away, or stopped before it was a voter. The leader
    /// knows which: to a member it gives what is missing, and an id that was removed it refuses for ever. If raft has
    /// begun anew without this node, a manager of the new group says so, whomever this node holds for the leader.
    async fn place_lost(&self, raft: &Raft) -> ManagingError {
        let mut status = raft.status();
        tokio::select! {
            lost = self.place_refused() => lost,
            Ok(_) = status.wait_for(|status| status.is_removed) => ManagingError::Retired(self.raft_id),
        }
    }

    async fn place_refused(&self) -> ManagingError {
        let mut agent = self.agent.clone();
        loop {
            // An error means that the agent has ended, and the node with it.
            if agent.wait_for(|view| self.is_missed(view)).await.is_err() {
                return std::future::pending().await;
            }
            let is_settled = agent.wait_for(|view| !self.is_missed(view));
            if tokio::time::timeout(PLACE_PATIENCE, is_settled).await.is_ok() {
                continue;
            }
            match self.knock().await {
                Ok(managers) => info!(managers, "the leader has confirmed this manager's place in raft"),
                Err(Unwelcome::Retired(raft_id)) => return ManagingError::Retired(raft_id),
                Err(Unwelcome::NotNow(reason)) => debug!(reason, "this manager's place in raft is not confirmed"),
            }
        }
    }

    /// Whether the managers want this node among them and know of no membership under its raft id.
    fn is_missed(&self, view: &AgentView) -> bool {
        let is_missed = |message: &SessionMessage| {
            let state = &message.node.state;
            state.role == Role::Manager && state.member.as_ref().map(|member| member.raft_id) != Some(self.raft_id)
        };
        view.manager.is_some() && view.message.as_deref().is_some_and(is_missed)
    }

    /// Asks the leader, which is the manager in session with this node, to be let in.
    async fn knock(&self) -> Result<usize, Unwelcome> {
        let not_now = |reason: &str| Unwelcome::NotNow(reason.to_owned());
        let mut agent = self.agent.clone();
        let in_session = agent.wait_for(|view| view.manager.is_some()).await;
        let leader = in_session.map_err(|error| not_now(&error.to_string()))?.manager.clone();
        let leader = leader.ok_or_else(|| not_now("no session"))?;
        let client = MembershipClient::new(self.connector.channel(leader.addr, leader.node));
        let request = JoinRaftRequest { raft_id: self.raft_id, addr: self.advertise };
        match tokio::time::timeout(LET_IN, client.join(request)).await {
            Ok(Ok(response)) => Ok(response.managers.len()),
            Ok(Err(status)) => match rpc::from_status(&status) {
                error if rpc::is_answer(&status) && error.kind == ErrorKind::AlreadyExists => {
                    Err(Unwelcome::Retired(self.raft_id))
                }
                error => Err(not_now(&error.message)),
            },
            Err(_elapsed) => Err(not_now("the leader took too long")),
        }
    }

    /// Waits until the swarm is in this store; then the file of its beginning has done its work.
    async fn stand(&self, store: &Store) -> Result<(), String> {
        let begins_anew = self.record.node().begins_anew;
        let is_alone = |view: &Snapshot| {
            let member = view.node(&self.node_id).and_then(|node| node.state.member.as_ref());
            member.is_some_and(|member| member.raft_id == self.raft_id)
        };
        let does_stand = |view: &Snapshot| view.cluster().is_some() && (!begins_anew || is_alone(view));
        let (view, mut watch) = store.view_and_watch();
        let mut stands = does_stand(&view);
        while !stands {
            match watch.recv().await {
                Ok(_) => {}
                Err(store::WatchError::Lagged(_)) => watch = store.view_and_watch().1,
                Err(store::WatchError::Closed) => return Err("the store has stopped".to_owned()),
            }
            stands = does_stand(&store.view());
        }
        self.record.disk.forget_genesis().map_err(|error| with_causes(&error))?;
        self.record.change(|node| node.begins_anew = false).await.map_err(|error| error.message)
    }
}

/// Tells this node's agent where the leader is.
async fn tell_leader(
    leader: watch::Sender<Option<SocketAddr>>,
    mut status: watch::Receiver<raft::RaftStatus>,
    cancel: CancellationToken,
) {
    loop {
        let addr = status.borrow_and_update().leader.as_ref().map(|leader| leader.addr);
        leader.send_if_modified(|current| std::mem::replace(current, addr) != addr);
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = status.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

fn raft_failed(error: impl std::fmt::Display) -> ManagingError {
    ManagingError::Part { part: "raft", reason: error.to_string() }
}

/// Adds a part that ends only when it is told to.
fn add(parts: &mut JoinSet<PartEnd>, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
    parts.spawn(async move {
        part.await;
        (name, Ok(()))
    });
}

/// What the end of a part means for the manager.
fn end_of(
    ended: Option<Result<PartEnd, tokio::task::JoinError>>,
    token: &CancellationToken,
) -> Result<(), ManagingError> {
    let failed = |part: &'static str, reason: String| {
        warn!(part, reason, "a part of the manager has ended");
        Err(ManagingError::Part { part, reason })
    };
    match ended {
        _ if token.is_cancelled() => Ok(()),
        Some(Ok((part, Ok(())))) => failed(part, "it ended by itself".to_owned()),
        Some(Ok((part, Err(reason)))) => failed(part, reason),
        Some(Err(panic)) => failed("a part", panic.to_string()),
        None => failed("a part", "none is left".to_owned()),
    }
}
