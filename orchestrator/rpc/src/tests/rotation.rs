//! Keys, roots and removals change while connections are open, and nothing restarts.

use std::time::Duration;

use model::Role;
use tokio::time::timeout;
use tonic::Code;

use crate::testing::{TestManager, TestSwarm, channel, echo, new_node_id, session_request};
use crate::{DispatcherClient, SessionMessages, TlsState, Trust};

/// Within this time a connection whose peer is no longer trusted must have ended.
const CUT: Duration = Duration::from_secs(2);

async fn open_session(tls: &TlsState, manager: &TestManager) -> SessionMessages {
    let client = DispatcherClient::new(channel(tls, manager.addr));
    let mut session = client.session(session_request()).await.expect("a session");
    session.message().await.expect("open").expect("the first message");
    session
}

#[tokio::test]
async fn a_promoted_node_is_a_manager_at_its_next_call() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (node_id, tls) = swarm.node(Role::Worker);
    let channel = channel(&tls, manager.addr);
    let before = echo(&channel, "hello").await.expect_err("a worker may not");

    tls.set_identity(&swarm.identity(&node_id, Role::Manager)).expect("usable");
    let after = echo(&channel, "hello").await;

    assert_eq!(before.code(), Code::PermissionDenied);
    assert!(after.is_ok(), "{after:?}");
}

#[tokio::test]
async fn renewing_a_certificate_ends_no_session_at_either_end() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (node_id, tls) = swarm.node(Role::Worker);
    let mut session = open_session(&tls, &manager).await;

    tls.set_identity(&swarm.identity(&node_id, Role::Worker)).expect("usable");
    manager.tls.set_identity(&swarm.identity(&manager.node_id, Role::Manager)).expect("usable");

    assert!(timeout(CUT, session.message()).await.is_err(), "the session goes on");
    assert_eq!(tls.certificate().map(|info| info.role), Some(Role::Worker));
}

#[tokio::test]
async fn a_manager_that_renewed_shows_its_new_certificate() {
    let swarm = TestSwarm::new();
    let next = swarm.with_other_root();
    let manager = swarm.manager().await;
    let (node_id, _) = swarm.node(Role::Manager);
    let only_next = TlsState::new(Some(swarm.identity(&node_id, Role::Manager)), &next.trust()).expect("usable");

    let before = echo(&channel(&only_next, manager.addr), "hello").await;
    manager.tls.set_identity(&next.identity(&manager.node_id, Role::Manager)).expect("usable");
    let after = echo(&channel(&only_next, manager.addr), "hello").await;

    assert!(before.is_err());
    assert!(after.is_ok(), "{after:?}");
}

#[tokio::test]
async fn roots_are_a_set_and_leaving_it_ends_connections() {
    let old = TestSwarm::new();
    let new = old.with_other_root();
    let both = Trust { roots: vec![old.root(), new.root()], ..old.trust() };
    let manager = old.manager().await;
    manager.tls.set_trust(&both).expect("usable");
    let identity = new.identity(&new_node_id(), Role::Manager);
    let tls = TlsState::new(Some(identity), &both).expect("usable");
    let mut session = open_session(&tls, &manager).await;

    assert!(echo(&channel(&tls, manager.addr), "hello").await.is_ok());
    manager.tls.set_trust(&old.trust()).expect("usable");

    assert!(timeout(CUT, session.message()).await.expect("it ends").is_err());
    assert!(echo(&channel(&tls, manager.addr), "hello").await.is_err());
}

#[tokio::test]
async fn a_removed_node_is_cut_off_and_stays_out() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (removed_id, removed) = swarm.node(Role::Worker);
    let (_, kept) = swarm.node(Role::Worker);
    let mut removed_session = open_session(&removed, &manager).await;
    let mut kept_session = open_session(&kept, &manager).await;

    manager.tls.set_removed(&[removed_id]);

    assert!(timeout(CUT, removed_session.message()).await.expect("it ends").is_err());
    let again = DispatcherClient::new(channel(&removed, manager.addr)).session(session_request()).await;
    assert!(again.is_err());
    assert!(timeout(Duration::from_millis(200), kept_session.message()).await.is_err(), "the other one goes on");
}

#[tokio::test]
async fn a_client_leaves_a_manager_that_was_removed() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (_, tls) = swarm.node(Role::Worker);
    let mut session = open_session(&tls, &manager).await;

    tls.set_removed(std::slice::from_ref(&manager.node_id));

    assert!(timeout(CUT, session.message()).await.expect("it ends").is_err());
}

#[tokio::test]
async fn what_is_not_usable_changes_nothing() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (node_id, tls) = swarm.node(Role::Manager);
    let mut mixed = swarm.identity(&node_id, Role::Manager);
    mixed.key = swarm.identity(&node_id, Role::Manager).key;

    assert!(tls.set_identity(&mixed).is_err());
    assert!(tls.set_trust(&Trust { roots: Vec::new(), cluster_id: None }).is_err());
    assert!(tls.set_trust(&Trust { roots: vec!["no root".to_owned()], cluster_id: None }).is_err());
    assert!(echo(&channel(&tls, manager.addr), "hello").await.is_ok());
}
