//! A node while it is a member of a swarm: its agent always, its manager while its certificate says so.
//!
//! ```text
//! agent says: role manager ──> the manager starts      role worker ──> it stops, and its log goes
//! agent says: removed      ──> everything stops; the node shows why until it is told to leave
//! told to leave            ──> out of raft, farewell to the managers, everything stops
//! cancelled                ──> farewell "back in a moment", leadership handed over, everything stops
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, AgentEnd, AgentParts, AgentView, Farewell, Remote};
use gossip::GossipView;
use model::{GOSSIP_PORT, NodeId, RaftId, Role, SwarmError};
use rpc::{Connector, MembershipClient, TlsState, Trust};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::command::{Answer, Command};
use crate::disk::NodeFile;
use crate::genesis::GenesisFile;
use crate::guard::Guard;
use crate::managing::{Managing, ManagingError, Standing};
use crate::record::{Record, blocking, chain};
use crate::settings::Parts;
use crate::{access, words};

/// Before a manager that failed is started again.
const RESTART: Duration = Duration::from_secs(1);
/// How long asking the swarm may take before a manager is warned about leaving.
const COUNT: Duration = Duration::from_secs(3);
/// How long a leaving manager waits to be taken out of raft; it leaves all the same.
const TAKE_OUT: Duration = Duration::from_secs(5);

/// How long a leader that stops waits for its agent to find the next one.
const FOLLOW: Duration = Duration::from_secs(1);

/// What is told the caller of `init` or `join` once the node is what it was asked to become.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// `init`.
    Init(Answer<NodeId>),
    /// `join`.
    Join(Answer<()>),
}

/// How a membership ended.
#[derive(Debug)]
pub(crate) enum MemberEnd {
    /// The process ends; the membership goes on with the next one.
    Cancelled,
    /// The node has left: its state is to be wiped, and this caller told.
    Left(Answer<()>),
    /// It never began: its state is to be wiped. The caller has been told.
    Failed,
}

/// A member.
#[derive(Debug)]
pub(crate) struct Member {
    parts: Parts,
    record: Record,
    genesis: Option<GenesisFile>,
    tls: TlsState,
    connector: Connector,
    agent: Option<Agent>,
    guard: Option<Guard>,
    view: watch::Receiver<AgentView>,
    liveness: watch::Receiver<GossipView>,
    leader: watch::Sender<Option<SocketAddr>>,
    farewell: watch::Sender<Farewell>,
    ready: watch::Sender<Option<Standing>>,
    waiting: Option<Waiting>,
    manager: Option<RunningManager>,
    restart_at: Option<Instant>,
    agent_token: CancellationToken,
    is_agent_running: bool,
    tasks: JoinSet<Ended>,
}

/// The manager that runs.
#[derive(Debug)]
struct RunningManager {
    token: CancellationToken,
    /// It was told to stop because the certificate is a worker's: its place in raft is gone, whatever comes next.
    is_demoted: bool,
}

/// A part that ended.
#[derive(Debug)]
enum Ended {
    Agent(AgentEnd),
    /// With the agent, for which it stands.
    Guard,
    Manager(Result<(), ManagingError>),
}

impl Member {
    /// Builds what is on disk; nothing runs yet.
    pub(crate) async fn open(
        parts: Parts,
        record: Record,
        identity: rpc::Identity,
        waiting: Option<Waiting>,
    ) -> Result<Self, (SwarmError, Option<Waiting>)> {
        match Self::build(&parts, &record, identity).await {
            Ok(built) => Ok(Self::assemble(parts, record, built, waiting)),
            Err(error) => Err((error, waiting)),
        }
    }

