//! Who gets in, who does not, and that nobody is fooled about the other end.

use std::sync::Arc;

use jiff::Timestamp;
use model::Role;
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;

use crate::testing::{DAY, TestManager, TestSwarm, channel, echo, new_authority, new_node_id};
use crate::tls::{ALPN, MANAGER_NAME, provider};
use crate::{ConnectError, Connector, Identity, TlsState, Trust, is_answer};

/// That a manager turns the identity away in the handshake, while it lets another one in.
async fn is_turned_away(swarm: &TestSwarm, identity: &Identity) {
    let manager = swarm.manager().await;
    let trusting = Trust { cluster_id: None, ..swarm.trust() };
    let stranger = TlsState::new(Some(identity.clone()), &trusting).expect("usable");
    let (_, member) = swarm.node(Role::Manager);

    let refused = echo(&channel(&stranger, manager.addr), "hello").await.expect_err("it is turned away");
    let accepted = echo(&channel(&member, manager.addr), "hello").await;

    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(!is_answer(&refused), "{refused}");
    assert!(accepted.is_ok(), "{accepted:?}");
}

#[tokio::test]
async fn a_certificate_of_another_root_is_turned_away() {
    let swarm = TestSwarm::new();
    let other = swarm.with_other_root();

    is_turned_away(&swarm, &other.identity(&new_node_id(), Role::Manager)).await;
}

#[tokio::test]
async fn a_certificate_of_another_swarm_is_turned_away_even_with_the_same_root() {
    let swarm = TestSwarm::new();
    let other = swarm.with_other_name();

    is_turned_away(&swarm, &other.identity(&new_node_id(), Role::Manager)).await;
}

#[tokio::test]
async fn an_expired_certificate_is_turned_away() {
    let swarm = TestSwarm::new();
    let long_ago = Timestamp::now() - DAY * 2;

    is_turned_away(&swarm, &swarm.identity_signed_at(&new_node_id(), Role::Manager, long_ago)).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_turned_away() {
    let swarm = TestSwarm::new();
    let tomorrow = Timestamp::now() + DAY;

    is_turned_away(&swarm, &swarm.identity_signed_at(&new_node_id(), Role::Manager, tomorrow)).await;
}

/// That a client does not talk to a server with this identity.
async fn is_not_talked_to(swarm: &TestSwarm, identity: &Identity) {
    let tls = TlsState::new(Some(identity.clone()), &Trust { cluster_id: None, ..swarm.trust() }).expect("usable");
    let server = TestManager::start(new_node_id(), tls, &swarm.root()).await;
    let (_, client) = swarm.node(Role::Manager);

    let refused = echo(&channel(&client, server.addr), "hello").await.expect_err("the client refuses");

    assert!(!is_answer(&refused), "{refused}");
    assert!(refused.message().contains("failed to agree on TLS"), "{refused}");
}

#[tokio::test]
async fn a_server_of_another_root_another_swarm_or_out_of_date_is_not_talked_to() {
    let swarm = TestSwarm::new();
    let id = new_node_id();

    is_not_talked_to(&swarm, &swarm.with_other_root().identity(&id, Role::Manager)).await;
    is_not_talked_to(&swarm, &swarm.with_other_name().identity(&id, Role::Manager)).await;
    is_not_talked_to(&swarm, &swarm.identity_signed_at(&id, Role::Manager, Timestamp::now() - DAY * 2)).await;
}

#[tokio::test]
async fn a_worker_cannot_pass_for_a_manager() {
    let swarm = TestSwarm::new();

    is_not_talked_to(&swarm, &swarm.identity(&new_node_id(), Role::Worker)).await;
}

#[tokio::test]
async fn a_channel_to_one_node_does_not_lead_to_another() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (_, tls) = swarm.node(Role::Manager);
    let connector = Connector::new(tls);

    let right = echo(&connector.channel(manager.addr, Some(manager.node_id.clone())), "hello").await;
    let wrong = echo(&connector.channel(manager.addr, Some(new_node_id())), "hello").await;

    assert!(right.is_ok(), "{right:?}");
    assert!(wrong.expect_err("another node").message().contains("is node"));
}

/// Connects with a client certificate that is not in the form of a node's, and asks for a byte.
async fn raw_contact(manager: &TestManager, config: ClientConfig) -> std::io::Result<usize> {
    let stream = TcpStream::connect(manager.addr).await?;
    let name = ServerName::try_from(MANAGER_NAME).expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    stream.read(&mut [0; 64]).await
}

