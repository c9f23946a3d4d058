//! An authority and certificates that tests share.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use model::Role;

use crate::{Authority, CertificateInfo, KeyPair, NodeSubject};

static AUTHORITY: LazyLock<Authority> =
    LazyLock::new(|| Authority::generate("swarm-ca", now()).expect("the system gives randomness"));
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().expect("the system gives randomness"));

/// The moment at which everything in these tests is signed.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a moment in 2027")
}

/// One authority for all tests of a process.
pub(crate) fn authority() -> &'static Authority {
    &AUTHORITY
}

/// One key for all certificates of these tests.
pub(crate) fn key_pair() -> &'static KeyPair {
    &KEY
}

/// A manager.
pub(crate) fn subject() -> NodeSubject {
    NodeSubject {
        node_id: "node1node1node1node1node1".parse().expect("an id"),
        role: Role::Manager,
        cluster_id: "abcdefghijabcdefghijabcde".parse().expect("an id"),
        addresses: vec![IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3))],
    }
}

/// The certificate of that manager.
pub(crate) fn node_certificate_pem(lifetime: Duration) -> String {
    authority().issue_node(key_pair().csr_pem(), &subject(), lifetime, now()).expect("a certificate")
}

/// What that certificate says.
pub(crate) fn node_certificate(lifetime: Duration) -> CertificateInfo {
    CertificateInfo::from_pem(&node_certificate_pem(lifetime)).expect("a node's certificate")
}