    async fn build(parts: &Parts, record: &Record, identity: rpc::Identity) -> Result<Built, SwarmError> {
        let node = record.node();
        let disk = record.disk.clone();
        let genesis = blocking(move || disk.genesis()).await?;
        let unusable = |error: &dyn std::error::Error| {
            SwarmError::internal(format!("the node's certificate cannot be used: {}", chain(error)))
        };
        let certificate = ca::CertificateInfo::from_pem(&identity.certificate_pem).map_err(|error| unusable(&error))?;
        let trust = Trust { roots: node.roots.clone(), cluster_id: Some(node.cluster_id.clone()) };
        let tls = TlsState::new(Some(identity.clone()), &trust).map_err(|error| unusable(&error))?;
        let connector = Connector::new(tls.clone());
        let guard = Guard::raise(&parts.guard, &node, genesis.as_ref()).await;
        let gossip_socket = gossip_socket(node.advertise).await?;
        let leader = watch::Sender::new(None);
        let farewell = watch::Sender::new(Farewell::Restart);
        let clock = parts.clock.clone();
        let agent = Agent::new(AgentParts {
            node_id: node.node_id.clone(),
            advertise: node.advertise,
            engine: Arc::clone(&parts.engine),
            tls: tls.clone(),
            certificate: identity.certificate_pem,
            role: certificate.role,
            roots: node.roots.clone(),
            connector: connector.clone(),
            managers: first_remotes(&node),
            members: genesis.as_ref().map(GenesisFile::members).unwrap_or_default(),
            gossip_keys: genesis.iter().map(|genesis| genesis.gossip_key.clone()).collect(),
            gossip_socket,
            leader: leader.subscribe(),
            farewell: farewell.subscribe(),
            keeper: Arc::new(record.clone()),
            is_first_key: node.is_first_key,
            clock: Arc::new(move || clock.now()),
            rng: parts.fork_rng(),
        });
        Ok(Built { genesis, tls, connector, agent, guard, leader, farewell })
    }

    fn assemble(parts: Parts, record: Record, built: Built, waiting: Option<Waiting>) -> Self {
        let Built { genesis, tls, connector, agent, guard, leader, farewell } = built;
        Self {
            parts,
            record,
            genesis,
            tls,
            connector,
            view: agent.view(),
            liveness: agent.liveness(),
            agent: Some(agent),
            guard,
            leader,
            farewell,
            ready: watch::Sender::new(None),
            waiting,
            manager: None,
            restart_at: None,
            agent_token: CancellationToken::new(),
            is_agent_running: false,
            tasks: JoinSet::new(),
        }
    }

