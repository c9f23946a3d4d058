//! Agents without machines: real sessions over mutual TLS on loopback, and containers that only say that they run.
//!
//! ```text
//! thousand_agents make FOLDER COUNT         FOLDER/run/bootstrap.json  for `swarmd run --run-dir FOLDER/run`
//!                                           FOLDER/agents.json         the identities of the agents, as a root signed them
//! thousand_agents run FOLDER FROM UNTIL     the agents from FROM up to UNTIL, until the process is ended
//! ```
//! Each agent is the product's: session, heartbeats, assignments, reports, renewal, gossip. What it has not is a machine of
//! its own (the agents of a process share one engine), containers, and the records of its tasks on disk. The manager is at
//! 127.0.0.1 and the agents at 127.1.0.1 and on, so all of it belongs in a network namespace of its own.

use std::error::Error;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::{
    Agent, AgentParts, Controller, Executor, Farewell, IdentityKeeper, KeptTask, LogQuery, Remote, TaskFailure,
    TaskKeeper, TaskLog,
};
use async_trait::async_trait;
use ca::{Authority, KeyPair, NodeSubject};
use engine::{Engine, EngineSettings};
use futures_util::stream;
use jiff::Timestamp;
use model::{
    BOOTSTRAP_FORMAT, Bootstrap, CONTROL_PORT, ClusterId, ContainerStatus, GOSSIP_PORT, GossipKey, Host, JoinSecrets,
    ManagerPeer, NodeId, PortConfig, RaftId, Role, RootCa, RosterEntry, Secret, Seed, SwarmError, SwarmSpec, Task,
    TaskId,
};
use rand::rngs::StdRng;
use rpc::{Connector, Identity, TlsState, Trust};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn Error>;

/// No measurement lasts longer than its certificates.
const LIFETIME: Duration = Duration::from_hours(24);
const USAGE: &str = "usage: thousand_agents make FOLDER COUNT | thousand_agents run FOLDER FROM UNTIL";

fn main() -> Result<(), Failure> {
    ca::install_crypto();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["make", folder, count] => make(Path::new(folder), count.parse()?),
        ["run", folder, from, until] => {
            // Many of these share the machine with the manager that is measured.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run(Path::new(folder), from.parse()?, until.parse()?))
        }
        _ => Err(USAGE.into()),
    }
}

/// What the agents know of the swarm, and who each of them is.
#[derive(Serialize, Deserialize)]
struct Agents {
    cluster_id: ClusterId,
    root: String,
    gossip_key: GossipKey,
    /// The manager, and after it the agents.
    roster: Vec<RosterEntry>,
    /// Of the agents: certificate and key.
    identities: Vec<(String, Secret)>,
}

/// Makes a swarm of one manager and so many workers.
fn make(folder: &Path, count: u32) -> Result<(), Failure> {
    let mut rng: StdRng = rand::make_rng();
    let now = Timestamp::now();
    let (authority, clients) = (Authority::generate("swarm-ca", now)?, Authority::generate("client-ca", now)?);
    let cluster_id = ClusterId::generate(&mut rng);
    let roster: Vec<RosterEntry> = (0..=count)
        .map(|number| RosterEntry {
            node_id: NodeId::generate(&mut rng),
            hostname: format!("node-{number}"),
            role: if number == 0 { Role::Manager } else { Role::Worker },
            raft_id: (number == 0).then(|| RaftId::generate(&mut rng)),
            addr: SocketAddr::new(address(number), CONTROL_PORT),
        })
        .collect();
    let mut identities = roster.iter().map(|entry| identity(entry, &cluster_id, &authority, now));
    let (certificate, key) = identities.next().expect("the manager is the first")?;
    let identities = identities.collect::<Result<Vec<_>, Failure>>()?;
    let gossip_key = ca::generate_gossip_key(&mut rng, 1);
    let secrets = (ca::generate_join_secret(&mut rng), ca::generate_join_secret(&mut rng));
    let bootstrap = Bootstrap {
        format: BOOTSTRAP_FORMAT,
        nonce: cluster_id.to_string(),
        host: Host { hostname: roster[0].hostname.clone(), advertise_addr: roster[0].addr },
        cluster_id: cluster_id.clone(),
        node_id: roster[0].node_id.clone(),
        role: Role::Manager,
        certificate,
        key,
        roots: vec![authority.certificate_pem().to_owned()],
        gossip_key: gossip_key.clone(),
        roster: roster.clone(),
        seed: Some(Seed {
            spec: SwarmSpec::default(),
            created_at: now,
            root_ca: RootCa::new(authority.certificate_pem(), authority.key_pem()),
            join_secrets: JoinSecrets { worker: secrets.0, manager: secrets.1 },
            unlock_key: None,
            client_ca: Some(clients.certificate_pem().to_owned()),
            data_path_port: 4789,
            default_addr_pool: vec!["10.0.0.0/8".to_owned()],
            subnet_size: 24,
        }),
    };
    fs::create_dir_all(folder.join("run"))?;
    fs::write(folder.join("run/bootstrap.json"), serde_json::to_vec(&bootstrap)?)?;
    let root = authority.certificate_pem().to_owned();
    let agents = Agents { cluster_id, root, gossip_key, roster, identities };
    fs::write(folder.join("agents.json"), serde_json::to_vec(&agents)?)?;
    Ok(())
}

/// Where the manager (0) and the agents are.
fn address(number: u32) -> IpAddr {
    let offset = if number == 0 { 1 } else { (1 << 16) + number };
    IpAddr::V4(Ipv4Addr::from_bits((127 << 24) + offset))
}

