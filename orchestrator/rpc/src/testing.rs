//! A swarm's authority, nodes with certificates, a manager that serves, and a relay that can freeze.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ca::{Authority, KeyPair, NodeSubject};
use jiff::Timestamp;
use model::{
    AssignmentsMessage, AssignmentsRequest, ClusterId, ControlResponse, HeartbeatRequest, HeartbeatResponse,
    IssueRequest, IssueResponse, JoinRaftRequest, JoinRaftResponse, LogBatch, LogEntry, LogLine, LogMessage, LogOrder,
    LogStream, LogSubscriptionId, NodeId, RaftId, ReadPoint, Role, RootsResponse, SessionId, SessionMessage,
    SessionRequest, SwarmError, TaskLogOrder, TaskReports,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;

use crate::{
    AssignmentStream, CertificatesService, Channel, Connector, ControlCall, ControlService, DispatcherService,
    Identity, LogCall, LogMessageStream, LogOrderStream, LogService, MembershipService, PeerIdentity, RaftCall,
    RaftClient, RaftReply, RaftService, SessionStream, TlsState, Trust, certificates_server, control_server,
    dispatcher_server, log_server, membership_server, raft_server, serve,
};

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// An authority and the swarm it signs for.
pub(crate) struct TestSwarm {
    pub(crate) authority: Authority,
    pub(crate) cluster_id: ClusterId,
}

impl TestSwarm {
    pub(crate) fn new() -> Self {
        Self { authority: new_authority(), cluster_id: ClusterId::generate(&mut rand::rng()) }
    }

    /// Another authority for the same swarm, as after a change of the root.
    pub(crate) fn with_other_root(&self) -> Self {
        Self { authority: new_authority(), cluster_id: self.cluster_id.clone() }
    }

    /// Another swarm that, against all rules, has the same authority.
    pub(crate) fn with_other_name(&self) -> Self {
        let authority = Authority::from_pem(self.authority.certificate_pem(), &self.authority.key_pem());
        Self { authority: authority.expect("a copy"), cluster_id: ClusterId::generate(&mut rand::rng()) }
    }

    pub(crate) fn identity(&self, node_id: &NodeId, role: Role) -> Identity {
        self.identity_signed_at(node_id, role, Timestamp::now())
    }

    /// An identity that lives a day from the moment given.
    pub(crate) fn identity_signed_at(&self, node_id: &NodeId, role: Role, moment: Timestamp) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let subject = NodeSubject {
            node_id: node_id.clone(),
            role,
            cluster_id: self.cluster_id.clone(),
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        };
        let certificate_pem = self.authority.issue_node(key.csr_pem(), &subject, DAY, moment).expect("a certificate");
        Identity { certificate_pem, key: key.key_pem() }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust { roots: vec![self.root()], cluster_id: Some(self.cluster_id.clone()) }
    }

    pub(crate) fn root(&self) -> String {
        self.authority.certificate_pem().to_owned()
    }

    /// A new node of the swarm.
    pub(crate) fn node(&self, role: Role) -> (NodeId, TlsState) {
        let node_id = new_node_id();
        let tls = TlsState::new(Some(self.identity(&node_id, role)), &self.trust()).expect("usable");
        (node_id, tls)
    }

    /// A manager that serves.
    pub(crate) async fn manager(&self) -> TestManager {
        let (node_id, tls) = self.node(Role::Manager);
        TestManager::start(node_id, tls, &self.root()).await
    }
}

pub(crate) fn new_authority() -> Authority {
    Authority::generate("swarm-ca", Timestamp::now()).expect("an authority")
}

pub(crate) fn new_node_id() -> NodeId {
    NodeId::generate(&mut rand::rng())
}

/// A manager on a loopback port. Dropping it ends it.
pub(crate) struct TestManager {
    pub(crate) node_id: NodeId,
    pub(crate) tls: TlsState,
    pub(crate) addr: SocketAddr,
    pub(crate) cancel: CancellationToken,
    pub(crate) tasks: JoinSet<()>,
}

impl TestManager {
    pub(crate) async fn start(node_id: NodeId, tls: TlsState, root: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        Self::start_on(listener, node_id, tls, root)
    }