    /// Runs the membership until it ends.
    pub(crate) async fn run(mut self, commands: &mut mpsc::Receiver<Command>, cancel: CancellationToken) -> MemberEnd {
        let agent = self.agent.take().expect("a member is run once, with the agent it was built with");
        let token = self.agent_token.clone();
        self.tasks.spawn(async move { Ended::Agent(agent.run(token).await) });
        self.is_agent_running = true;
        if let Some(guard) = self.guard.take() {
            let (view, token) = (self.view.clone(), self.agent_token.clone());
            self.tasks.spawn(async move {
                guard.run(view, token).await;
                Ended::Guard
            });
        }
        let mut view = self.view.clone();
        let mut ready = self.ready.subscribe();
        let end = loop {
            self.follow_role().await;
            self.show();
            self.answer_waiting();
            tokio::select! {
                () = cancel.cancelled() => break MemberEnd::Cancelled,
                command = commands.recv() => match command {
                    None => break MemberEnd::Cancelled,
                    Some(Command::Leave { force, answer }) => match self.may_leave(force).await {
                        Ok(()) => {
                            self.farewell.send_replace(Farewell::Leave);
                            self.leave_raft().await;
                            break MemberEnd::Left(answer);
                        }
                        Err(refusal) => answer.give(Err(refusal)),
                    },
                    Some(other) => other.refuse(words::already_member()),
                },
                changed = view.changed() => if changed.is_ok() {
                    self.learn().await;
                },
                _ = ready.changed() => {}
                () = until(self.restart_at) => self.restart_at = None,
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(Ended::Manager(outcome)) => {
                        if self.manager_ended(outcome).await {
                            break MemberEnd::Failed;
                        }
                    }
                    Ok(Ended::Guard) => debug!("the guard follows no roster any more"),
                    Ok(Ended::Agent(ended)) => {
                        self.is_agent_running = false;
                        let why = match ended {
                            AgentEnd::Removed(why) => why,
                            AgentEnd::Cancelled => "no manager is known".to_owned(),
                        };
                        error!(why, "this node takes no part in the swarm any more");
                        break self.rest_failed(why, commands, &cancel).await;
                    }
                    Err(panic) => {
                        error!(%panic, "a part of the node has failed");
                        self.is_agent_running = false;
                        break self.rest_failed(panic.to_string(), commands, &cancel).await;
                    }
                },
            }
        };
        if matches!(end, MemberEnd::Cancelled) {
            self.hand_over().await;
        }
        self.stop().await;
        end
    }

    /// Starts or stops the manager as the certificate says.
    async fn follow_role(&mut self) {
        let role = self.view.borrow().role;
        match (role, &mut self.manager) {
            (Role::Manager, None) if self.restart_at.is_none() => self.start_manager().await,
            (Role::Worker, Some(running)) => {
                running.is_demoted = true;
                running.token.cancel();
            }
            (Role::Manager, _) | (Role::Worker, None) => {}
        }
    }

    async fn start_manager(&mut self) {
        let raft_id = match self.raft_id().await {
            Ok(raft_id) => raft_id,
            Err(error) => {
                error!(%error, "failed to keep the node's raft id; trying again");
                self.restart_at = Some(Instant::now() + RESTART);
                return;
            }
        };
        let node = self.record.node();
        let managing = Managing {
            node_id: node.node_id,
            raft_id,
            hostname: self.parts.hostname.clone(),
            listen: node.listen,
            advertise: node.advertise,
            disk: self.record.disk.clone(),
            tls: self.tls.clone(),
            connector: self.connector.clone(),
            engine: Arc::clone(&self.parts.engine),
            agent: self.view.clone(),
            liveness: self.liveness.clone(),
            genesis: self.genesis.clone(),
            clock: self.parts.clock.clone(),
            raft_settings: self.parts.raft_settings.clone(),
            leader: self.leader.clone(),
            api_tls: self.parts.api_tls.clone(),
            ready: self.ready.clone(),
        };
        let token = CancellationToken::new();
        let (rng, cancel) = (self.parts.fork_rng(), token.clone());
        self.tasks.spawn(async move { Ended::Manager(Box::pin(managing.run(rng, cancel)).await) });
        self.manager = Some(RunningManager { token, is_demoted: false });
    }

    /// The raft id of this membership in raft; drawn afresh where there is none.
    async fn raft_id(&self) -> Result<RaftId, SwarmError> {
        if let Some(raft_id) = self.record.node().raft_id {
            return Ok(raft_id);
        }
        let disk = self.record.disk.clone();
        blocking(move || disk.forget_raft()).await?;
        let raft_id = RaftId::generate(&mut self.parts.fork_rng());
        self.record.change(move |node| node.raft_id = Some(raft_id)).await?;
        Ok(raft_id)
    }

    /// Takes note of a manager's end; `true` where `init` has failed by it.
    async fn manager_ended(&mut self, outcome: Result<(), ManagingError>) -> bool {
        let is_demoted = self.manager.take().is_some_and(|manager| manager.is_demoted);
        let is_retired = matches!(outcome, Err(ManagingError::Retired(_)));
        match outcome {
            Err(ManagingError::Retired(raft_id)) => {
                info!(%raft_id, "the swarm has removed this manager from raft and wants it again; joining anew");
            }
            Err(failure) => {
                warn!(%failure, "the manager of this node has ended; starting it again");
                self.restart_at = Some(Instant::now() + RESTART);
                if let Some(Waiting::Init(answer)) = self.waiting.take_if(|waiting| matches!(waiting, Waiting::Init(_)))
                {
                    answer.give(Err(SwarmError::internal(failure.to_string())));
                    return true;
                }
                self.parts.shared.set_error(failure.to_string());
            }
            Ok(()) => {}
        }
        if is_demoted {
            info!("this node is a manager no more");
        }
        if is_demoted || is_retired {
            self.forget_place().await;
        }
        false
    }

    /// Forgets the place in raft: the log, the id, and the beginning that they came from.
    async fn forget_place(&mut self) {
        self.genesis = None;
        let disk = self.record.disk.clone();
        let forgotten = blocking(move || disk.forget_genesis().and_then(|()| disk.forget_raft())).await;
        if let Err(error) = forgotten.and(self.record.change(|node| node.raft_id = None).await) {
            error!(%error, "failed to forget the raft log; trying again");
            self.restart_at = Some(Instant::now() + RESTART);
        }
    }

    /// Keeps what the managers say.
    async fn learn(&mut self) {
        let Some(message) = self.view.borrow().message.clone() else {
            return;
        };
        let (managers, roots) = (message.managers.clone(), message.roots.clone());
        let kept = self.record.change(move |node| {
            if !managers.is_empty() {
                node.managers = managers;
            }
            node.roots = roots;
        });
        if let Err(error) = kept.await {
            error!(%error, "failed to keep what the managers said");
        }
        // A worker needs nothing more of its bootstrap file; a manager forgets it once the swarm is in its store.
        if self.view.borrow().role == Role::Worker && self.genesis.take().is_some() {
            let disk = self.record.disk.clone();
            if let Err(error) = blocking(move || disk.forget_genesis()).await {
                error!(%error, "failed to forget the bootstrap file");
            }
        }
    }

    /// Shows how the node stands.
    fn show(&self) {
        let view = self.view.borrow();
        let standing = self.ready.borrow();
        let node = self.record.node();
        self.parts.shared.show_member(&node, &view, standing.as_ref());
    }

    /// Tells the caller of `init` or `join` once the node is there.
    fn answer_waiting(&mut self) {
        let view = self.view.borrow();
        let is_in_session = view.manager.is_some();
        let is_complete = is_in_session && (view.role == Role::Worker || self.ready.borrow().is_some());
        drop(view);
        if !is_complete {
            return;
        }
        match self.waiting.take() {
            Some(Waiting::Init(answer)) => answer.give(Ok(self.record.node().node_id)),
            Some(Waiting::Join(answer)) => answer.give(Ok(())),
            None => {}
        }
    }

    /// A manager leaves by force only.
    async fn may_leave(&self, force: bool) -> Result<(), SwarmError> {
        if force || self.view.borrow().role == Role::Worker {
            return Ok(());
        }
        let standing = self.ready.borrow().clone();
        let reading = match standing {
            Some(standing) => tokio::time::timeout(COUNT, standing.access.read()).await.ok().and_then(Result::ok),
            None => None,
        };
        let counted = reading.map(|reading| {
            let managers = access::managers(&reading);
            let reachable = managers.values().filter(|manager| manager.is_reachable).count();
            (reachable, managers.len() - reachable)
        });
        Err(words::leaving_manager(counted))
    }

    /// Leaves raft as well as it can: with the others' consent, so that their quorum shrinks with them.
    async fn leave_raft(&self) {
        let Some(standing) = self.ready.borrow().clone() else {
            return;
        };
        if standing.raft.status().borrow().members.len() <= 1 {
            return;
        }
        match tokio::time::timeout(TAKE_OUT, self.ask_out(&standing)).await {
            Ok(Ok(())) => info!("left raft"),
            Ok(Err(reason)) => warn!(reason, "leaving without being taken out of raft"),
            Err(_elapsed) => warn!("leaving without being taken out of raft: nobody answered in time"),
        }
    }

    async fn ask_out(&self, standing: &Standing) -> Result<(), String> {
        let mut status = standing.raft.status();
        if status.borrow().is_leader {
            standing.raft.transfer_leadership().await.map_err(|error| error.to_string())?;
        }
        let is_other = |status: &raft::RaftStatus| !status.is_leader && status.leader.is_some();
        let leader = status.wait_for(is_other).await.map_err(|error| error.to_string())?.leader.clone();
        let leader = leader.ok_or("there is no leader")?;
        let client = MembershipClient::new(self.connector.channel(leader.addr, Some(leader.node_id)));
        client.leave().await.map_err(|status| status.message().to_owned())
    }

    /// Stops everything and shows why, until the node is told to leave or the process ends.
    async fn rest_failed(
        &mut self,
        why: String,
        commands: &mut mpsc::Receiver<Command>,
        cancel: &CancellationToken,
    ) -> MemberEnd {
        self.stop().await;
        match self.waiting.take() {
            Some(Waiting::Init(answer)) => answer.give(Err(SwarmError::unavailable(why.clone()))),
            Some(Waiting::Join(answer)) => answer.give(Err(SwarmError::unavailable(why.clone()))),
            None => {}
        }
        self.parts.shared.show_failed(why);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return MemberEnd::Cancelled,
                command = commands.recv() => match command {
                    None => return MemberEnd::Cancelled,
                    Some(Command::Leave { answer, .. }) => return MemberEnd::Left(answer),
                    Some(other) => other.refuse(words::already_member()),
                },
            }
        }
    }

    /// Lets another manager lead before this one restarts, so that no write fails and the farewell reaches a leader
    /// that will be there to remember it.
    async fn hand_over(&self) {
        let Some(standing) = self.ready.borrow().clone() else {
            return;
        };
        if !standing.raft.status().borrow().is_leader {
            return;
        }
        match standing.raft.transfer_leadership().await {
            Ok(successor) => {
                info!(peer = %successor.node_id, "handed leadership over before stopping");
                let mut view = self.view.clone();
                let follows = |view: &AgentView| view.manager.as_ref().is_some_and(|at| at.addr == successor.addr);
                if tokio::time::timeout(FOLLOW, view.wait_for(follows)).await.is_err() {
                    debug!("stopping without a session with the new leader");
                }
            }
            // The only manager, or no other in reach: the others elect one when they miss this one.
            Err(error) => debug!(%error, "stopping without a hand-over"),
        }
    }

    /// Ends the agent, then the manager: while this node leads, the farewell goes to it.
    async fn stop(&mut self) {
        self.agent_token.cancel();
        while self.is_agent_running {
            match self.tasks.join_next().await {
                Some(Ok(Ended::Agent(_)) | Err(_)) | None => self.is_agent_running = false,
                Some(Ok(Ended::Manager(_))) => self.manager = None,
                Some(Ok(Ended::Guard)) => {}
            }
        }
        if let Some(running) = self.manager.take() {
            running.token.cancel();
        }
        while let Some(ended) = self.tasks.join_next().await {
            debug!(?ended, "part of the node ended");
        }
    }
}