/// A certificate that the swarm's root has signed, and its key.
fn identity(
    entry: &RosterEntry,
    cluster_id: &ClusterId,
    authority: &Authority,
    now: Timestamp,
) -> Result<(String, Secret), Failure> {
    let key = KeyPair::generate()?;
    let subject = NodeSubject {
        node_id: entry.node_id.clone(),
        role: entry.role,
        cluster_id: cluster_id.clone(),
        addresses: vec![entry.addr.ip()],
    };
    Ok((authority.issue_node(key.csr_pem(), &subject, LIFETIME, now)?, key.key_pem()))
}

/// Runs agents until the process is ended.
async fn run(folder: &Path, from: usize, until: usize) -> Result<(), Failure> {
    let agents: Agents = serde_json::from_slice(&fs::read(folder.join("agents.json"))?)?;
    let engine = open_engine(folder.join(format!("agents-{from}"))).await?;
    let mut running = JoinSet::new();
    for number in from..until {
        let agent = agent(&agents, number, Arc::clone(&engine)).await?;
        running.spawn(agent.run(CancellationToken::new()));
    }
    match running.join_next().await {
        Some(ended) => Err(format!("an agent ended: {:?}", ended?).into()),
        None => Err("there is no agent to run".into()),
    }
}

async fn open_engine(folder: PathBuf) -> Result<Arc<Engine>, Failure> {
    fs::create_dir_all(&folder)?;
    let settings = EngineSettings {
        hostname: "simulated".to_owned(),
        labels: std::collections::BTreeMap::new(),
        run_dir: folder.join("run"),
        data_dir: folder,
        lease: None,
        insecure_registries: Vec::new(),
    };
    let mut rng: StdRng = rand::make_rng();
    Ok(Arc::new(Engine::open(settings, &mut rng).await?))
}

async fn agent(agents: &Agents, number: usize, engine: Arc<Engine>) -> Result<Agent, Failure> {
    let (manager, node) = (&agents.roster[0], &agents.roster[number + 1]);
    let (certificate, key) = agents.identities[number].clone();
    let roots = vec![agents.root.clone()];
    let trust = Trust { roots: roots.clone(), cluster_id: Some(agents.cluster_id.clone()) };
    let tls = TlsState::new(Some(Identity { certificate_pem: certificate.clone(), key }), &trust)?;
    let gossip_socket = UdpSocket::bind((node.addr.ip(), GOSSIP_PORT)).await?;
    let member = |entry: &RosterEntry| ManagerPeer { node_id: entry.node_id.clone(), addr: entry.addr };
    Ok(Agent::new(AgentParts {
        node_id: node.node_id.clone(),
        advertise: node.addr,
        engine,
        connector: Connector::new(tls.clone()),
        tls,
        certificate,
        role: Role::Worker,
        roots,
        managers: vec![Remote { addr: manager.addr, node: Some(manager.node_id.clone()) }],
        members: agents.roster.iter().map(member).collect(),
        gossip_keys: vec![agents.gossip_key.clone()],
        gossip_socket,
        images_listener: TcpListener::bind((node.addr.ip(), GOSSIP_PORT)).await?,
        leader: watch::Sender::new(None).subscribe(),
        farewell: watch::Sender::new(Farewell::Restart).subscribe(),
        keeper: Arc::new(Nowhere),
        executor: Arc::new(NoContainers),
        task_keeper: Arc::new(Nowhere),
        is_first_key: false,
        clock: Arc::new(Timestamp::now),
        rng: rand::make_rng(),
    }))
}

/// Keeps nothing: these agents are started once.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl IdentityKeeper for Nowhere {
    async fn keep(&self, _: &Identity, _: Role) -> Result<(), SwarmError> {
        Ok(())
    }

    async fn keep_roots(&self, _: &[String]) -> Result<(), SwarmError> {
        Ok(())
    }
}

#[async_trait]
impl TaskKeeper for Nowhere {
    async fn load(&self) -> Vec<KeptTask> {
        Vec::new()
    }

    async fn keep(&self, _: &KeptTask) -> Result<(), SwarmError> {
        Ok(())
    }

    async fn forget(&self, _: &TaskId) -> Result<(), SwarmError> {
        Ok(())
    }
}

/// Containers that run from the moment they are started until they are stopped.
#[derive(Debug)]
struct NoContainers;

impl Executor for NoContainers {
    fn controller(&self, task: &Task) -> Arc<dyn Controller> {
        // As long as a container's id.
        Arc::new(NoContainer { id: format!("{:0>64}", task.id.as_str()), is_stopped: watch::Sender::new(false) })
    }
}

#[derive(Debug)]
struct NoContainer {
    id: String,
    is_stopped: watch::Sender<bool>,
}

#[async_trait]
impl Controller for NoContainer {
    async fn prepare(&self) -> Result<(), TaskFailure> {
        Ok(())
    }

    async fn start(&self) -> Result<(), TaskFailure> {
        Ok(())
    }

    async fn wait(&self) -> Result<(), TaskFailure> {
        let mut is_stopped = self.is_stopped.subscribe();
        is_stopped.wait_for(|is_stopped| *is_stopped).await.expect("the sender lives as long as this controller");
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), TaskFailure> {
        self.is_stopped.send_replace(true);
        Ok(())
    }

    async fn remove(&self) -> Result<(), TaskFailure> {
        self.shutdown().await
    }

    async fn observe(&self) -> (Option<ContainerStatus>, Vec<PortConfig>) {
        (Some(ContainerStatus { container_id: self.id.clone(), pid: 1, exit_code: 0 }), Vec::new())
    }

    async fn logs(&self, _: LogQuery) -> Result<TaskLog, TaskFailure> {
        Ok(Box::pin(stream::empty()))
    }
}
