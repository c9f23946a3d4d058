//! A swarm of nodes that give each other images: mutual TLS, real stores, and nodes that lie.
//!
//! Each node has a loopback address of its own. The leader's part is a list of tasks; what the leader itself says is
//! tested where it is (`manager::image_guide`), and all together in the tests of whole swarms.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use ca::{Authority, KeyPair, NodeSubject};
use engine::{Engine, EngineSettings};
use futures_util::stream;
use image::{Digest, Import, Reference};
use jiff::Timestamp;
use model::{
    BlobRequest, CONTROL_PORT, ClusterId, FindImage, GOSSIP_PORT, ImageGrant, ImageGrantRequest, ImageOffer,
    ImageSources, ImageSourcesRequest, ManagerPeer, Meta, Node, NodeId, NodeSpec, NodeState, Role, SessionId,
    SessionMessage, SwarmError, TaskId,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rpc::{
    BlobPiece, BlobStream, Connector, Identity, ImageGuideService, ImagesClient, ImagesService, PeerIdentity, TlsState,
    Trust,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;

use crate::peers::{ImageDesk, PeerFailure, PeerImages};
use crate::{AgentView, Remote};

/// Swarms of this process so far.
static SWARMS: AtomicU16 = AtomicU16::new(0);

/// What the leader knows: whose task needs which image, and whom to ask.
#[derive(Debug, Default)]
pub(super) struct Guide {
    tasks: Mutex<BTreeMap<TaskId, (NodeId, String)>>,
    pub(super) order: Mutex<Vec<NodeId>>,
}

#[async_trait]
impl ImageGuideService for Guide {
    async fn sources(&self, caller: PeerIdentity, request: ImageSourcesRequest) -> Result<ImageSources, Status> {
        self.image(&caller.node_id, &request.task_id)?;
        let order = self.order.lock().unwrap().clone();
        Ok(ImageSources { nodes: order.into_iter().filter(|node| *node != caller.node_id).collect() })
    }

    async fn grant(&self, _: PeerIdentity, request: ImageGrantRequest) -> Result<ImageGrant, Status> {
        self.image(&request.node_id, &request.task_id).map(|image| ImageGrant { image })
    }
}

impl Guide {
    fn image(&self, node: &NodeId, task: &TaskId) -> Result<String, Status> {
        let tasks = self.tasks.lock().unwrap();
        let known = tasks.get(task).filter(|(owner, _)| owner == node);
        known.map(|(_, image)| image.clone()).ok_or_else(|| rpc::to_status(SwarmError::not_found("no such task")))
    }
}

/// A swarm whose leader answers questions about images.
pub(super) struct Swarm {
    authority: Authority,
    cluster_id: ClusterId,
    subnet: [u8; 2],
    pub(super) guide: Arc<Guide>,
    leader: Remote,
    pub(super) members: Vec<ManagerPeer>,
    serving: JoinSet<()>,
}

/// A node, its images, and its way to those of others.
pub(super) struct Peer {
    node_id: NodeId,
    addr: IpAddr,
    pub(super) engine: Arc<Engine>,
    connector: Connector,
    pub(super) view: watch::Sender<AgentView>,
    pub(super) images: PeerImages,
    _directory: tempfile::TempDir,
}

impl Swarm {
    pub(super) async fn start() -> Self {
        let process = u16::try_from(std::process::id() & 0x3fff).unwrap();
        let number = process.wrapping_add(SWARMS.fetch_add(0x0101, Ordering::Relaxed)) & 0x3fff;
        let [high, low] = number.to_be_bytes();
        let mut swarm = Self {
            authority: Authority::generate("swarm-ca", Timestamp::now()).unwrap(),
            cluster_id: ClusterId::generate(&mut rand::rng()),
            subnet: [128 + high, low],
            guide: Arc::default(),
            leader: Remote { addr: SocketAddr::from(([127, 0, 0, 1], CONTROL_PORT)), node: None },
            members: Vec::new(),
            serving: JoinSet::new(),
        };
        let (node_id, tls) = swarm.identity(Role::Manager);
        let listener = TcpListener::bind((swarm.addr(1), 0)).await.unwrap();
        swarm.leader = Remote { addr: listener.local_addr().unwrap(), node: Some(node_id) };
        swarm.serve(listener, Routes::new(rpc::image_guide_server(Arc::clone(&swarm.guide))), tls);
        swarm
    }

    pub(super) fn addr(&self, number: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, self.subnet[0], self.subnet[1], number))
    }

    pub(super) fn identity(&self, role: Role) -> (NodeId, TlsState) {
        let (node_id, key) = (NodeId::generate(&mut rand::rng()), KeyPair::generate().unwrap());
        let (cluster_id, addresses) = (self.cluster_id.clone(), Vec::new());
        let subject = NodeSubject { node_id: node_id.clone(), role, cluster_id, addresses };
        let lifetime = std::time::Duration::from_hours(1);
        let certificate_pem = self.authority.issue_node(key.csr_pem(), &subject, lifetime, Timestamp::now()).unwrap();
        let roots = vec![self.authority.certificate_pem().to_owned()];
        let trust = Trust { roots, cluster_id: Some(self.cluster_id.clone()) };
        let identity = Identity { certificate_pem, key: key.key_pem() };
        (node_id, TlsState::new(Some(identity), &trust).unwrap())
    }

    fn serve(&mut self, listener: TcpListener, routes: Routes, tls: TlsState) {
        self.serving.spawn(async move { rpc::serve(listener, routes, tls, CancellationToken::new()).await.unwrap() });
    }

    /// Adds a node that gives out its images, or gives out what a service of the test's makes of them.
    async fn add(&mut self, wrap: impl FnOnce(ImageDesk) -> Routes) -> Peer {
        let (node_id, tls) = self.identity(Role::Worker);
        let addr = self.addr(u8::try_from(self.members.len() + 2).unwrap());
        self.members.push(ManagerPeer { node_id: node_id.clone(), addr: SocketAddr::new(addr, CONTROL_PORT) });
        self.guide.order.lock().unwrap().push(node_id.clone());
        let directory = tempfile::tempdir().unwrap();
        let engine = open_engine(directory.path()).await;
        let connector = Connector::new(tls.clone());
        let view = watch::Sender::new(AgentView {
            manager: Some(self.leader.clone()),
            message: None,
            role: Role::Worker,
            certificate: String::new(),
            roots: Vec::new(),
            error: String::new(),
        });
        let desk = ImageDesk::new(engine.images().store().clone(), connector.clone(), view.subscribe());
        let listener = TcpListener::bind((addr, GOSSIP_PORT)).await.unwrap();
        self.serve(listener, wrap(desk), tls);
        let images = PeerImages::new(connector.clone(), view.subscribe());
        Peer { node_id, addr, engine, connector, view, images, _directory: directory }
    }

    pub(super) async fn honest(&mut self) -> Peer {
        self.add(|desk| Routes::new(rpc::images_server(Arc::new(desk)))).await
    }

    /// A node that has the image and cheats about its blobs.
    pub(super) async fn lying(&mut self, lie: Lie) -> (Peer, Arc<Liar>) {
        let mut kept = None;
        let peer = self.add(|desk| {
            let liar = Arc::new(Liar { desk, lie, told: AtomicUsize::new(0) });
            kept = Some(Arc::clone(&liar));
            Routes::new(rpc::images_server(liar))
        });
        (peer.await, kept.unwrap())
    }

    /// Tells a node who the members are.
    pub(super) fn introduce(&self, peer: &Peer) {
        let node = Node {
            id: peer.node_id.clone(),
            meta: Meta::default(),
            spec: NodeSpec::default(),
            state: NodeState::default(),
        };
        let message = SessionMessage {
            session_id: SessionId::generate(&mut rand::rng()),
            node,
            managers: Vec::new(),
            members: self.members.clone(),
            gossip_keys: Vec::new(),
            roots: Vec::new(),
            client_ca: None,
        };
        peer.view.send_modify(|view| view.message = Some(Arc::new(message)));
    }

    /// Gives a node a task that needs an image.
    pub(super) fn assign(&self, peer: &Peer, number: u64, image: &str) -> TaskId {
        let task = TaskId::generate(&mut StdRng::seed_from_u64(number));
        self.guide.tasks.lock().unwrap().insert(task.clone(), (peer.node_id.clone(), image.to_owned()));
        task
    }
}

