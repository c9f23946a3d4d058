//! When another certificate is wanted.

use std::time::Duration;

use ca::{Authority, NodeSubject};
use jiff::Timestamp;
use model::{ClusterId, Meta, Node, NodeId, NodeSpec, NodeState, Role, SessionId};
use rand::SeedableRng;

use super::*;

fn authority() -> Authority {
    Authority::generate("swarm-ca", Timestamp::now()).unwrap()
}

/// A worker in session, with a certificate of this authority, whose managers send these roots.
fn worker(issuer: &Authority, roots: &[&Authority]) -> AgentView {
    let rng = &mut StdRng::seed_from_u64(1);
    let (node_id, cluster_id) = (NodeId::generate(rng), ClusterId::generate(rng));
    let subject = NodeSubject { node_id: node_id.clone(), role: Role::Worker, cluster_id, addresses: Vec::new() };
    let pair = KeyPair::generate().unwrap();
    let life = Duration::from_hours(24);
    let certificate = issuer.issue_node(pair.csr_pem(), &subject, life, Timestamp::now()).unwrap();
    let message = SessionMessage {
        session_id: SessionId::generate(rng),
        node: Node {
            id: node_id,
            meta: Meta::default(),
            spec: NodeSpec::default(),
            state: NodeState { role: Role::Worker, ..NodeState::default() },
        },
        managers: Vec::new(),
        members: Vec::new(),
        gossip_keys: Vec::new(),
        roots: roots.iter().map(|root| root.certificate_pem().to_owned()).collect(),
        client_ca: None,
    };
    AgentView {
        manager: Some(Remote { addr: ([10, 0, 0, 1], 2377).into(), node: None }),
        roots: message.roots.clone(),
        message: Some(Arc::new(message)),
        role: Role::Worker,
        certificate,
        error: String::new(),
    }
}

#[test]
fn another_certificate_is_wanted_as_soon_as_another_root_signs() {
    let (old, new) = (authority(), authority());
    let check = |issuer: &Authority, roots: &[&Authority], expected: bool| {
        assert_eq!(is_wanted(&worker(issuer, roots), false), expected);
    };

    check(&old, &[&old], false);
    check(&old, &[&new, &old], true);
    check(&new, &[&new, &old], false);
    check(&new, &[&new], false);
    check(&new, &[&old], true);
    check(&old, &[], false);
}

#[test]
fn the_certificate_is_looked_at_and_not_what_links_it_to_a_root() {
    let (old, new) = (authority(), authority());
    let mut linked = worker(&new, &[&new, &old]);
    linked.certificate += &old.cross_sign(&new, Timestamp::now()).unwrap();

    assert!(!is_wanted(&linked, false));
}

#[test]
fn another_role_and_a_key_from_elsewhere_are_reasons_too_but_only_in_session() {
    let root = authority();
    let settled = worker(&root, &[&root]);
    let promoted = AgentView { role: Role::Manager, ..settled.clone() };
    let alone = AgentView { manager: None, ..promoted.clone() };

    assert!(!is_wanted(&settled, false));
    assert!(is_wanted(&settled, true));
    assert!(is_wanted(&promoted, false));
    assert!(!is_wanted(&alone, true));
}
