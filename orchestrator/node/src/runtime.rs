//! The node: takes its state from disk or from a bootstrap file, and lives from there until the process ends.
//!
//! One loop, one command at a time. What a phase runs is awaited before the next phase begins.

mod locked;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{JoinOrder, Joined};
use async_trait::async_trait;
use ca::{InvalidUnlockKey, JoinToken};
use model::{ClusterId, NodeId, Role, Secret, SwarmError};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::address::{advertise_addr, data_path_addr, listen_addr, remote_addr};
use crate::bootstrap::{TakenOver, take_over};
use crate::command::{Answer, Command};
use crate::disk::{Disk, DiskError, NewNode, NodeFile};
use crate::founding::{self, Addresses, Founding};
use crate::guard::GuardTable;
use crate::keyring::Keyring;
use crate::member::{Member, MemberEnd, Waiting, cannot_listen};
use crate::phase::Happening;
use crate::record::{Record, blocking};
use crate::settings::Parts;
use crate::shared::Shared;
use crate::{
    ApiTls, InitRequest, JoinRequest, ManagerAccess, NodeSettings, NodeView, SwarmCondition, SwarmNode, anew, local,
    words,
};

/// Commands that wait while one is executed: those of a handful of operators.
const COMMANDS: usize = 16;
/// How long `join` waits before it goes on in the background (Docker's).
const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// How long `unlock` waits for the node to be a member again. Without a leader it is none, however long one waits.
const UNLOCK_PATIENCE: Duration = Duration::from_secs(10);
/// Before what is on disk is tried again, where it could not be started.
const RETRY: Duration = Duration::from_secs(1);

/// The keys of a membership that goes on, and who waits for it.
type GoingOn = (Keyring, Option<Waiting>);

/// Why a node could not start at all.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its state cannot be read or written.
    #[error("failed to take up the node's state")]
    Disk(#[from] DiskError),
}

/// A node, before it runs.
#[derive(Debug)]
pub struct NodeRuntime {
    parts: Parts,
    disk: Disk,
    run_dir: PathBuf,
    commands: mpsc::Receiver<Command>,
    door: Arc<Door>,
}

/// A node as the Engine API uses it.
#[derive(Debug)]
struct Door {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

impl NodeRuntime {
    /// Builds a node; nothing is read or sent before [`run`](Self::run).
    pub fn new(settings: NodeSettings) -> Self {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared::new());
        let parts = Parts {
            hostname: settings.hostname,
            engine: settings.engine,
            executor: settings.executor,
            clock: settings.clock,
            raft_settings: settings.raft,
            api_tls: watch::Sender::new(None),
            guard: GuardTable::new(settings.guard),
            ending: settings.ending,
            shared: Arc::clone(&shared),
            rng: Arc::new(Mutex::new(settings.rng)),
        };
        let door = Arc::new(Door { commands: sender, shared });
        Self { parts, disk: Disk::new(settings.data_dir), run_dir: settings.run_dir, commands, door }
    }

    /// The node as the Engine API uses it; good for the life of the process.
    pub fn node(&self) -> Arc<dyn SwarmNode> {
        Arc::clone(&self.door) as Arc<dyn SwarmNode>
    }

