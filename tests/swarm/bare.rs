//! Hosts on which somebody has started the agent by hand, and what the stock `docker` does with them.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use tests::{Host, Hosts, Signal};

use crate::cluster::{NODE_FORMAT, NodeLine, nodes_of};
use tests::run::{PATIENCE, Run, eventually, limited};

/// Where the agent serves the Engine API on its host.
pub(crate) const SOCKET: &str = "/run/swarmd/swarmd.sock";

/// Starts the agent on a host, under the name `node-N`, and waits until it serves.
pub(crate) fn start_agent(host: &Host) {
    let path = host.path("/usr/local/bin/swarmd").unwrap();
    if !path.exists() {
        std::fs::copy(tests::agent().unwrap(), path).unwrap();
    }
    let name = format!("node-{}", host.number());
    host.shell(&format!("swarmd run --hostname {name} >>/run/agent.log 2>&1 </dev/null &")).unwrap();
    eventually(&format!("the agent of {name} serves"), || docker(host, "version").is_done().then_some(()));
}

/// Ends the agent of a host and waits until it has.
pub(crate) fn stop_agent(host: &Host) {
    host.signal("swarmd", Signal::Terminate).unwrap();
    eventually("the agent has ended", || host.processes("swarmd").unwrap().is_empty().then_some(()));
}

/// The stock `docker`, over the agent's own socket.
pub(crate) fn docker(host: &Host, arguments: &str) -> Run {
    Run::of(&mut docker_command(host, arguments))
}

/// The same, with something to read on its standard input.
pub(crate) fn docker_reading(host: &Host, arguments: &str, input: File) -> Run {
    Run::reading(&mut docker_command(host, arguments), input)
}

/// The same, to be started by the caller.
pub(crate) fn docker_command(host: &Host, arguments: &str) -> Command {
    let mut command: Command = limited(PATIENCE, tests::programs::docker());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", Path::new("/nonexistent"));
    let socket = host.path(SOCKET).unwrap();
    command.arg("-H").arg(format!("unix://{}", socket.display())).args(arguments.split_whitespace());
    command
}

/// What `docker info` says of the swarm: the state, and what is wrong.
pub(crate) fn state(host: &Host) -> String {
    docker(host, "info --format {{.Swarm.LocalNodeState}}|{{.Swarm.Error}}").answer()
}

/// What `docker node ls` shows on a host, once it answers: a manager that has just started is being prepared.
pub(crate) fn nodes(host: &Host) -> Option<Vec<NodeLine>> {
    let run = docker(host, &format!("node ls --format {NODE_FORMAT}"));
    run.is_done().then(|| nodes_of(&run.stdout))
}

/// Waits until the nodes are as listed: name, state and part in raft.
#[track_caller]
fn wait_for_nodes(host: &Host, expected: &[&str]) {
    eventually(&format!("the nodes are {expected:?}"), || {
        let mut lines: Vec<_> = nodes(host)?
            .into_iter()
            .map(|node| format!("{} {} {}", node.hostname, node.status, node.manager_status).trim_end().to_owned())
            .collect();
        lines.sort();
        (lines == expected).then_some(())
    });
}

/// The command that `docker swarm init` and `join-token` print, without the word `docker`.
fn printed_command(text: &str) -> String {
    let command = text.lines().find_map(|line| line.trim().strip_prefix("docker swarm join "));
    format!("swarm join {}", command.expect("a command to join is printed"))
}

#[track_caller]
fn refused(host: &Host, command: &str, why: &str) {
    let before = state(host);
    let words = docker(host, command).refusal();
    assert!(words.contains(why), "`docker {command}`: {words}");
    assert_eq!(state(host), before, "`docker {command}` changes nothing");
}

