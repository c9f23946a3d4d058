//! Who reaches 7946 and 4789 of a node: real agents on two hosts with a link between them, real datagrams.

use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::process::Output;
use std::time::Duration;

use links::namespace::inside_network;
use links::nft;
use links::route::{Connection, VethPair};

use crate::bare::{call, start};
use crate::host::Host;
use crate::wait::eventually;

/// Where the agents gossip, and where overlay networks will carry packets.
const GUARDED: [u16; 2] = [7946, 4789];
const HOME: &str = "192.0.2.1";
/// Another address of the same host, on which no agent listens.
const BESIDE: &str = "192.0.2.9";
const NEIGHBOR: &str = "192.0.2.2";
const STRANGER: &str = "192.0.2.3";
/// Between two namespaces of one machine a packet takes microseconds; what has not come by then was dropped.
const PATIENCE: Duration = Duration::from_millis(300);

/// Two hosts; the second one has the addresses of two.
struct Pair {
    home: Host,
    neighbor: Host,
}

impl Pair {
    fn connect() -> Self {
        let (home, neighbor) = (Host::new(), Host::new());
        let mut here = Connection::open_inside(&home.process).unwrap();
        here.add_veth(&VethPair {
            name: "eth0",
            master: None,
            peer_of: neighbor.process.pid,
            peer_name: "eth0",
            peer_hardware_address: [2, 0, 0, 0, 0, 1],
        })
        .unwrap();
        let mut there = Connection::open_inside(&neighbor.process).unwrap();
        for (connection, addresses) in [(&mut here, [HOME, BESIDE]), (&mut there, [NEIGHBOR, STRANGER])] {
            let link = connection.link("eth0").unwrap().unwrap().index;
            connection.set_up(link).unwrap();
            for address in addresses {
                connection.ensure_address(link, format!("{address}/24").parse().unwrap()).unwrap();
            }
        }
        Self { home, neighbor }
    }

    /// Two hosts, and a swarm on the first one.
    fn with_a_swarm() -> Self {
        let pair = Self::connect();
        start(&pair.home);
        pair.found_a_swarm();
        pair
    }

    fn found_a_swarm(&self) {
        let body = format!("{{\"ListenAddr\":\"0.0.0.0:2377\",\"AdvertiseAddr\":\"{HOME}\"}}");
        call(&self.home, "POST", "/swarm/init", &body);
    }

    /// Lets the neighbor join; gives its id.
    fn join(&self) -> String {
        start(&self.neighbor);
        let token = call(&self.home, "GET", "/swarm", "")["JoinTokens"]["Worker"].as_str().unwrap().to_owned();
        let body = serde_json::json!({
            "ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": NEIGHBOR, "RemoteAddrs": [HOME], "JoinToken": token,
        });
        succeeds(&self.neighbor.uploaded(&["api", "POST", "/swarm/join"], body.to_string().as_bytes()));
        call(&self.neighbor, "GET", "/info", "")["Swarm"]["NodeID"].as_str().unwrap().to_owned()
    }

    /// Whether a datagram arrives at a port of the first host.
    fn arrives(&self, from: &str, port: u16) -> bool {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let hearer = inside_network(&self.home.process, || UdpSocket::bind((address(BESIDE), port)).unwrap()).unwrap();
        hearer.set_read_timeout(Some(PATIENCE)).unwrap();
        let speaker = inside_network(&self.neighbor.process, || UdpSocket::bind((address(from), 0)).unwrap()).unwrap();
        speaker.send_to(b"hello", (address(BESIDE), port)).unwrap();
        match hearer.recv_from(&mut [0; 8]) {
            Ok((_, sender)) => sender.ip() == address(from),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Whether datagrams arrive at all of the ports that are for members alone.
    fn is_let_in(&self, from: &str) -> bool {
        let answers = GUARDED.map(|port| self.arrives(from, port));
        assert_eq!(answers[0], answers[1], "the ports are guarded alike");
        answers[0]
    }

    fn tables(&self) -> Vec<String> {
        let tables = inside_network(&self.home.process, nft::tables).unwrap().unwrap();
        tables.into_iter().map(|(_, name)| name).collect()
    }
}

fn succeeds(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_host_in_no_swarm_is_open() {
    let pair = Pair::connect();

    start(&pair.home);

    assert!(pair.is_let_in(STRANGER));
    assert!(pair.tables().is_empty());
}

#[test]
fn strangers_are_kept_out_and_members_come_and_go() {
    let pair = Pair::with_a_swarm();
    assert!(!pair.is_let_in(STRANGER));
    assert!(!pair.is_let_in(NEIGHBOR), "it is no member yet");
    assert!(pair.arrives(STRANGER, 7947), "other ports are as they were");

    let id = pair.join();
    eventually(|| pair.arrives(NEIGHBOR, 7946));
    assert!(pair.is_let_in(NEIGHBOR));
    assert!(!pair.is_let_in(STRANGER));

    succeeds(&pair.neighbor.uploaded(&["api", "POST", "/swarm/leave"], b""));
    succeeds(&pair.home.uploaded(&["api", "DELETE", &format!("/nodes/{id}?force=true")], b""));
    eventually(|| !pair.arrives(NEIGHBOR, 7946));
    assert!(!pair.is_let_in(NEIGHBOR));
}

#[test]
fn the_guard_stands_while_the_agent_is_down() {
    let pair = Pair::with_a_swarm();
    pair.join();
    eventually(|| pair.arrives(NEIGHBOR, 7946));

    pair.home.shell("kill -KILL $(cat /run/agent); while [ -e /proc/$(cat /run/agent)/exe ]; do :; done");
    assert!(!pair.is_let_in(STRANGER));
    assert!(pair.is_let_in(NEIGHBOR));
    start(&pair.home);

    assert!(!pair.is_let_in(STRANGER));
    assert!(pair.is_let_in(NEIGHBOR));
}

#[test]
fn a_node_that_leaves_takes_its_guard_with_it() {
    let pair = Pair::with_a_swarm();
    assert!(!pair.tables().is_empty());

    succeeds(&pair.home.uploaded(&["api", "POST", "/swarm/leave?force=true"], b""));

    assert!(pair.tables().is_empty());
    assert!(pair.is_let_in(STRANGER));
}

#[test]
fn removal_of_the_service_removes_the_guard() {
    let pair = Pair::connect();
    let request = serde_json::json!({ "mark": "k3v9", "cluster_name": "lab", "hostname": "node-1", "labels": {} });
    succeeds(&pair.home.uploaded(&["service", "install"], request.to_string().as_bytes()));
    pair.found_a_swarm();
    assert!(!pair.tables().is_empty());

    succeeds(&pair.home.run("/usr/local/bin/swarmd", &["service", "remove", "--mark", "k3v9"], b""));

    assert!(pair.tables().is_empty());
    assert!(pair.is_let_in(STRANGER));
}

#[test]
fn an_agent_that_may_not_filter_packets_says_once_what_is_open() {
    let pair = Pair::connect();
    let agent = env!("CARGO_BIN_EXE_swarmd");
    pair.home.shell(&format!(
        "setpriv --bounding-set=-net_admin {agent} run >/run/agent.log 2>&1 & \
         until {agent} api GET /_ping >/dev/null 2>&1; do :; done"
    ));

    pair.found_a_swarm();
    eventually(|| call(&pair.home, "GET", "/nodes", "")[0]["Status"]["State"] == "ready");

    assert_eq!(pair.home.shell("grep -c 'ports 7946 and 4789 are not protected' /run/agent.log"), "1");
    assert!(pair.is_let_in(STRANGER));
}