    /// Ends once the node has looked at its disk, which [`run`](Self::run) does first: from then on it shows what it is.
    /// A manager that was one before also has a while to stand again, so that nobody is told that it is being prepared.
    pub fn known(&self) -> impl Future<Output = ()> + Send + 'static {
        self.parts.shared.known()
    }

    /// What the API's TLS listener serves with: present on managers of a swarm that has a client authority.
    pub fn api_tls(&self) -> watch::Receiver<Option<ApiTls>> {
        self.parts.api_tls.subscribe()
    }

    /// Lives until cancelled.
    ///
    /// # Errors
    /// The state on disk is damaged: it is left as it is, for a human to look at.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), NodeError> {
        self.take_over().await?;
        // What is on disk is taken up again for as long as it takes; a new membership is begun once.
        let mut begun: Option<Member> = None;
        let mut going_on: Option<GoingOn> = None;
        while !cancel.is_cancelled() {
            let member = match begun.take() {
                Some(member) => Some(member),
                None => self.take_up(&cancel, going_on.take()).await?,
            };
            let Some(member) = member else {
                self.parts.shared.show_outside();
                begun = Box::pin(self.inactive(&cancel)).await;
                continue;
            };
            let end = Box::pin(member.run(&mut self.commands, cancel.clone())).await;
            going_on = match end {
                MemberEnd::Anew { addresses, keyring, answer } => {
                    let waiting = self.begin_anew(addresses, &keyring, answer).await;
                    Some((keyring, waiting))
                }
                MemberEnd::Cancelled | MemberEnd::Left(_) | MemberEnd::Failed => {
                    self.ended(end).await;
                    None
                }
            };
        }
        Ok(())
    }

    async fn take_over(&self) -> Result<(), DiskError> {
        let (disk, run_dir, hostname) = (self.disk.clone(), self.run_dir.clone(), self.parts.hostname.clone());
        let taken = tokio::task::spawn_blocking(move || take_over(&disk, &run_dir, &hostname)).await;
        match taken.expect("taking over a file does not panic")? {
            TakenOver::Nothing => {}
            TakenOver::Taken => info!("took the bootstrap file over"),
            TakenOver::Refused(why) => {
                error!(why, "refused the bootstrap file");
                self.parts.shared.set_error(why);
            }
        }
        Ok(())
    }

    /// Decides on disk that the swarm goes on with this manager alone; who waits for it where that is so.
    async fn begin_anew(&self, addresses: Addresses, keyring: &Keyring, answer: Answer<NodeId>) -> Option<Waiting> {
        match anew::decide(&self.disk, keyring.seal(), addresses, self.parts.fork_rng()).await {
            Ok(()) => Some(Waiting::Anew(answer)),
            Err(error) => {
                answer.give(Err(error));
                None
            }
        }
    }

    /// The member that is on disk, if there is one. Waits where it cannot be started: somebody else has its ports.
    async fn take_up(
        &mut self,
        cancel: &CancellationToken,
        going_on: Option<GoingOn>,
    ) -> Result<Option<Member>, DiskError> {
        let found = match going_on {
            Some(going_on) => Some(going_on),
            None => self.find_keys(cancel).await?,
        };
        let Some((keyring, mut waiting)) = found else {
            return Ok(None);
        };
        loop {
            let Some(node) = self.disk.node()? else {
                return Ok(None);
            };
            let identity = keyring.identity()?;
            let role = ca::CertificateInfo::from_pem(&identity.certificate_pem).map_or(Role::Worker, |info| info.role);
            self.parts.shared.show_taken_up(&node, role);
            let record = Record::new(self.disk.clone(), keyring.clone(), node);
            match Member::open(self.parts.clone(), record, identity, waiting.take()).await {
                Ok(member) => return Ok(Some(member)),
                Err((error, unlocked)) => {
                    warn!(%error, "failed to take part in the swarm; trying again");
                    if let Some(unlocked) = unlocked {
                        unlocked.refuse(words::not_started(&error));
                    }
                    self.parts.shared.show_stuck(error.message);
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(None),
                () = tokio::time::sleep(RETRY) => {}
                command = self.commands.recv() => match command {
                    None => return Ok(None),
                    Some(Command::Leave { answer, .. }) => self.ended(MemberEnd::Left(answer)).await,
                    Some(other) => other.refuse(words::already_member()),
                },
            }
        }
    }

    /// Waits for a command; gives a member where one has begun.
    async fn inactive(&mut self, cancel: &CancellationToken) -> Option<Member> {
        let command = tokio::select! {
            () = cancel.cancelled() => return None,
            command = self.commands.recv() => command?,
        };
        match command {
            Command::Leave { answer, .. } => {
                answer.give(Err(words::no_swarm()));
                None
            }
            Command::Unlock { answer, .. } => {
                answer.give(Err(words::not_in_swarm()));
                None
            }
            Command::Init { request, answer } => self.init(*request, answer).await,
            Command::Join { request, answer } => self.join(*request, answer, cancel).await,
        }
    }

    async fn init(&mut self, request: InitRequest, answer: Answer<NodeId>) -> Option<Member> {
        match self.found(request).await {
            Ok((record, identity)) => self.begin(record, identity, Waiting::Init(answer)).await,
            Err(error) => {
                answer.give(Err(error));
                None
            }
        }
    }

    async fn found(&self, request: InitRequest) -> Result<(Record, rpc::Identity), SwarmError> {
        founding::check(&request)?;
        let locals = local::addresses().await?;
        let listen = listen_addr(request.listen_addr.as_deref(), &locals)?;
        let addresses = Addresses {
            listen,
            advertise: advertise_addr(request.advertise_addr.as_deref(), listen, &locals)?,
            data_path: data_path_addr(request.data_path_addr.as_deref(), &locals)?,
        };
        check_ports(addresses).await?;
        let mut rng = self.parts.fork_rng();
        let now = self.parts.clock.now();
        let Founding { node, identity, genesis } =
            founding::found(request, addresses, &self.parts.hostname, now, &mut rng)?;
        let (disk, kept, on_disk) = (self.disk.clone(), identity.clone(), node.clone());
        blocking(move || {
            disk.wipe()?;
            disk.keep_genesis(&genesis)?;
            disk.keep_identity(&kept)?;
            disk.keep_node(&on_disk)
        })
        .await?;
        Ok((self.record(node), identity))
    }

    async fn join(&mut self, request: JoinRequest, answer: Answer<()>, cancel: &CancellationToken) -> Option<Member> {
        let (order, addresses) = match join_order(&request).await {
            Ok(order) => order,
            Err(error) => {
                answer.give(Err(error));
                return None;
            }
        };
        self.parts.shared.happened(Happening::Join);
        let mut rng = self.parts.fork_rng();
        let mut joining = Box::pin(agent::join(&order, &mut rng));
        let outcome = loop {
            tokio::select! {
                () = cancel.cancelled() => {
                    answer.give(Err(words::stopping()));
                    return None;
                }
                outcome = &mut joining => break outcome,
                command = self.commands.recv() => match command {
                    None => return None,
                    Some(Command::Leave { answer: leaving, .. }) => {
                        self.parts.shared.happened(Happening::Leave);
                        self.parts.shared.happened(Happening::Left);
                        answer.give(Err(words::no_swarm()));
                        leaving.give(Ok(()));
                        return None;
                    }
                    Some(other) => other.refuse(words::already_member()),
                },
            }
        };
        drop(joining);
        let kept = match outcome {
            Ok(joined) => self.keep_joined(joined, &order, addresses).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok((record, identity)) => self.begin(record, identity, Waiting::Join(answer)).await,
            Err(error) => {
                self.parts.shared.happened(Happening::JoinFailed);
                if !answer.is_awaited() {
                    // Who asked was told that joining goes on: `docker info` says what became of it.
                    self.parts.shared.show_failed(error.message.clone());
                }
                answer.give(Err(error));
                None
            }
        }
    }

    async fn keep_joined(
        &self,
        joined: Joined,
        order: &JoinOrder,
        addresses: Addresses,
    ) -> Result<(Record, rpc::Identity), SwarmError> {
        let Joined { node_id, identity, roots, .. } = joined;
        let node = NewNode {
            node_id,
            cluster_id: cluster_of(&identity)?,
            roots,
            listen: addresses.listen,
            advertise: addresses.advertise,
            data_path: addresses.data_path,
            // Who answers there is not known yet: the first session tells the managers by name.
            managers: Vec::new(),
            remotes: order.remotes.clone(),
            raft_id: None,
            is_first_key: false,
            nonce: None,
        };
        let (disk, kept) = (self.disk.clone(), identity.clone());
        let node = NodeFile::from(node);
        let on_disk = node.clone();
        blocking(move || {
            disk.wipe()?;
            disk.keep_identity(&kept)?;
            disk.keep_node(&on_disk)
        })
        .await?;
        Ok((self.record(node), identity))
    }

    /// The record of a membership that begins.
    fn record(&self, node: NodeFile) -> Record {
        Record::new(self.disk.clone(), Keyring::new(self.disk.clone(), self.parts.fork_rng()), node)
    }

    /// Opens a membership that is on disk now; takes it back where that fails.
    async fn begin(&mut self, record: Record, identity: rpc::Identity, waiting: Waiting) -> Option<Member> {
        let role = ca::CertificateInfo::from_pem(&identity.certificate_pem).map_or(Role::Worker, |info| info.role);
        self.parts.shared.happened(Happening::Certified(role));
        match Member::open(self.parts.clone(), record, identity, Some(waiting)).await {
            Ok(member) => Some(member),
            Err((error, waiting)) => {
                self.ended(MemberEnd::Failed).await;
                if let Some(waiting) = waiting {
                    waiting.refuse(error);
                }
                None
            }
        }
    }

    /// Wipes what a membership leaves behind, unless it goes on with the next process.
    async fn ended(&self, end: MemberEnd) {
        let answer = match end {
            MemberEnd::Cancelled | MemberEnd::Anew { .. } => return,
            MemberEnd::Left(answer) => Some(answer),
            MemberEnd::Failed => None,
        };
        self.parts.shared.happened(Happening::Leave);
        self.parts.close_api();
        // Before the state goes: a process that ends in between is a member again with the next one, which guards anew.
        self.parts.guard.lift().await;
        let disk = self.disk.clone();
        let wiped = blocking(move || disk.wipe()).await;
        self.parts.shared.happened(Happening::Left);
        if let Err(error) = &wiped {
            error!(%error, "failed to wipe the state of the swarm that was left");
        }
        if let Some(answer) = answer {
            answer.give(wiped);
        }
    }
}

