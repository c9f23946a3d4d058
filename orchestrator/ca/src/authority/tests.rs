//! The authority signs what it is told to, and nothing that the request asks for.

use std::net::Ipv4Addr;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{ServerName, UnixTime};
use std::sync::Arc;

use super::*;
use crate::testing::{authority, key_pair, node_certificate, node_certificate_pem, now, subject};
use crate::{CertificateInfo, install_crypto};

const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_node_certificate_says_who_the_node_is() {
    let info = node_certificate(DAY);

    assert_eq!(info.node_id, subject().node_id);
    assert_eq!(info.role, Role::Manager);
    assert_eq!(info.cluster_id, subject().cluster_id);
    assert_eq!(info.not_before, now() - BACKDATE);
    assert_eq!(info.not_after, now() + DAY);
}

#[test]
fn a_node_is_server_by_id_role_and_address_and_client() {
    let pem = node_certificate_pem(DAY);

    assert!(is_server(&pem, "node1node1node1node1node1", now()));
    assert!(is_server(&pem, "swarm-manager", now()));
    assert!(is_server(&pem, "10.1.2.3", now()));
    assert!(!is_server(&pem, "swarm-worker", now()));
    assert!(!is_server(&pem, "10.1.2.4", now()));
    assert!(is_client(&pem, now()));
}

#[test]
fn an_api_server_is_no_client_and_a_client_no_server() {
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let names = ["localhost".to_owned(), "node-1".to_owned()];
    let server = authority().issue_server(key_pair().csr_pem(), &addresses, &names, DAY, now()).expect("a server");
    let client = authority().issue_client(key_pair().csr_pem(), "alice", DAY, now()).expect("a client");

    assert!(is_server(&server, "127.0.0.1", now()));
    assert!(is_server(&server, "node-1", now()));
    assert!(!is_client(&server, now()));
    assert!(is_client(&client, now()));
    assert!(!is_server(&client, "alice", now()));
}

#[test]
fn a_certificate_is_valid_from_an_hour_before_its_signing_to_the_end_of_its_life() {
    let pem = node_certificate_pem(DAY);
    let check = |moment: Timestamp, expected: bool| assert_eq!(is_client(&pem, moment), expected, "{moment}");
    let second = Duration::from_secs(1);

    check(now() - BACKDATE - second, false);
    check(now() - BACKDATE, true);
    check(now() + DAY, true);
    check(now() + DAY + second, false);
}

#[test]
fn no_certificate_outlives_its_authority() {
    let info = node_certificate(AUTHORITY_LIFETIME * 2);
    let huge = node_certificate(Duration::MAX);

    assert_eq!(info.not_after, now() + AUTHORITY_LIFETIME);
    assert_eq!(huge.not_after, now() + AUTHORITY_LIFETIME);
}

#[test]
fn an_authority_survives_its_own_pem() {
    let copy = Authority::from_pem(authority().certificate_pem(), &authority().key_pem()).expect("an authority");
    let pem = copy.issue_node(key_pair().csr_pem(), &subject(), DAY, now()).expect("a certificate");

    assert_eq!(copy.certificate_pem(), authority().certificate_pem());
    assert!(is_client(&pem, now()));
}

#[test]
fn an_authority_does_not_take_the_key_or_the_place_of_another() {
    let other = Authority::generate("swarm-ca", now()).expect("an authority");
    let leaf = node_certificate_pem(DAY);

    let mixed = Authority::from_pem(authority().certificate_pem(), &other.key_pem());
    let not_one = Authority::from_pem(&leaf, &key_pair().key_pem());

    assert!(matches!(mixed, Err(CaError::KeyMismatch)));
    assert!(matches!(not_one, Err(CaError::NotAnAuthority)));
}

#[test]
fn names_and_rights_in_a_request_are_ignored() {
    let key = generate_key().expect("a key");
    let mut wishes = CertificateParams::new(["evil.example".to_owned()]).expect("a name");
    wishes.distinguished_name.push(DnType::OrganizationalUnitName, "swarm-manager");
    wishes.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let csr = wishes.serialize_request(&key).and_then(|request| request.pem()).expect("a request");
    let worker = NodeSubject { role: Role::Worker, ..subject() };

    let pem = authority().issue_node(&csr, &worker, DAY, now()).expect("a certificate");

    assert_eq!(CertificateInfo::from_pem(&pem).map(|info| info.role), Ok(Role::Worker));
    assert!(!is_server(&pem, "evil.example", now()));
    assert!(matches!(Authority::from_pem(&pem, &Secret::new(key.serialize_pem())), Err(CaError::NotAnAuthority)));
}

#[test]
fn a_request_that_is_not_valid_is_refused() {
    let good = key_pair().csr_pem();
    let other_curve = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let other_curve = CertificateParams::default().serialize_request(&other_curve).and_then(|request| request.pem());
    let check = |csr: &str| {
        let result = authority().issue_node(csr, &subject(), DAY, now());
        assert!(matches!(result, Err(CaError::InvalidRequest { .. })), "{csr}: {result:?}");
    };

    check("");
    check("-----BEGIN CERTIFICATE REQUEST-----");
    check(&"x".repeat(100_000));
    check(authority().certificate_pem());
    check(&swap_a_signature_byte(good));
    check(&other_curve.expect("a request"));
}

#[test]
fn two_certificates_of_one_key_have_different_serial_numbers() {
    assert_ne!(node_certificate(DAY).serial, node_certificate(DAY).serial);
}

