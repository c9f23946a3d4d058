//! Who may begin anew, and at which addresses.

use rand::SeedableRng;

use super::*;
use crate::disk::NewNode;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A manager at 192.0.2.1.
fn node(listen: &str) -> NodeFile {
    let mut rng = StdRng::seed_from_u64(1);
    NodeFile::from(NewNode {
        node_id: model::NodeId::generate(&mut rng),
        cluster_id: "0000000000000000000000001".parse().unwrap(),
        roots: Vec::new(),
        listen: addr(listen),
        advertise: addr("192.0.2.1:2377"),
        data_path: None,
        managers: Vec::new(),
        remotes: vec![addr("192.0.2.9:2377")],
        raft_id: Some(RaftId::generate(&mut rng)),
        is_first_key: false,
        nonce: None,
    })
}

fn locals(addrs: &[&str]) -> Vec<LocalAddress> {
    addrs.iter().map(|addr| LocalAddress { interface: "eth0".to_owned(), addr: addr.parse().unwrap() }).collect()
}

fn request(listen: &str, advertise: &str) -> InitRequest {
    InitRequest {
        listen_addr: Some(listen.to_owned()),
        advertise_addr: Some(advertise.to_owned()),
        force_new_cluster: true,
        ..InitRequest::default()
    }
}

#[test]
fn addresses_that_are_not_given_stay_while_they_are_the_hosts() {
    let check = |(listen, advertise): (&str, &str), locals: &[LocalAddress], expected: Result<(&str, &str), &str>| {
        let outcome = super::check(&request(listen, advertise), Role::Manager, &node("0.0.0.0:2377"), locals);
        let outcome = outcome.map(|addresses| (addresses.listen, addresses.advertise)).map_err(|error| error.message);
        let expected = expected.map(|(listen, advertise)| (addr(listen), addr(advertise))).map_err(ToOwned::to_owned);
        assert_eq!(outcome, expected, "{listen} {advertise}");
    };
    let (same, moved) = (locals(&["192.0.2.1", "192.0.2.2"]), locals(&["192.0.2.3"]));

    check(("", ""), &same, Ok(("0.0.0.0:2377", "192.0.2.1:2377")));
    check(("0.0.0.0:2377", ""), &same, Ok(("0.0.0.0:2377", "192.0.2.1:2377")));
    check(("0.0.0.0:2400", ""), &same, Ok(("0.0.0.0:2400", "192.0.2.1:2400")));
    check(("", "192.0.2.2"), &same, Ok(("0.0.0.0:2377", "192.0.2.2:2377")));
    check(("192.0.2.2", ""), &same, Ok(("192.0.2.2:2377", "192.0.2.2:2377")));
    check(("", ""), &moved, Ok(("0.0.0.0:2377", "192.0.2.3:2377")));
    check(("", "198.51.100.7:2500"), &moved, Ok(("0.0.0.0:2377", "198.51.100.7:2500")));
    let two = locals(&["192.0.2.3", "192.0.2.4"]);
    check(
        ("", ""),
        &two,
        Err("could not choose an IP address to advertise since this system has multiple addresses on interface eth0 \
             (192.0.2.3 and 192.0.2.4)"),
    );
}

#[test]
fn a_manager_that_listens_on_one_address_stays_there() {
    let addresses = super::check(&request("", ""), Role::Manager, &node("192.0.2.1:2377"), &[]).unwrap();

    assert_eq!((addresses.listen, addresses.advertise), (addr("192.0.2.1:2377"), addr("192.0.2.1:2377")));
}

#[test]
fn a_worker_is_refused_in_dockers_words() {
    let refusal = super::check(&request("", ""), Role::Worker, &node("0.0.0.0:2377"), &[]).unwrap_err();

    assert_eq!(refusal, words::worker());
}

#[tokio::test]
async fn a_manager_whose_log_is_empty_has_nothing_to_begin_with_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(directory.path().to_owned());
    disk.keep_node(&node("0.0.0.0:2377")).unwrap();
    let addresses = Addresses { listen: addr("0.0.0.0:2377"), advertise: addr("192.0.2.1:2377"), data_path: None };

    let refusal = decide(&disk, None, addresses, StdRng::seed_from_u64(2)).await.unwrap_err();

    assert_eq!(refusal, words::nothing_to_begin_with());
    assert_eq!(disk.node().unwrap(), Some(node("0.0.0.0:2377")));
}
