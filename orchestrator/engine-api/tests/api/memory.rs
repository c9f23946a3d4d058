//! A swarm in memory, as one node sees it: it keeps versions, roles and refusals, and nothing else. Services are kept by
//! a real store, under the managers' own rules.

mod logs;
mod nodes;
mod secrets;
mod work;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use ca::{Authority, JoinToken, UnlockKey};
use jiff::Timestamp;
use logs::Written;
use manager::LoneControl;
use model::{
    Caller, Cluster, ClusterState, ControlRequest, ControlResponse, EngineDescription, ErrorKind, JoinSecrets,
    LogRequest, ManagerPeer, Meta, Node, NodeDescription, NodeHealth, NodeId, NodeSpec, NodeState, NodeStatus,
    Platform, RaftId, RaftMember, Resources, Role, RootCa, Secret, ServiceId, SwarmError, SwarmSpec, TlsInfo, Version,
};
use node::{
    InitRequest, JoinRequest, LogMessages, ManagerAccess, ManagerReachability, NodeView, SwarmCondition, SwarmNode,
    SwarmRead,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use work::is_of_services;

const OUTSIDE: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect \
                       this node to swarm and try again.";
const ON_A_WORKER: &str = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster \
                           state. Please run this command on a manager node or promote the current node to a manager.";
const MEMBER_ALREADY: &str = "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm \
                              and join another one.";
const LEAVING_A_MANAGER: &str = "You are attempting to leave the swarm on a node that is participating as a manager. \
                                 Removing the last manager erases all current state of the swarm. Use `--force` to \
                                 ignore this message. ";

const LOCKED: &str = "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm \
                      unlock\" to unlock it.";
const LEAVING_A_LOCKED_MANAGER: &str = "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore \
                                        this message.";

/// The node under the API.
#[derive(Debug)]
pub(crate) struct MemoryNode(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    condition: SwarmCondition,
    role: Role,
    index: u64,
    has_leader: bool,
    cluster: Option<Cluster>,
    nodes: BTreeMap<NodeId, Node>,
    callers: Vec<Caller>,
    work: Arc<LoneControl>,
    written: watch::Sender<Written>,
}

/// The id of the n-th node: `node-1` has the first.
pub(crate) fn id(number: usize) -> NodeId {
    format!("{number:0>5}abcdefghijklmnopqrst").parse().unwrap()
}

impl MemoryNode {
    /// In no swarm.
    pub(crate) fn inactive() -> Arc<Self> {
        Arc::new(Self(Arc::new(Mutex::new(State {
            condition: SwarmCondition::Inactive,
            role: Role::Manager,
            index: 10,
            has_leader: true,
            cluster: None,
            nodes: BTreeMap::new(),
            callers: Vec::new(),
            work: Arc::new(LoneControl::start(StdRng::seed_from_u64(1))),
            written: watch::Sender::default(),
        }))))
    }

    /// The leader of three managers and two workers.
    pub(crate) fn manager() -> Arc<Self> {
        let node = Self::inactive();
        let mut state = node.state();
        state.form(SwarmSpec::default());
        for (number, role) in [(2, Role::Manager), (3, Role::Manager), (4, Role::Worker), (5, Role::Worker)] {
            state.add(number, role);
        }
        drop(state);
        node
    }

    /// A worker of such a swarm.
    pub(crate) fn worker() -> Arc<Self> {
        let node = Self::manager();
        node.state().role = Role::Worker;
        node
    }

    /// The swarm loses its quorum.
    pub(crate) fn lose_the_leader(&self) {
        self.state().has_leader = false;
    }

    /// The manager restarts: with an unlock key it is locked.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        let is_locking = state.cluster.as_ref().is_some_and(|cluster| cluster.state.unlock_key.is_some());
        if is_locking {
            state.condition = SwarmCondition::Locked;
        }
    }

    /// A node is lost.
    pub(crate) fn set_down(&self, number: usize) {
        let mut state = self.state();
        let node = state.nodes.get_mut(&id(number)).unwrap();
        node.state.status.state = NodeHealth::Down;
        node.state.status.message = "heartbeat failure".to_owned();
    }

    /// Who asked for changes, in order.
    pub(crate) fn callers(&self) -> Vec<Caller> {
        self.state().callers.clone()
    }

    /// The name that a node has at the moment.
    pub(crate) fn rename(&self, number: usize, hostname: &str) {
        let mut state = self.state();
        let node = state.nodes.get_mut(&id(number)).unwrap();
        hostname.clone_into(&mut node.state.description.as_mut().unwrap().hostname);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn stamp(&mut self) -> Meta {
        self.index += 1;
        let now = Timestamp::now();
        Meta { version: Version(self.index), created_at: now, updated_at: now }
    }

    fn form(&mut self, spec: SwarmSpec) {
        let authority = Authority::generate("swarm-ca", Timestamp::now()).unwrap();
        let meta = self.stamp();
        self.cluster = Some(Cluster {
            id: "70ilmkj2f6sp2137c753w2nmt".parse().unwrap(),
            meta,
            spec,
            state: ClusterState {
                root_ca: RootCa::new(authority.certificate_pem(), authority.key_pem()),
                join_secrets: JoinSecrets { worker: Secret::new("w".repeat(25)), manager: Secret::new("m".repeat(25)) },
                unlock_key: None,
                gossip_keys: Vec::new(),
                client_ca: None,
                removed_nodes: Vec::new(),
                removed_raft_ids: Vec::new(),
                data_path_port: 4789,
                default_addr_pool: vec!["10.0.0.0/8".to_owned()],
                subnet_size: 24,
            },
        });
        self.condition = SwarmCondition::Active;
        self.draw_unlock_key(false);
        self.add(1, Role::Manager);
    }

    fn add(&mut self, number: usize, role: Role) {
        let meta = self.stamp();
        let member = (role == Role::Manager).then(|| member(number));
        let description = NodeDescription {
            hostname: format!("node-{number}"),
            platform: Platform { architecture: "x86_64".to_owned(), os: "linux".to_owned() },
            resources: Resources { nano_cpus: 2_000_000_000, memory_bytes: 2 << 30 },
            engine: EngineDescription {
                engine_version: engine::VERSION.to_owned(),
                labels: BTreeMap::from([("rack".to_owned(), format!("r{number}"))]),
                plugins: Vec::new(),
            },
            tls: self.tls_info(),
            prefixes: Vec::new(),
            log_format: model::LOG_FORMAT,
        };
        let status = NodeStatus { state: NodeHealth::Ready, message: String::new(), addr: format!("10.0.0.{number}") };
        let (is_unreachable, former_member) = (false, None);
        let state = NodeState { role, description: Some(description), status, member, former_member, is_unreachable };
        let spec = NodeSpec { role, ..NodeSpec::default() };
        self.nodes.insert(id(number), Node { id: id(number), meta, spec, state });
    }

    /// What a node says whose certificate the signing root has signed, and that trusts all roots.
    fn tls_info(&self) -> TlsInfo {
        let roots = self.cluster.as_ref().map(|cluster| cluster.state.root_ca.trusted()).unwrap_or_default();
        ca::swarm_tls_info(&roots).unwrap()
    }

    /// Whoever looks sees one more node that has followed the swarm's root, and in the end a swarm that is done.
    fn follow_root(&mut self) {
        let wanted = self.tls_info();
        let mut told = self.nodes.values_mut().map(|node| &mut node.state.description.as_mut().unwrap().tls);
        if let Some(told) = told.find(|told| **told != wanted) {
            *told = wanted;
            return;
        }
        let state = &mut self.cluster.as_mut().unwrap().state;
        if state.root_ca.rotation.is_some() {
            state.root_ca = state.root_ca.completed();
            state.join_secrets =
                JoinSecrets { worker: Secret::new("v".repeat(25)), manager: Secret::new("n".repeat(25)) };
        }
    }

    fn manages(&self) -> bool {
        self.condition == SwarmCondition::Active && self.role == Role::Manager
    }
}

fn member(number: usize) -> RaftMember {
    RaftMember { raft_id: RaftId(number as u64), addr: format!("10.0.0.{number}:2377").parse().unwrap() }
}

#[async_trait]
impl SwarmNode for MemoryNode {
    fn view(&self) -> NodeView {
        let state = self.state();
        let is_member = state.condition == SwarmCondition::Active;
        let managers = state.nodes.values().filter_map(|node| {
            let member = node.state.member.as_ref()?;
            Some(ManagerPeer { node_id: node.id.clone(), addr: member.addr })
        });
        NodeView {
            condition: state.condition,
            node_id: is_member.then(|| id(1)),
            cluster_id: state.cluster.as_ref().map(|cluster| cluster.id.clone()),
            addr: if is_member { "10.0.0.1".to_owned() } else { String::new() },
            is_manager: state.manages(),
            error: if state.condition == SwarmCondition::Locked { LOCKED.to_owned() } else { String::new() },
            managers: managers.collect(),
        }
    }

    async fn init(&self, request: InitRequest) -> Result<NodeId, SwarmError> {
        let mut state = self.state();
        if state.condition != SwarmCondition::Inactive {
            return Err(SwarmError::unavailable(MEMBER_ALREADY));
        }
        if request.advertise_addr.as_deref() == Some("nowhere") {
            return Err(SwarmError::invalid("could not find a system network interface named \"nowhere\""));
        }
        let mut spec = request.spec;
        spec.encryption_config.auto_lock_managers |= request.auto_lock_managers;
        state.form(spec);
        Ok(id(1))
    }

    async fn join(&self, request: JoinRequest) -> Result<(), SwarmError> {
        let mut state = self.state();
        if state.condition != SwarmCondition::Inactive {
            return Err(SwarmError::unavailable(MEMBER_ALREADY));
        }
        if request.join_token.parse::<JoinToken>().is_err() {
            return Err(SwarmError::invalid(
                "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster",
            ));
        }
        state.form(SwarmSpec::default());
        state.role = Role::Worker;
        Ok(())
    }

    async fn unlock(&self, key: &Secret) -> Result<(), SwarmError> {
        if self.state().condition != SwarmCondition::Locked {
            let not_locked = || SwarmError::new(ErrorKind::AlreadyExists, "swarm is not locked");
            return Err(self.manager().err().unwrap_or_else(not_locked));
        }
        let parsed = key.expose().parse::<UnlockKey>();
        parsed.map_err(|error| SwarmError::invalid(error.to_string()))?;
        let mut state = self.state();
        if state.cluster.as_ref().unwrap().state.unlock_key.as_ref() != Some(key) {
            let refusal = "swarm could not be unlocked: invalid key provided";
            return Err(SwarmError::new(ErrorKind::Unauthenticated, refusal));
        }
        state.condition = SwarmCondition::Active;
        Ok(())
    }

    async fn leave(&self, force: bool) -> Result<(), SwarmError> {
        let mut state = self.state();
        if state.condition == SwarmCondition::Inactive {
            return Err(SwarmError::unavailable("This node is not part of a swarm"));
        }
        if state.condition == SwarmCondition::Locked && !force {
            return Err(SwarmError::unavailable(LEAVING_A_LOCKED_MANAGER));
        }
        if state.manages() && !force {
            return Err(SwarmError::unavailable(LEAVING_A_MANAGER));
        }
        state.condition = SwarmCondition::Inactive;
        state.nodes.clear();
        state.cluster = None;
        Ok(())
    }

    fn manager(&self) -> Result<Arc<dyn ManagerAccess>, SwarmError> {
        let state = self.state();
        match (state.condition, state.role) {
            (SwarmCondition::Active, Role::Manager) => Ok(Arc::new(Self(Arc::clone(&self.0)))),
            (SwarmCondition::Active, Role::Worker) => Err(SwarmError::unavailable(ON_A_WORKER)),
            (SwarmCondition::Locked, _) => Err(SwarmError::unavailable(LOCKED)),
            _ => Err(SwarmError::unavailable(OUTSIDE)),
        }
    }
}

#[async_trait]
impl ManagerAccess for MemoryNode {
    async fn read(&self) -> Result<SwarmRead, SwarmError> {
        let mut state = self.state();
        if !state.has_leader {
            return Err(SwarmError::no_leader());
        }
        state.follow_root();
        let managers = state.nodes.values().filter(|node| node.state.member.is_some()).map(|node| {
            let is_reachable = node.state.status.state == NodeHealth::Ready;
            (node.id.clone(), ManagerReachability { is_leader: node.id == id(1), is_reachable })
        });
        Ok(SwarmRead {
            cluster: Arc::new(state.cluster.clone().unwrap()),
            managers: managers.collect(),
            nodes: state.nodes.values().map(|node| (node.id.clone(), Arc::new(node.clone()))).collect(),
            snapshot: state.work.store().view(),
        })
    }

    fn new_service_id(&self) -> ServiceId {
        self.state().work.new_service_id()
    }

    async fn control(&self, caller: Caller, request: ControlRequest) -> Result<ControlResponse, SwarmError> {
        let work = Arc::clone(&self.state().work);
        if is_of_services(&request) {
            return work.execute(&caller, request).await;
        }
        let mut state = self.state();
        if !state.has_leader {
            return Err(SwarmError::no_leader());
        }
        state.callers.push(caller);
        match request {
            ControlRequest::UpdateNode { id, version, spec } => state.update_node(&id, version, spec)?,
            ControlRequest::RemoveNode { id, force } => state.remove_node(&id, force)?,
            ControlRequest::CreateService { .. }
            | ControlRequest::UpdateService { .. }
            | ControlRequest::RemoveService { .. } => unreachable!("they are executed by the store's own control"),
            ControlRequest::UpdateSwarm { version, spec, rotation } => {
                model::validate_swarm_spec(&spec)?;
                let meta = state.stamp();
                let cluster = state.cluster.as_mut().ok_or_else(|| SwarmError::new(ErrorKind::NotFound, "no swarm"))?;
                if cluster.meta.version != version {
                    return Err(SwarmError::out_of_sequence());
                }
                let is_another_root = !spec.ca_config.signing_ca_cert.is_empty()
                    || spec.ca_config.force_rotate != cluster.spec.ca_config.force_rotate;
                let settings = spec.ca_config.clone();
                cluster.spec = SwarmSpec { ca_config: spec.ca_config.without_root(), ..spec };
                cluster.meta = Meta { created_at: cluster.meta.created_at, ..meta };
                let secrets = &mut cluster.state.join_secrets;
                if rotation.worker_token {
                    secrets.worker = Secret::new("x".repeat(25));
                }
                if rotation.manager_token {
                    secrets.manager = Secret::new("y".repeat(25));
                }
                state.draw_unlock_key(rotation.unlock_key);
                if is_another_root {
                    state.change_root(&settings);
                }
            }
        }
        Ok(ControlResponse::Done)
    }

    async fn logs(&self, caller: Caller, request: LogRequest) -> Result<LogMessages, SwarmError> {
        let mut state = self.state();
        state.callers.push(caller);
        Ok(logs::read(state.written.subscribe(), request))
    }
}
