//! Builds a member from what is on disk: its identity, its agent and the guard. Nothing runs yet.

use std::net::SocketAddr;
use std::sync::Arc;

use agent::{Agent, AgentParts, Farewell, Remote};
use model::{GOSSIP_PORT, Role, SwarmError, with_causes};
use rpc::{Connector, TlsState, Trust};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Member, Waiting};
use crate::acquaintance::Acquaintance;
use crate::disk::NodeFile;
use crate::genesis::GenesisFile;
use crate::guard::Guard;
use crate::record::{Record, blocking};
use crate::settings::Parts;
use crate::task_records::TaskRecords;

/// What a member is assembled from.
struct Built {
    genesis: Option<GenesisFile>,
    acquaintance: Acquaintance,
    tls: TlsState,
    connector: Connector,
    agent: Agent,
    guard: Option<Guard>,
    leader: watch::Sender<Option<SocketAddr>>,
    farewell: watch::Sender<Farewell>,
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
        let acquaintance = Acquaintance::read(&record.disk, genesis.as_ref()).await?;
        let unusable = |error: &dyn std::error::Error| {
            SwarmError::internal(format!("the node's certificate cannot be used: {}", with_causes(error)))
        };
        let certificate = ca::CertificateInfo::from_pem(&identity.certificate_pem).map_err(|error| unusable(&error))?;
        if certificate.role == Role::Worker {
            // What managers keep is not for workers: the demotion may have been cut short.
            let disk = record.disk.clone();
            blocking(move || disk.forget_former_raft()).await?;
        }
        let trust = Trust { roots: node.roots.clone(), cluster_id: Some(node.cluster_id.clone()) };
        let tls = TlsState::new(Some(identity.clone()), &trust).map_err(|error| unusable(&error))?;
        let connector = Connector::new(tls.clone());
        let guard = Guard::raise(&parts.guard, &node, acquaintance.members()).await;
        let gossip_socket = gossip_socket(node.advertise).await?;
        let images_listener = images_listener(node.advertise).await?;
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
            members: acquaintance.members().to_vec(),
            gossip_keys: acquaintance.gossip_keys().to_vec(),
            gossip_socket,
            images_listener,
            leader: leader.subscribe(),
            farewell: farewell.subscribe(),
            keeper: Arc::new(record.clone()),
            executor: Arc::clone(&parts.executor),
            task_keeper: Arc::new(TaskRecords::new(&record.disk)),
            is_first_key: node.is_first_key,
            clock: Arc::new(move || clock.now()),
            rng: parts.fork_rng(),
        });
        Ok(Built { genesis, acquaintance, tls, connector, agent, guard, leader, farewell })
    }

    fn assemble(parts: Parts, record: Record, built: Built, waiting: Option<Waiting>) -> Self {
        let Built { genesis, acquaintance, tls, connector, agent, guard, leader, farewell } = built;
        Self {
            parts,
            record,
            genesis,
            acquaintance,
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
            failure: None,
            restart_at: None,
            agent_token: CancellationToken::new(),
            is_agent_running: false,
            tasks: JoinSet::new(),
        }
    }
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
    let (own, any) = member_addrs(advertise);
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

/// Where other nodes ask for images, by the same rule.
async fn images_listener(advertise: SocketAddr) -> Result<TcpListener, SwarmError> {
    let (own, any) = member_addrs(advertise);
    match TcpListener::bind(own).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
            TcpListener::bind(any).await.map_err(|error| cannot_listen("tcp", any, &error))
        }
        bound => bound.map_err(|error| cannot_listen("tcp", own, &error)),
    }
}

/// The port for members: on the advertised address, and on all of them.
fn member_addrs(advertise: SocketAddr) -> (SocketAddr, SocketAddr) {
    let own = SocketAddr::new(advertise.ip(), GOSSIP_PORT);
    (own, SocketAddr::new(if own.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() }, GOSSIP_PORT))
}

/// A port that somebody else has.
pub(crate) fn cannot_listen(protocol: &str, addr: SocketAddr, error: &std::io::Error) -> SwarmError {
    SwarmError::internal(format!("failed to listen on {protocol} {addr}: {error}"))
}