#[test]
fn who_trusts_an_authority_believes_those_it_vouches_for() {
    let old = Authority::generate("swarm-ca", now()).expect("an authority");
    let link = certificate_der(&old.cross_sign(authority(), now()).expect("a certificate")).expect("a certificate");
    let stranger = Authority::generate("swarm-ca", now()).expect("an authority");
    let leaf = certificate_der(&node_certificate_pem(DAY)).expect("a certificate");
    let believes = |trusted: &Authority, links: &[CertificateDer<'_>]| {
        let verifier = WebPkiClientVerifier::builder(roots_of(trusted)).build().expect("a verifier");
        verifier.verify_client_cert(&leaf, links, unix_time(now())).is_ok()
    };

    assert!(believes(authority(), &[]));
    assert!(believes(authority(), std::slice::from_ref(&link)));
    assert!(believes(&old, std::slice::from_ref(&link)));
    assert!(!believes(&old, &[]));
    assert!(!believes(&stranger, &[link]));
}

#[test]
fn a_link_ends_with_the_first_of_its_two_authorities() {
    let older = Authority::generate("swarm-ca", now() - DAY * 400).expect("an authority");
    let link = older.cross_sign(authority(), now()).expect("a certificate");
    let read = Authority::from_pem(&link, &authority().key_pem()).expect("an authority");

    assert_eq!(read.not_after(), older.not_after());
    assert!(read.has_key_of(authority()) && !read.has_key_of(&older));
}

/// Authorities as `openssl` makes them: the kind of key, and the form it is written in.
#[test]
fn an_authority_of_somebody_elses_making_signs_nodes() {
    let check = |certificate: &str, key: &str| {
        let given = Authority::from_pem(certificate, &Secret::new(key)).expect("an authority");
        given.check_name().expect("a name of usual parts");
        let pem =
            given.issue_node(key_pair().csr_pem(), &subject(), DAY, given.not_before() + DAY).expect("a certificate");
        let old = Authority::generate("swarm-ca", given.not_before()).expect("an authority");
        let link = old.cross_sign(&given, given.not_before() + DAY).expect("a certificate");

        let verifier = WebPkiClientVerifier::builder(roots_of(&old)).build().expect("a verifier");
        let (leaf, link) = (certificate_der(&pem).expect("a leaf"), certificate_der(&link).expect("a link"));
        verifier
            .verify_client_cert(&leaf, &[link], unix_time(given.not_before() + DAY * 2))
            .expect("a chain to the old root");
        assert_eq!(crate::is_issued_by(&pem, certificate), Ok(true));
    };

    check(include_str!("../../tests/data/p256.pem"), include_str!("../../tests/data/p256-sec1-key.pem"));
    check(include_str!("../../tests/data/p256.pem"), include_str!("../../tests/data/p256-pkcs8-key.pem"));
    check(include_str!("../../tests/data/p384.pem"), include_str!("../../tests/data/p384-sec1-key.pem"));
    check(include_str!("../../tests/data/rsa.pem"), include_str!("../../tests/data/rsa-pkcs1-key.pem"));
}

#[test]
fn keys_and_names_that_nothing_can_be_signed_with_are_refused() {
    let check = |certificate: &str, key: &str, expected: &str| {
        let refused = Authority::from_pem(certificate, &Secret::new(key)).expect_err("not usable");
        assert_eq!(format!("{refused:?}"), expected);
    };
    let (p256, key) = (include_str!("../../tests/data/p256.pem"), include_str!("../../tests/data/p256-sec1-key.pem"));

    check(p256, include_str!("../../tests/data/ed25519-key.pem"), "UnsupportedKey");
    check(p256, include_str!("../../tests/data/p521-key.pem"), "UnsupportedKey");
    check(p256, "no key", "Key(NotPem { expected: \"private key\" })");
    check(include_str!("../../tests/data/two-units.pem"), key, "UnusableName");
}

#[test]
fn debug_shows_nothing_of_the_key() {
    assert!(!format!("{:?}", authority()).contains("PRIVATE"));
}

/// Changes a byte near the end of a request, where its signature is.
fn swap_a_signature_byte(csr: &str) -> String {
    let mut lines: Vec<String> = csr.lines().map(str::to_owned).collect();
    let index = lines.len() - 2;
    let replacement = if lines[index][4..].starts_with('A') { "B" } else { "A" };
    lines[index].replace_range(4..5, replacement);
    lines.join("\n")
}

fn roots() -> Arc<RootCertStore> {
    roots_of(authority())
}

fn roots_of(authority: &Authority) -> Arc<RootCertStore> {
    install_crypto();
    let mut roots = RootCertStore::empty();
    roots.add(certificate_der(authority.certificate_pem()).expect("a certificate")).expect("a root");
    Arc::new(roots)
}

fn unix_time(moment: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(moment.as_second().unsigned_abs()))
}

fn is_server(pem: &str, name: &str, moment: Timestamp) -> bool {
    let verifier = WebPkiServerVerifier::builder(roots()).build().expect("a verifier");
    let name = ServerName::try_from(name.to_owned()).expect("a server name");
    let der = certificate_der(pem).expect("a certificate");
    verifier.verify_server_cert(&der, &[], &name, &[], unix_time(moment)).is_ok()
}

fn is_client(pem: &str, moment: Timestamp) -> bool {
    let verifier = WebPkiClientVerifier::builder(roots()).build().expect("a verifier");
    let der = certificate_der(pem).expect("a certificate");
    verifier.verify_client_cert(&der, &[], unix_time(moment)).is_ok()
}
