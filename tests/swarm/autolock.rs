//! Managers that lock themselves, on hosts where somebody has started the agent by hand; the stock `docker` throughout.

use std::fs::{self, File};
use std::io::{Seek, Write};

use tests::{Host, Hosts, Signal};

use crate::bare::{docker, docker_reading, nodes, start_agent, state};
use tests::run::{Run, eventually};

/// Where a node keeps what its keys are locked with.
const LOCK: &str = "/var/lib/swarmd/swarm/lock.json";
const LOCKED: &str = "locked|Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm \
                      unlock\" to unlock it.";

/// `docker swarm unlock`, with the key on its standard input.
fn unlock(host: &Host, key: &str) -> Run {
    let mut input = tempfile(host, key);
    input.rewind().unwrap();
    docker_reading(host, "swarm unlock", input)
}

fn tempfile(host: &Host, text: &str) -> File {
    let path = host.path("/run/unlock-key").unwrap();
    let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    writeln!(file, "{text}").unwrap();
    file
}

/// The lock on a host's disk, once it is what it was not before.
#[track_caller]
fn next_lock(host: &Host, before: Option<&str>) -> String {
    eventually("the keys on disk follow", || {
        let lock = host.read_file(LOCK).ok()?;
        (before != Some(lock.as_str())).then_some(lock)
    })
}

fn kill(host: &Host) {
    host.signal("swarmd", Signal::Kill).unwrap();
    eventually("the agent is gone", || host.processes("swarmd").unwrap().is_empty().then_some(()));
}

#[track_caller]
fn restart_locked(host: &Host) {
    start_agent(host);
    eventually("the node is locked", || (state(host) == LOCKED).then_some(()));
}

#[track_caller]
fn all_are_well(host: &Host) {
    eventually("three managers are well", || {
        let nodes = nodes(host)?;
        let standing = |words: &str| nodes.iter().filter(|node| node.manager_status == words).count();
        let is_ready = nodes.iter().all(|node| node.status == "Ready");
        (is_ready && standing("Leader") == 1 && standing("Reachable") == 2).then_some(())
    });
}

#[test]
fn a_killed_manager_waits_for_the_key_that_it_was_locked_with() {
    let hosts = Hosts::start(3).unwrap();
    hosts.all().iter().for_each(start_agent);
    let [first, second, third] = [1, 2, 3].map(|number| hosts.host(number));
    docker(first, "swarm init --advertise-addr eth0").answer();
    let token = docker(first, "swarm join-token -q manager").answer();
    for host in [second, third] {
        docker(host, &format!("swarm join --token {token} {}:2377", first.address())).answer();
    }
    all_are_well(first);
    assert!(docker(first, "swarm unlock-key").refusal().contains("no unlock key is set"));
    assert!(unlock(first, "SWMKEY-1-x").refusal().contains("swarm is not locked"));

    // On: every manager locks its keys.
    let on = docker(second, "swarm update --autolock=true").answer();
    let key = docker(third, "swarm unlock-key -q").answer();
    assert!(key.starts_with("SWMKEY-1-") && key.len() == 52, "{key}");
    assert!(on.contains(&format!("    {key}\n")), "{on}");
    let locks = [first, second, third].map(|host| next_lock(host, None));

    // Killed and started again, it is locked and says so to everybody.
    kill(third);
    restart_locked(third);
    let identity = third.read_file("/var/lib/swarmd/swarm/identity.json").unwrap();
    assert!(!identity.contains("PRIVATE KEY"), "{identity}");
    for command in ["node ls", "swarm join-token worker", "swarm unlock-key", "swarm update --autolock=false"] {
        let words = docker(third, command).refusal();
        assert!(words.contains("Please use \"docker swarm unlock\" to unlock it."), "{command}: {words}");
    }
    assert!(docker(third, "swarm leave").refusal().contains("Swarm is encrypted and locked."));
    assert!(docker(third, "swarm init").refusal().contains("This node is already part of a swarm."));
    assert!(unlock(third, "open").refusal().contains("invalid key string"));
    let other = format!("SWMKEY-1-{}", "A".repeat(43));
    assert!(unlock(third, &other).refusal().contains("swarm could not be unlocked: invalid key provided"));
    assert_eq!(state(third), LOCKED);
    unlock(third, &key).answer();
    assert_eq!(state(third), "active|");
    all_are_well(third);

    // Rotated while one is away: that one opens with the key it knew, and with the new one from then on.
    kill(third);
    let rotated = docker(first, "swarm unlock-key --rotate -q").answer();
    assert!(rotated.starts_with("SWMKEY-1-") && rotated != key, "{rotated}");
    next_lock(second, Some(&locks[1]));
    restart_locked(third);
    assert!(unlock(third, &rotated).refusal().contains("invalid key provided"));
    unlock(third, &key).answer();
    all_are_well(third);
    next_lock(third, Some(&locks[2]));
    kill(third);
    restart_locked(third);
    assert!(unlock(third, &key).refusal().contains("invalid key provided"));
    unlock(third, &rotated).answer();
    all_are_well(first);

    // Off again: a restart needs nobody.
    let before = [first, second, third].map(|host| host.read_file(LOCK).unwrap());
    assert_eq!(docker(first, "swarm update --autolock=false").answer(), "Swarm updated.");
    for (host, before) in [first, second, third].into_iter().zip(&before) {
        next_lock(host, Some(before));
    }
    kill(third);
    start_agent(third);
    all_are_well(third);
    for host in hosts.all() {
        let log = host.read_file("/run/agent.log").unwrap();
        assert!(!log.contains(&key[9..]) && !log.contains(&rotated[9..]), "an unlock key is in the log");
    }
}

#[test]
fn a_swarm_that_begins_locked_is_left_by_force() {
    let hosts = Hosts::start(1).unwrap();
    let host = hosts.host(1);
    start_agent(host);

    let init = docker(host, "swarm init --autolock --advertise-addr eth0").answer();
    let key = docker(host, "swarm unlock-key -q").answer();
    assert!(init.contains(&format!("    {key}\n")), "{init}");
    kill(host);
    restart_locked(host);
    assert_eq!(docker(host, "swarm leave --force").answer(), "Node left the swarm.");

    assert_eq!(state(host), "inactive|");
    assert!(unlock(host, &key).refusal().contains("This node is not part of a swarm"));
    docker(host, "swarm init --advertise-addr eth0").answer();
    assert_eq!(state(host), "active|");
}