#[test]
fn a_swarm_is_made_and_unmade_by_hand() {
    let hosts = Hosts::start(3).unwrap();
    hosts.all().iter().for_each(start_agent);
    let [first, second, third] = [1, 2, 3].map(|number| hosts.host(number));

    // Two swarms, and a host that is in neither.
    let join_as_worker = printed_command(&docker(first, "swarm init --advertise-addr eth0").answer());
    docker(third, "swarm init --advertise-addr eth0").answer();
    assert!(join_as_worker.ends_with(&format!(" {}:2377", first.address())), "{join_as_worker}");
    refused(first, "swarm init --advertise-addr eth0", "This node is already part of a swarm");

    // Tokens that do not fit.
    let token = docker(first, "swarm join-token -q worker").answer();
    let foreign = docker(third, "swarm join-token -q worker").answer();
    let last = if token.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{last}", &token[..token.len() - 1]);
    for (token, why) in [
        (foreign.as_str(), "remote CA does not match fingerprint"),
        (&wrong, "A valid join token is necessary to join this cluster"),
        ("SWMTKN-1-short", "invalid join token"),
    ] {
        refused(second, &format!("swarm join --token {token} {}:2377", first.address()), why);
    }
    assert_eq!(state(second), "inactive|");

    // A worker joins with the command as it is printed.
    assert_eq!(docker(second, &join_as_worker).answer(), "This node joined a swarm as a worker.");
    wait_for_nodes(first, &["node-1 Ready Leader", "node-2 Ready"]);
    refused(second, "node ls", "This node is not a swarm manager. Worker nodes can't be used");

    // The other swarm's only manager leaves by force only, and becomes a manager of this one.
    refused(third, "swarm leave", "Removing the last manager erases all current state of the swarm");
    docker(third, "swarm leave --force").answer();
    let join_as_manager = printed_command(&docker(first, "swarm join-token manager").answer());
    assert_eq!(docker(third, &join_as_manager).answer(), "This node joined a swarm as a manager.");
    wait_for_nodes(third, &["node-1 Ready Leader", "node-2 Ready", "node-3 Ready Reachable"]);

    // A worker leaves, is down, and is removed.
    assert_eq!(docker(second, "swarm leave").answer(), "Node left the swarm.");
    wait_for_nodes(third, &["node-1 Ready Leader", "node-2 Down", "node-3 Ready Reachable"]);
    docker(third, "node rm node-2").answer();
    wait_for_nodes(first, &["node-1 Ready Leader", "node-3 Ready Reachable"]);
    assert_eq!(state(second), "inactive|");

    // A manager that is demoted is a worker that leaves.
    refused(
        third,
        "swarm leave",
        "You are attempting to leave the swarm on a node that is participating as a manager.",
    );
    docker(first, "node demote node-3").answer();
    eventually("the manager is a worker", || docker(third, "swarm leave").is_done().then_some(()));
    docker(first, "swarm leave --force").answer();
    assert_eq!([state(first), state(third)], ["inactive|", "inactive|"]);
    docker(first, "swarm init --advertise-addr eth0").answer();
    wait_for_nodes(first, &["node-1 Ready Leader"]);
}

#[test]
fn an_address_that_is_not_clear_and_a_port_that_is_taken_are_refused() {
    let hosts = Hosts::start(1).unwrap();
    let host = hosts.host(1);
    start_agent(host);

    host.shell("ip address add 10.77.2.1/24 dev eth0").unwrap();
    refused(
        host,
        "swarm init",
        "could not choose an IP address to advertise since this system has multiple addresses on interface eth0 \
         (10.77.1.1 and 10.77.2.1)",
    );
    refused(host, "swarm init --advertise-addr eth0", "interface eth0 has more than one IPv4 address");
    host.shell("ip address del 10.77.2.1/24 dev eth0 && ip link add eth1 type veth peer name eth2").unwrap();
    host.shell("ip address add 10.77.2.1/24 dev eth1 && ip link set eth1 up").unwrap();
    refused(host, "swarm init", "on different interfaces (10.77.1.1 on eth0 and 10.77.2.1 on eth1)");
    refused(host, "swarm init --advertise-addr eth7", "must be a non-zero IP address or network interface");
    refused(host, "swarm init --advertise-addr 0.0.0.0", "must be a non-zero IP address or network interface");

    let process = links::Process::of(host.pid().unwrap()).unwrap();
    let taken = links::namespace::inside_network(&process, || std::net::TcpListener::bind("0.0.0.0:2377"));
    refused(host, "swarm init --advertise-addr eth0", "2377");
    drop(taken.unwrap().unwrap());
    docker(host, "swarm init --advertise-addr eth0:2377").answer();
    wait_for_nodes(host, &["node-1 Ready Leader"]);
}