impl Peer {
    /// Makes an image of some noise; each call makes another one.
    pub(super) async fn make(&self, name: &str) -> Digest {
        let mut noise = vec![0; 700_000];
        rand::RngExt::fill(&mut rand::rng(), &mut noise[..]);
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(noise.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, "noise", &noise[..]).unwrap();
        let body = stream::iter([Ok(Bytes::from(archive.into_inner().unwrap()))]);
        let import = Import { name: Some(name.parse().unwrap()), ..Import::default() };
        self.engine.images().import(body, import).await.unwrap()
    }

    /// Has another node's image as well.
    pub(super) async fn copy(&self, other: &Self, name: &str) {
        let export = other.engine.images().export(&[name.to_owned()]).unwrap();
        let (sender, receiver) = tokio::sync::mpsc::channel(8);
        let pieces =
            stream::unfold(
                receiver,
                |mut receiver| async move { receiver.recv().await.map(|piece| (Ok(piece), receiver)) },
            );
        let (written, loaded) = tokio::join!(export.write(sender), self.engine.images().load(pieces));
        written.unwrap();
        loaded.unwrap();
    }

    pub(super) async fn fetch(&self, task: &TaskId, name: &str) -> Result<Digest, PeerFailure> {
        let reference: Reference = name.parse().unwrap();
        self.images.fetch(self.engine.images(), task, &reference).await
    }