    pub(crate) fn start_on(listener: TcpListener, node_id: NodeId, tls: TlsState, root: &str) -> Self {
        let addr = listener.local_addr().expect("bound");
        let desk = Arc::new(Desk { node_id: node_id.clone(), root: root.to_owned() });
        let routes = Routes::new(raft_server(Arc::clone(&desk)))
            .add_service(control_server(Arc::clone(&desk)))
            .add_service(membership_server(Arc::clone(&desk)))
            .add_service(certificates_server(Arc::clone(&desk)))
            .add_service(log_server(Arc::clone(&desk)))
            .add_service(dispatcher_server(desk));
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (serving, token) = (tls.clone(), cancel.clone());
        tasks.spawn(async move { serve(listener, routes, serving, token).await.expect("the listener works") });
        Self { node_id, tls, addr, cancel, tasks }
    }

    /// Ends it and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.cancel.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("it does not panic");
        }
    }
}

/// What the test's manager answers.
struct Desk {
    node_id: NodeId,
    root: String,
}

/// A kind of raft message that is refused at length.
pub(crate) const REFUSED: u8 = 8;

/// The longest message of an error, in characters that take the most room on the wire.
pub(crate) fn long_message() -> String {
    "é".repeat(crate::status::MAX_MESSAGE_LENGTH / 2)
}

/// A kind of raft message that is answered after a fifth of a second.
pub(crate) const SLOW: u8 = 7;

#[async_trait]
impl RaftService for Desk {
    async fn call(&self, _: PeerIdentity, call: RaftCall) -> Result<RaftReply, Status> {
        if call.kind == REFUSED {
            return Err(crate::to_status(SwarmError::internal(long_message())));
        }
        if call.kind == SLOW {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(RaftReply { payload: call.payload })
    }
}

#[async_trait]
impl ControlService for Desk {
    async fn execute(&self, _: PeerIdentity, _: ControlCall) -> Result<ControlResponse, Status> {
        Err(crate::not_leader(Some(SocketAddr::from(([10, 0, 0, 9], 2377)))))
    }

    async fn read_point(&self, _: PeerIdentity) -> Result<ReadPoint, Status> {
        Ok(ReadPoint { index: 42, leader: RaftId(1), unreachable: vec![RaftId(2)] })
    }
}

#[async_trait]
impl MembershipService for Desk {
    async fn join(&self, _: PeerIdentity, _: JoinRaftRequest) -> Result<JoinRaftResponse, Status> {
        Ok(JoinRaftResponse { managers: Vec::new() })
    }

    async fn leave(&self, _: PeerIdentity) -> Result<(), Status> {
        Err(crate::to_status(SwarmError::precondition("this would result in a loss of quorum")))
    }
}

#[async_trait]
impl CertificatesService for Desk {
    async fn roots(&self) -> Result<RootsResponse, Status> {
        Ok(RootsResponse { roots: vec![self.root.clone()] })
    }

    async fn issue(&self, caller: Option<PeerIdentity>, _: IssueRequest) -> Result<IssueResponse, Status> {
        let role = caller.map_or(Role::Worker, |caller| caller.role);
        Ok(IssueResponse { node_id: self.node_id.clone(), role, certificate: String::new(), roots: Vec::new() })
    }
}

#[async_trait]
impl DispatcherService for Desk {
    async fn session(&self, _: PeerIdentity, _: SessionRequest) -> Result<SessionStream, Status> {
        let first = SessionMessage {
            session_id: SessionId::generate(&mut rand::rng()),
            node: model::Node {
                id: self.node_id.clone(),
                meta: model::Meta::default(),
                spec: model::NodeSpec::default(),
                state: model::NodeState::default(),
            },
            managers: Vec::new(),
            members: Vec::new(),
            gossip_keys: Vec::new(),
            roots: Vec::new(),
            client_ca: None,
        };
        let stream = futures_util::stream::once(async { Ok(first) });
        Ok(Box::pin(futures_util::StreamExt::chain(stream, futures_util::stream::pending())))
    }