/// Reads what is asked of a join, and finds the addresses.
async fn join_order(request: &JoinRequest) -> Result<(JoinOrder, Addresses), SwarmError> {
    let token: JoinToken = request
        .join_token
        .trim()
        .parse()
        .map_err(|error| SwarmError::invalid(format!("invalid join token: {error}")))?;
    let remotes: Vec<SocketAddr> =
        request.remote_addrs.iter().map(|text| remote_addr(text)).collect::<Result<_, _>>()?;
    let first = *remotes.first().ok_or_else(|| SwarmError::invalid("at least 1 RemoteAddr is required to join"))?;
    let locals = local::addresses().await?;
    let listen = listen_addr(request.listen_addr.as_deref(), &locals)?;
    let is_given = request.advertise_addr.as_deref().is_some_and(|text| !text.is_empty());
    let advertise = match local::towards(first).filter(|_| !is_given && listen.ip().is_unspecified()) {
        Some(addr) => SocketAddr::new(addr, listen.port()),
        None => advertise_addr(request.advertise_addr.as_deref(), listen, &locals)?,
    };
    let addresses =
        Addresses { listen, advertise, data_path: data_path_addr(request.data_path_addr.as_deref(), &locals)? };
    check_ports(addresses).await?;
    let order = JoinOrder { remotes, token, availability: request.availability, addr: advertise.ip() };
    Ok((order, addresses))
}