    pub(super) fn has(&self, name: &str) -> Option<Digest> {
        self.engine.images().store().find(name).ok().map(|image| image.id)
    }

    /// Another node, to be asked directly.
    pub(super) fn client(&self, other: &Self) -> ImagesClient {
        let addr = SocketAddr::new(other.addr, GOSSIP_PORT);
        ImagesClient::new(self.connector.member(addr, other.node_id.clone()))
    }
}

async fn open_engine(directory: &std::path::Path) -> Arc<Engine> {
    let settings = EngineSettings {
        hostname: "node".to_owned(),
        labels: BTreeMap::new(),
        data_dir: directory.join("data"),
        run_dir: directory.join("run"),
        lease: None,
        insecure_registries: Vec::new(),
    };
    std::fs::create_dir(&settings.data_dir).unwrap();
    let mut rng: StdRng = rand::make_rng();
    Arc::new(Engine::open(settings, &mut rng).await.unwrap())
}

/// What a node says in place of a blob that is no document.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lie {
    OtherBytes,
    Endless,
    TooShort,
    Refusal,
    /// It offers something else than it was asked for, too.
    OtherImage,
}

/// A node that has the image, and lies.
#[derive(Debug)]
pub(super) struct Liar {
    desk: ImageDesk,
    lie: Lie,
    pub(super) told: AtomicUsize,
}

#[async_trait]
impl ImagesService for Liar {
    async fn find(&self, caller: PeerIdentity, request: FindImage) -> Result<ImageOffer, Status> {
        let offer = self.desk.find(caller, request).await?;
        if !matches!(self.lie, Lie::OtherImage) {
            return Ok(offer);
        }
        self.told.fetch_add(1, Ordering::Relaxed);
        Ok(ImageOffer { digest: Digest::of(b"another").to_string(), ..offer })
    }

    async fn blob(&self, caller: PeerIdentity, request: BlobRequest) -> Result<BlobStream, Status> {
        // Who cannot have it hears the truth.
        drop(self.desk.blob(caller, request).await?);
        self.told.fetch_add(1, Ordering::Relaxed);
        let piece = || Ok(BlobPiece { bytes: Bytes::from(vec![7; 64 << 10]) });
        match self.lie {
            Lie::Endless => Ok(Box::pin(stream::repeat_with(piece))),
            Lie::OtherBytes => Ok(Box::pin(stream::iter([piece(), piece()]))),
            Lie::TooShort => Ok(Box::pin(stream::empty())),
            Lie::Refusal | Lie::OtherImage => Err(Status::unavailable("it does not want to")),
        }
    }
}