    async fn heartbeat(&self, _: PeerIdentity, _: HeartbeatRequest) -> Result<HeartbeatResponse, Status> {
        Ok(HeartbeatResponse { period_ms: 5000, lease_left_ms: None })
    }

    async fn assignments(&self, _: PeerIdentity, _: AssignmentsRequest) -> Result<AssignmentStream, Status> {
        let first = AssignmentsMessage { applies_to: 0, results_in: 1, is_continued: false, changes: Vec::new() };
        Ok(Box::pin(futures_util::stream::once(async { Ok(first) })))
    }

    async fn report_tasks(&self, _: PeerIdentity, _: TaskReports) -> Result<(), Status> {
        Ok(())
    }
}

#[async_trait]
impl LogService for Desk {
    async fn listen(&self, caller: PeerIdentity) -> Result<LogOrderStream, Status> {
        // Who asks is what the certificate says.
        let task =
            TaskLogOrder { task: caller.node_id.as_str().parse().expect("ids have one form"), tail: None, since: None };
        let order = LogOrder::Read {
            subscription: LogSubscriptionId(7),
            listening: 1,
            follow: true,
            stdout: true,
            stderr: true,
            tasks: vec![task],
        };
        let stream = futures_util::stream::once(async { Ok(order) });
        Ok(Box::pin(futures_util::StreamExt::chain(stream, futures_util::stream::pending())))
    }

    async fn publish(&self, _: PeerIdentity, batch: LogBatch) -> Result<(), Status> {
        if batch.subscription == LogSubscriptionId(7) {
            return Ok(());
        }
        Err(crate::to_status(SwarmError::not_found("nobody reads this any more")))
    }

    async fn read(&self, _: PeerIdentity, _: LogCall) -> Result<LogMessageStream, Status> {
        // Without end, and as fast as it is taken.
        Ok(Box::pin(futures_util::stream::repeat_with(|| Ok(LogMessage::Lines(vec![log_line()])))))
    }
}

/// A line of 16 KiB.
pub(crate) fn log_line() -> LogLine {
    let id = "aaaaaaaaaaaaaaaaaaaaaaaa1";
    LogLine {
        node: id.parse().expect("an id"),
        service: id.parse().expect("an id"),
        task: id.parse().expect("an id"),
        entry: LogEntry { time: Timestamp::UNIX_EPOCH, stream: LogStream::Stderr, text: "é".repeat(8 << 10) },
    }
}

/// A channel of its own, so that nothing is shared between two questions.
pub(crate) fn channel(tls: &TlsState, addr: SocketAddr) -> Channel {
    Connector::new(tls.clone()).channel(addr, None)
}

/// A call that only managers may make.
pub(crate) async fn echo(channel: &Channel, text: &'static str) -> Result<Bytes, Status> {
    let call = RaftCall { kind: 0, payload: Bytes::from_static(text.as_bytes()) };
    RaftClient::new(channel.clone()).call(call).await.map(|reply| reply.payload)
}

/// A session of an agent.
pub(crate) fn session_request() -> SessionRequest {
    SessionRequest {
        description: model::NodeDescription::default(),
        addr: SocketAddr::from(([127, 0, 0, 1], 2377)),
        previous: None,
    }
}

/// Stands between client and server and passes bytes on, each piece after a delay, until it is frozen. The kernel
/// goes on acknowledging what arrives, as it does for a process that got SIGSTOP.
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    pub(crate) frozen: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn start(to: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let frozen = watch::Sender::new(false);
        let state = frozen.subscribe();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let server = TcpStream::connect(to).await.expect("the server answers");
                let (client_read, client_write) = client.into_split();
                let (server_read, server_write) = server.into_split();
                connections.spawn(pump(client_read, server_write, state.clone(), delay));
                connections.spawn(pump(server_read, client_write, state.clone(), delay));
            }
        });
        Self { addr, frozen, _tasks: tasks }
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut frozen: watch::Receiver<bool>,
    delay: Duration,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length) = from.read(&mut buffer).await else { return };
        tokio::time::sleep(delay).await;
        if frozen.wait_for(|is_frozen| !is_frozen).await.is_err() {
            return std::future::pending().await;
        }
        if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
