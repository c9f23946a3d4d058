//! A bootstrap file makes one host a node, once; any other use is refused, and the file kept aside.

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;
use model::{ClusterId, Role};
use rand::rngs::StdRng;
use swarmup::identity::Identity;
use tests::{Host, Hosts};

use crate::bare::{docker, nodes, start_agent, state, stop_agent};
use tests::run::eventually;

/// Where the file is put.
const FILE: &str = "/run/swarmd/bootstrap.json";

/// The file of the only manager of a new swarm, `node-1` on the first host.
fn bootstrap_file(host: &Host) -> Vec<u8> {
    let mut rng: StdRng = rand::make_rng();
    let now = Timestamp::now();
    let identity = Identity::generate(ClusterId::generate(&mut rng), &[(1, Role::Manager)], &mut rng, now).unwrap();
    let addresses = BTreeMap::from([(1, host.address())]);
    serde_json::to_vec(&identity.bootstrap(1, &addresses, now).unwrap()).unwrap()
}

/// Puts a file there and starts the agent.
fn start_with(host: &Host, file: &[u8]) {
    fs::create_dir_all(host.path("/run/swarmd").unwrap()).unwrap();
    fs::write(host.path(FILE).unwrap(), file).unwrap();
    start_agent(host);
}

/// The node says why, in `docker info` and in its log, and the file is as it was, under another name.
#[track_caller]
fn assert_refused(host: &Host, file: &[u8], number: u32, why: &str) {
    let aside = format!("{FILE}.rejected-{number}");
    let expected = format!("inactive|the bootstrap file is refused: {why}");
    let said = state(host);
    assert!(said.starts_with(&expected) && said.contains(&aside), "{said}");
    assert!(host.read_file("/run/agent.log").unwrap().contains(why));
    assert_eq!(fs::read(host.path(&aside).unwrap()).unwrap(), file);
    assert!(!host.has(FILE).unwrap());
    assert!(docker(host, "node ls").refusal().contains("This node is not a swarm manager."));
}

#[test]
fn a_bootstrap_file_is_good_for_one_host_and_once() {
    let hosts = Hosts::start(2).unwrap();
    let [own, other] = [hosts.host(1), hosts.host(2)];
    let file = bootstrap_file(own);

    start_with(own, &file);
    let node = eventually("the node is ready", || nodes(own)?.pop().filter(|node| node.status == "Ready"));
    assert!(!own.has(FILE).unwrap());

    // A member stays the member that it is.
    stop_agent(own);
    start_with(own, &file);
    eventually("the node is ready again", || (nodes(own)? == [node.clone()]).then_some(()));
    assert_eq!(fs::read(own.path(&format!("{FILE}.rejected-1")).unwrap()).unwrap(), file);

    // One that has left does not come back by the same file.
    docker(own, "swarm leave --force").answer();
    stop_agent(own);
    start_with(own, &file);
    assert_refused(own, &file, 2, "it was used before");

    // Another host, and a file that is cut short.
    start_with(other, &file);
    assert_refused(other, &file, 1, "it is for the host `node-1`, this one is `node-2`");
    stop_agent(other);
    let truncated = &file[..file.len() / 2];
    start_with(other, truncated);
    assert_refused(other, truncated, 2, "it cannot be parsed (it may be cut short)");

    // Neither is harmed: both can be in a swarm.
    docker(own, "swarm init --advertise-addr eth0").answer();
    let token = docker(own, "swarm join-token -q worker").answer();
    docker(other, &format!("swarm join --token {token} {}:2377", own.address())).answer();
    assert_eq!(state(other), "active|");
}