/// What a member is assembled from.
struct Built {
    genesis: Option<GenesisFile>,
    tls: TlsState,
    connector: Connector,
    agent: Agent,
    guard: Option<Guard>,
    leader: watch::Sender<Option<SocketAddr>>,
    farewell: watch::Sender<Farewell>,
}

/// Whom to turn to first: the managers known last, or where the node was told to join.
fn first_remotes(node: &NodeFile) -> Vec<Remote> {
    if node.managers.is_empty() {
        return node.remotes.iter().map(|addr| Remote { addr: *addr, node: None }).collect();
    }
    let known = node.managers.iter();
    known.map(|peer| Remote { addr: peer.addr, node: Some(peer.node_id.clone()) }).collect()
}

/// The socket of the gossip: on the advertised address where it is the host's own, else on all of them.
async fn gossip_socket(advertise: SocketAddr) -> Result<UdpSocket, SwarmError> {
    let own = SocketAddr::new(advertise.ip(), GOSSIP_PORT);
    let any = SocketAddr::new(if own.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() }, GOSSIP_PORT);
    let socket = match UdpSocket::bind(own).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
            UdpSocket::bind(any).await.map_err(|error| cannot_listen("udp", any, &error))?
        }
        bound => bound.map_err(|error| cannot_listen("udp", own, &error))?,
    };
    // The runtime must have seen that the socket can send, or the first word to the others is lost.
    socket.writable().await.map_err(|error| cannot_listen("udp", own, &error))?;
    Ok(socket)
}

/// A port that somebody else has.
pub(crate) fn cannot_listen(protocol: &str, addr: SocketAddr, error: &std::io::Error) -> SwarmError {
    SwarmError::internal(format!("failed to listen on {protocol} {addr}: {error}"))
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
