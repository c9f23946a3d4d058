//! 2376: who is let in, who is not, and what happens when the settings change.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ca::{Authority, KeyPair, NodeSubject};
use jiff::Timestamp;
use model::{Caller, Role};
use node::ApiTls;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clients::{DockerCli, Outcome, docker_clis};
use crate::memory::{MemoryNode, id};
use crate::served::Served;

const LIFETIME: Duration = Duration::from_hours(24);

/// A swarm with a client authority, and the API of its manager on a port of loopback.
struct World {
    swarm: Authority,
    clients: Authority,
    settings: watch::Sender<Option<ApiTls>>,
    address: SocketAddr,
    served: Served,
    node: Arc<MemoryNode>,
}

impl World {
    async fn start() -> Self {
        let now = Timestamp::now();
        let swarm = Authority::generate("swarm-ca", now).unwrap();
        let clients = Authority::generate("client-ca", now).unwrap();
        let (settings, receiver) = watch::channel(Some(settings(&swarm, &clients)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let node = MemoryNode::manager();
        let mut served = Served::start(node.clone()).await;
        let (api, cancel) = (served.server.clone(), served.cancel.clone());
        served.tasks.spawn(async move { api.serve_tls(listener, receiver, cancel).await.unwrap() });
        Self { swarm, clients, settings, address, served, node }
    }

    /// Runs `docker` with a certificate and key, trusting the swarm's root.
    async fn docker(&self, program: &Path, identity: Option<(String, String)>, arguments: &[&str]) -> Outcome {
        self.cli(program, identity).run(arguments).await
    }

    fn cli(&self, program: &Path, identity: Option<(String, String)>) -> DockerCli {
        let folder: TempDir = tempfile::tempdir_in(self.served.folder.path()).unwrap();
        let folder = folder.keep();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).unwrap();
            folder.join(name).display().to_string()
        };
        let mut options =
            vec!["--tlsverify".to_owned(), "--tlscacert".to_owned(), write("ca.pem", self.swarm.certificate_pem())];
        // Without these two the CLI looks for files of those names in its configuration, and finds none.
        if let Some((certificate, key)) = identity {
            options.extend(["--tlscert".to_owned(), write("cert.pem", &certificate)]);
            options.extend(["--tlskey".to_owned(), write("key.pem", &key)]);
        }
        DockerCli::with_host(program, format!("tcp://{}", self.address), options)
    }
}

fn settings(swarm: &Authority, clients: &Authority) -> ApiTls {
    let key = KeyPair::generate().unwrap();
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let names = ["localhost".to_owned()];
    let certificate = swarm.issue_server(key.csr_pem(), &addresses, &names, LIFETIME, Timestamp::now()).unwrap();
    ApiTls { certificate, key: key.key_pem(), client_ca: clients.certificate_pem().to_owned() }
}

fn client_of(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = authority.issue_client(key.csr_pem(), "alice", LIFETIME, Timestamp::now()).unwrap();
    (certificate, key.key_pem().expose().to_owned())
}

fn node_of(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let subject = NodeSubject {
        node_id: id(2),
        role: Role::Manager,
        cluster_id: "70ilmkj2f6sp2137c753w2nmt".parse().unwrap(),
        addresses: Vec::new(),
    };
    let certificate = authority.issue_node(key.csr_pem(), &subject, LIFETIME, Timestamp::now()).unwrap();
    (certificate, key.key_pem().expose().to_owned())
}

#[tokio::test]
async fn a_client_of_the_client_authority_is_let_in_and_known_by_name() {
    for (_, program) in docker_clis().await {
        let world = World::start().await;
        let alice = || Some(client_of(&world.clients));

        let listed = world.docker(&program, alice(), &["node", "ls", "--quiet"]).await;
        let updated = world.docker(&program, alice(), &["node", "update", "--availability", "pause", "node-4"]).await;

        assert!(listed.success && listed.stdout.lines().count() == 5, "{listed:#?}");
        assert!(updated.success, "{updated:#?}");
        assert_eq!(world.node.callers(), [Caller::Client { name: "alice".to_owned() }]);
    }
}

#[tokio::test]
async fn everybody_else_is_refused() {
    for (_, program) in docker_clis().await {
        let world = World::start().await;
        let stranger = Authority::generate("client-ca", Timestamp::now()).unwrap();
        for (who, identity) in [
            ("a client of another authority", client_of(&stranger)),
            ("a client signed by the swarm's root", client_of(&world.swarm)),
            ("a node of the swarm", node_of(&world.swarm)),
        ] {
            let outcome = world.docker(&program, Some(identity), &["node", "ls"]).await;
            assert!(!outcome.success && outcome.stdout.is_empty(), "{who}: {outcome:#?}");
            assert!(outcome.stderr.contains("tls: "), "{who}: {outcome:#?}");
        }
        assert_eq!(world.node.callers(), []);
    }
}

#[tokio::test]
async fn nobody_comes_in_without_a_certificate() {
    let world = World::start().await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca::certificate_der(world.swarm.certificate_pem()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();

    let answer = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map(|_| answer)
    };
    let answer = tokio::time::timeout(crate::served::PATIENCE, answer).await.expect("the handshake hangs");

    assert!(answer.as_ref().is_err_and(|error| error.to_string().contains("CertificateRequired")), "{answer:?}");
}

#[tokio::test]
async fn clients_that_say_nothing_keep_nobody_out() {
    let clis = docker_clis().await;
    let Some((_, program)) = clis.first() else { return };
    let world = World::start().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(tokio::net::TcpStream::connect(world.address).await.unwrap());
    }

    let outcome = world.docker(program, Some(client_of(&world.clients)), &["node", "ls", "--quiet"]).await;

    assert!(outcome.success, "{outcome:#?}");
}

#[tokio::test]
async fn without_settings_everybody_is_turned_away_until_there_are_some() {
    let clis = docker_clis().await;
    let Some((_, program)) = clis.first() else { return };
    let world = World::start().await;
    let alice = client_of(&world.clients);
    world.settings.send_replace(None);

    let away = world.docker(program, Some(alice.clone()), &["node", "ls", "--quiet"]).await;
    world.settings.send_replace(Some(settings(&world.swarm, &world.clients)));
    let back = world.docker(program, Some(alice), &["node", "ls", "--quiet"]).await;

    assert!(!away.success && away.stdout.is_empty(), "{away:#?}");
    assert!(back.success, "{back:#?}");
}

#[tokio::test]
async fn clients_that_are_trusted_no_longer_lose_their_connections_and_others_keep_them() {
    let clis = docker_clis().await;
    let Some((_, program)) = clis.first() else { return };
    let world = World::start().await;
    let watching = world.cli(program, Some(client_of(&world.clients)));
    let mut child = watching.command(&["events"]).spawn().unwrap();
    let connected = async {
        while world.served.engine.events().readers() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::served::PATIENCE, connected).await.expect("the client does not come in");

    world.settings.send_replace(Some(settings(&world.swarm, &world.clients)));
    let other = world.docker(program, Some(client_of(&world.clients)), &["node", "ls"]).await;
    assert!(other.success && child.try_wait().unwrap().is_none(), "a renewed server certificate ends nothing");

    let successor = Authority::generate("client-ca", Timestamp::now()).unwrap();
    world.settings.send_replace(Some(settings(&world.swarm, &successor)));
    let ended = tokio::time::timeout(crate::served::PATIENCE, child.wait()).await;
    assert!(ended.is_ok(), "a client of the old authority stays connected");
}