fn raw_config(swarm: &TestSwarm) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca::certificate_der(&swarm.root()).expect("a root")).expect("a root");
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
}

/// The certificate of an API client, signed by the authority given.
fn client_config(swarm: &TestSwarm, authority: &ca::Authority) -> ClientConfig {
    let key = ca::KeyPair::generate().expect("a key");
    let pem = authority.issue_client(key.csr_pem(), "alice", DAY, Timestamp::now()).expect("a certificate");
    let chain = vec![ca::certificate_der(&pem).expect("a certificate")];
    let key = ca::private_key_der(&key.key_pem()).expect("a key");
    let mut config = raw_config(swarm).with_client_auth_cert(chain, key).expect("usable");
    config.alpn_protocols = vec![ALPN.to_vec()];
    config
}

#[tokio::test]
async fn a_client_of_the_api_is_turned_away_whoever_signed_it() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let mut without = raw_config(&swarm).with_no_client_auth();
    without.alpn_protocols = vec![ALPN.to_vec()];

    let by_the_client_authority = raw_contact(&manager, client_config(&swarm, &new_authority())).await;
    let by_the_swarm = raw_contact(&manager, client_config(&swarm, &swarm.authority)).await;
    let without_certificate = raw_contact(&manager, without).await;

    assert!(by_the_client_authority.is_err(), "{by_the_client_authority:?}");
    assert!(by_the_swarm.is_err(), "{by_the_swarm:?}");
    assert!(without_certificate.is_ok_and(|length| length > 0));
}

#[tokio::test]
async fn only_http_2_over_tls_1_3_is_spoken() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let without_protocol = raw_config(&swarm).with_no_client_auth();
    let old = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS12])
        .expect("TLS 1.2")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();

    let silent = raw_contact(&manager, without_protocol).await;
    let outdated = raw_contact(&manager, old).await;

    assert!(!silent.is_ok_and(|length| length > 0));
    assert!(outdated.expect_err("TLS 1.2 is refused").to_string().contains("ProtocolVersion"));
}

#[tokio::test]
async fn a_node_without_identity_serves_nobody() {
    let swarm = TestSwarm::new();
    let tls = TlsState::new(None, &swarm.trust()).expect("usable");
    let server = TestManager::start(new_node_id(), tls, &swarm.root()).await;
    let (_, client) = swarm.node(Role::Manager);

    assert!(echo(&channel(&client, server.addr), "hello").await.is_err());

    server.tls.set_identity(&swarm.identity(&server.node_id, Role::Manager)).expect("usable");
    assert!(echo(&channel(&client, server.addr), "hello").await.is_ok());
}

#[tokio::test]
async fn a_worker_is_reached_as_itself_and_never_as_a_manager_or_as_another_member() {
    let swarm = TestSwarm::new();
    let (node_id, tls) = swarm.node(Role::Worker);
    let worker = TestManager::start(node_id.clone(), tls, &swarm.root()).await;
    let (_, client) = swarm.node(Role::Worker);
    let connector = Connector::new(client);

    let as_itself = connector.member(worker.addr, node_id.clone()).ready().await;
    let as_manager = connector.channel(worker.addr, Some(node_id)).ready().await;
    let as_another = connector.member(worker.addr, new_node_id()).ready().await;

    assert!(as_itself.is_ok(), "{as_itself:?}");
    assert!(matches!(as_manager, Err(ConnectError::Handshake { .. })), "{as_manager:?}");
    assert!(matches!(as_another, Err(ConnectError::Handshake { .. })), "{as_another:?}");
}

#[tokio::test]
async fn a_member_of_another_swarm_is_not_reached_even_with_the_same_root() {
    let swarm = TestSwarm::new();
    let node_id = new_node_id();
    let identity = swarm.with_other_name().identity(&node_id, Role::Worker);
    let tls = TlsState::new(Some(identity), &Trust { cluster_id: None, ..swarm.trust() }).expect("usable");
    let stranger = TestManager::start(node_id.clone(), tls, &swarm.root()).await;
    let (_, client) = swarm.node(Role::Worker);

    let reached = Connector::new(client).member(stranger.addr, node_id).ready().await;

    assert!(matches!(reached, Err(ConnectError::Handshake { .. })), "{reached:?}");
}