/// Whether the ports are free: said before anything has begun.
async fn check_ports(addresses: Addresses) -> Result<(), SwarmError> {
    let listen = addresses.listen;
    TcpListener::bind(listen).await.map_err(|error| cannot_listen("tcp", listen, &error))?;
    let gossip = SocketAddr::new(addresses.advertise.ip(), model::GOSSIP_PORT);
    match UdpSocket::bind(gossip).await {
        // The address is one that a gateway translates; which of ours it is cannot be told.
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => Ok(()),
        bound => bound.map(drop).map_err(|error| cannot_listen("udp", gossip, &error)),
    }
}

/// The swarm that a certificate names.
fn cluster_of(identity: &rpc::Identity) -> Result<ClusterId, SwarmError> {
    ca::CertificateInfo::from_pem(&identity.certificate_pem)
        .map(|certificate| certificate.cluster_id)
        .map_err(|error| SwarmError::internal(format!("the swarm sent a certificate that cannot be read: {error}")))
}

impl Door {
    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, SwarmError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(Answer(answer))).await.map_err(|_closed| words::stopping())?;
        answered.await.map_err(|_closed| words::stopping())?
    }
}

#[async_trait]
impl SwarmNode for Door {
    fn view(&self) -> NodeView {
        self.shared.view()
    }

    async fn init(&self, request: InitRequest) -> Result<NodeId, SwarmError> {
        self.ask(|answer| Command::Init { request: Box::new(request), answer }).await
    }

    async fn join(&self, request: JoinRequest) -> Result<(), SwarmError> {
        let joined = self.ask(|answer| Command::Join { request: Box::new(request), answer });
        tokio::time::timeout(JOIN_PATIENCE, joined).await.unwrap_or_else(|_elapsed| Err(words::join_timeout()))
    }

    async fn unlock(&self, key: &Secret) -> Result<(), SwarmError> {
        if self.shared.view().condition != SwarmCondition::Locked {
            return Err(self.manager().err().unwrap_or_else(words::not_locked));
        }
        let key = key.expose().parse().map_err(|invalid: InvalidUnlockKey| match invalid {
            InvalidUnlockKey::NotAKey => SwarmError::invalid(invalid.to_string()),
            InvalidUnlockKey::WrongLength { .. } => words::wrong_unlock_key(),
        })?;
        let unlocked = self.ask(|answer| Command::Unlock { key, answer });
        match tokio::time::timeout(UNLOCK_PATIENCE, unlocked).await {
            Ok(outcome) => outcome,
            // A key that does not fit is refused at once: this one did, and the other managers may be locked as well.
            Err(_elapsed) => Ok(()),
        }
    }

    async fn leave(&self, force: bool) -> Result<(), SwarmError> {
        self.ask(|answer| Command::Leave { force, answer }).await
    }

    fn manager(&self) -> Result<Arc<dyn ManagerAccess>, SwarmError> {
        self.shared.manager()
    }
}
