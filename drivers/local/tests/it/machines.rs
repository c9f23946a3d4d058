//! The driver by itself.
//!
//! The agent is a stand-in that keeps the agreement of `swarmd init` with a shell: what is tested here is the driver.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use driver::conformance::{self, Bench};
use driver::{ClusterRequest, Driver, DriverError, InstanceState, Network, OptionValue, Options, Silent};
use links::cgroup::ControlGroup;
use links::nft::{self, Chain, Family, Hook, Policy, Ruleset};
use links::route::{Connection, VethPair};
use links::{Process, namespace, sysctl};
use local::Local;
use tests::{HostSnapshot, isolated};

use crate::workstation::{Workstation, process, run, tear_down};

/// Keeps the agreement of `swarmd init`: ready when its root stands, then waits, then runs until SIGTERM.
const STAND_IN: &str = "#!/bin/sh\n\
    echo \"booting $*\"\n\
    echo ready >&0\n\
    read -r line || exit 1\n\
    test \"$line\" = go || exit 1\n\
    exec </dev/null\n\
    trap 'exit 0' TERM\n\
    sleep 100000 & wait\n";
/// Says what is wrong and ends before it is ready.
const BROKEN: &str = "#!/bin/sh\necho 'no space left for a root' >&2\nexit 3\n";

fn subnet(value: &str) -> Options {
    Options([("subnet".to_owned(), OptionValue::One(value.to_owned()))].into())
}

/// Another host behind a link of this one, without a route back to any cluster.
struct Outside {
    child: Child,
    process: Process,
}

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const UPLINK: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

impl Outside {
    fn connect() -> Self {
        let mut command = Command::new("sleep");
        command.arg("100000").stdin(Stdio::null());
        let child = namespace::spawn_isolated(command, Vec::new()).unwrap();
        let process = Process::of(child.id()).unwrap();
        let mut here = Connection::open().unwrap();
        let pair = VethPair {
            name: "uplink",
            master: None,
            peer_of: process.pid,
            peer_name: "eth0",
            peer_hardware_address: [2, 0, 0, 0, 0, 1],
        };
        here.add_veth(&pair).unwrap();
        let mut there = Connection::open_inside(&process).unwrap();
        for (connection, link, address) in [(&mut here, "uplink", UPLINK), (&mut there, "eth0", OUTSIDE)] {
            let index = connection.link(link).unwrap().unwrap().index;
            connection.set_up(index).unwrap();
            connection.ensure_address(index, format!("{address}/24").parse().unwrap()).unwrap();
        }
        Self { child, process }
    }

    fn end(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Connection::open().unwrap().remove_link("uplink").unwrap();
    }
}

/// Sends a line from one network namespace to a listener in another; returns the address that the listener saw.
fn say_hello(from: &Process, to: &Process, address: IpAddr) -> IpAddr {
    let listener =
        namespace::inside_network(to, || TcpListener::bind(SocketAddr::new(address, 4000))).unwrap().unwrap();
    let limit = Duration::from_secs(10);
    let mut speaker =
        namespace::inside_network(from, || TcpStream::connect_timeout(&SocketAddr::new(address, 4000), limit))
            .unwrap()
            .unwrap();
    let (mut hearer, seen) = listener.accept().unwrap();
    hearer.set_read_timeout(Some(limit)).unwrap();
    speaker.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    hearer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    seen.ip()
}

#[test]
fn the_local_driver_keeps_the_contract() {
    isolated("machines::the_local_driver_keeps_the_contract", || {
        let workstation = Workstation::with_script(STAND_IN);

        run(conformance::run(&workstation));
    });
}

#[test]
fn a_cluster_leaves_nothing_behind() {
    isolated("machines::a_cluster_leaves_nothing_behind", || {
        let workstation = Workstation::with_script(STAND_IN);
        let driver = workstation.driver();
        let request = workstation.cluster("lab");
        let is_others = |item: &str| item.starts_with("cgroup") && !item.contains(&request.id.0);
        let before = HostSnapshot::take().unwrap().without(is_others);

        let between = run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            driver.create(&network, &workstation.machines(&request, 5), &Silent).await.unwrap();
            let between = HostSnapshot::take().unwrap().without(is_others);
            tear_down(&*driver, &request).await;
            between
        });
        let after = HostSnapshot::take().unwrap().without(is_others);

        let made = before.changes(&between);
        for kind in
            ["+ process", "+ namespace", "+ link", "+ address", "+ cgroup", "+ nft table", "+ file", "+ setting"]
        {
            assert!(made.iter().any(|change| change.starts_with(kind)), "the snapshot misses `{kind}`: {made:#?}");
        }
        assert_eq!(before.changes(&after), Vec::<String>::new());
    });
}

#[test]
fn machines_reach_each_other_and_leave_under_the_hosts_address() {
    isolated("machines::machines_reach_each_other_and_leave_under_the_hosts_address", || {
        let workstation = Workstation::with_script(STAND_IN);
        let driver = workstation.driver();
        let request = workstation.cluster("lab");
        let outside = Outside::connect();

        run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            let machines = driver.create(&network, &workstation.machines(&request, 2), &Silent).await.unwrap();
            let (first, second) = (process(&machines[0]), process(&machines[1]));
            let own = Process::of(std::process::id()).unwrap();
            let [one, two] = [0, 1].map(|at: usize| machines[at].private_address.unwrap());
            let mut inside = Connection::open_inside(&first).unwrap();
            inside.ensure_default_route("10.201.0.1".parse().unwrap()).unwrap();

            assert_eq!(say_hello(&first, &second, two), one, "members see each other's addresses");
            assert_eq!(say_hello(&own, &first, one), IpAddr::from([10, 201, 0, 1]), "the host reaches a machine");
            assert_eq!(say_hello(&first, &outside.process, OUTSIDE.into()), IpAddr::from(UPLINK), "masqueraded");
            tear_down(&*driver, &request).await;
        });
        outside.end();
    });
}

/// The firewall of a host that passes nothing on, as ufw and Docker leave it.
fn closed_firewall() -> Ruleset {
    Ruleset {
        family: Family::Ip,
        name: "filter".to_owned(),
        sets: Vec::new(),
        chains: vec![Chain {
            name: "FORWARD".to_owned(),
            hook: Hook::Forward,
            policy: Policy::Drop,
            rules: Vec::new(),
        }],
    }
}

#[test]
fn a_firewall_that_passes_nothing_on_makes_way_and_is_left_as_it_was() {
    isolated("machines::a_firewall_that_passes_nothing_on_makes_way_and_is_left_as_it_was", || {
        let workstation = Workstation::with_script(STAND_IN);
        let driver = workstation.driver();
        let request = workstation.cluster("lab");
        let outside = Outside::connect();
        nft::replace(&closed_firewall()).unwrap();

        run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            driver.ensure_network(&request).await.unwrap();
            let machines = driver.create(&network, &workstation.machines(&request, 1), &Silent).await.unwrap();
            let machine = process(&machines[0]);
            assert_eq!(say_hello(&machine, &outside.process, OUTSIDE.into()), IpAddr::from(UPLINK));

            nft::retract(&format!("swarmup-{}", request.id)).unwrap();
            let blocked = namespace::inside_network(&machine, || {
                TcpStream::connect_timeout(&SocketAddr::new(OUTSIDE.into(), 4000), Duration::from_millis(500))
            });
            let blocked = blocked.unwrap().unwrap_err().kind();
            assert_eq!(blocked, ErrorKind::TimedOut, "without our rules the firewall drops what passes through");
            tear_down(&*driver, &request).await;
        });
        assert_eq!(nft::tables().unwrap(), [(2, "filter".to_owned())]);
        outside.end();
    });
}

#[test]
fn prefixes_are_told_apart_from_all_that_the_host_uses() {
    isolated("machines::prefixes_are_told_apart_from_all_that_the_host_uses", || {
        let workstation = Workstation::with_script(STAND_IN);
        let driver = workstation.driver();
        let mut connection = Connection::open().unwrap();
        let index = connection.add_bridge("taken", "of somebody else", [2, 0, 0, 0, 0, 9]).unwrap();
        connection.ensure_address(index, "10.201.0.77/24".parse().unwrap()).unwrap();
        let [one, other, third] = ["one", "other", "third"].map(|name| workstation.cluster(name));
        let clashing = ClusterRequest { options: subnet("10.201.0.0/20"), ..workstation.cluster("clashing") };
        let chosen = ClusterRequest { options: subnet("10.99.0.0/24"), ..workstation.cluster("chosen") };

        run(async {
            let prefix = |network: Network| network.prefix.unwrap();
            assert_eq!(prefix(driver.ensure_network(&one).await.unwrap()), "10.201.1.0/24");
            assert_eq!(prefix(driver.ensure_network(&other).await.unwrap()), "10.201.2.0/24");
            tear_down(&*driver, &one).await;
            assert_eq!(prefix(driver.ensure_network(&third).await.unwrap()), "10.201.1.0/24");
            assert_eq!(prefix(driver.ensure_network(&chosen).await.unwrap()), "10.99.0.0/24");
            for refused in [driver.preflight(&clashing).await.err(), driver.ensure_network(&clashing).await.err()] {
                assert!(matches!(refused, Some(DriverError::InvalidOption { .. })), "{refused:?}");
            }
            let moved = ClusterRequest { options: subnet("10.98.0.0/24"), ..chosen.clone() };
            assert!(matches!(driver.ensure_network(&moved).await, Err(DriverError::InvalidOption { .. })));
            assert_eq!(driver.find(Some(&clashing.id)).await.unwrap(), [], "what was refused left nothing");
            for request in [&other, &third, &chosen] {
                tear_down(&*driver, request).await;
            }
        });
    });
}

#[test]
fn forwarding_is_put_back_with_the_last_cluster_only() {
    isolated("machines::forwarding_is_put_back_with_the_last_cluster_only", || {
        let workstation = Workstation::with_script(STAND_IN);
        let driver = workstation.driver();
        let [one, other] = ["one", "other"].map(|name| workstation.cluster(name));
        let forwarding = || sysctl::read(sysctl::IPV4_FORWARDING).unwrap();

        run(async {
            assert_eq!(forwarding(), "0");
            driver.ensure_network(&one).await.unwrap();
            driver.ensure_network(&other).await.unwrap();
            assert_eq!(forwarding(), "1");
            driver.remove_network(&one.id).await.unwrap();
            assert_eq!(forwarding(), "1");
            driver.remove_network(&other.id).await.unwrap();
            assert_eq!(forwarding(), "0");
        });
    });
}

#[test]
fn two_swarmups_at_once_make_each_machine_once() {
    isolated("machines::two_swarmups_at_once_make_each_machine_once", || {
        let workstation = Workstation::with_script(STAND_IN);
        let (first, second) = (workstation.driver(), workstation.driver());
        let [one, other] = ["one", "other"].map(|name| workstation.cluster(name));
        let machines = workstation.machines(&one, 4);

        run(async {
            let (network, others) = tokio::join!(first.ensure_network(&one), second.ensure_network(&other));
            let (network, others) = (network.unwrap(), others.unwrap());
            assert_ne!(network.prefix, others.prefix);

            let (left, right) =
                tokio::join!(first.create(&network, &machines, &Silent), second.create(&network, &machines, &Silent),);

            assert_eq!(left.unwrap(), right.unwrap());
            tear_down(&*first, &one).await;
            tear_down(&*first, &other).await;
        });
    });
}

#[test]
fn a_machine_that_does_not_come_up_says_why_and_is_cleared_away() {
    isolated("machines::a_machine_that_does_not_come_up_says_why_and_is_cleared_away", || {
        let (broken, working) = (Workstation::with_script(BROKEN), Workstation::with_script(STAND_IN));
        let driver = broken.driver();
        let request = broken.cluster("lab");

        run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            let failure = driver.create(&network, &broken.machines(&request, 1), &Silent).await.unwrap_err();
            let cause = std::error::Error::source(&failure).unwrap().to_string();
            assert!(cause.contains("no space left for a root"), "{failure}: {cause}");

            let created = driver.create(&network, &working.machines(&request, 1), &Silent).await.unwrap();
            assert_eq!(created[0].state, InstanceState::Running);
            assert!(driver.console(&created[0].id).await.unwrap().output.contains("booting init --hostname node-1"));
            tear_down(&*driver, &request).await;
        });
    });
}

#[test]
fn a_machine_whose_maker_was_killed_before_it_wrote_it_down_is_destroyed_all_the_same() {
    isolated("machines::a_machine_whose_maker_was_killed_before_it_wrote_it_down_is_destroyed_all_the_same", || {
        let workstation = Workstation::with_script(STAND_IN);
        let driver = workstation.driver();
        let request = workstation.cluster("lab");

        run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            let created = driver.create(&network, &workstation.machines(&request, 1), &Silent).await.unwrap();
            let kept = format!("/var/lib/swarmup/local/{}/machines/lab-node-1/machine.json", request.id);
            fs::write(kept, "{").unwrap();

            tear_down(&*driver, &request).await;

            assert!(!process(&created[0]).is_alive().unwrap());
            assert_eq!(driver.find(None).await.unwrap(), []);
        });
    });
}

#[test]
fn a_machine_that_died_is_started_again_with_its_data_and_address() {
    isolated("machines::a_machine_that_died_is_started_again_with_its_data_and_address", || {
        let workstation = Workstation::with_script(STAND_IN);
        let driver = workstation.driver();
        let request = workstation.cluster("lab");
        let machines = workstation.machines(&request, 2);

        run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            let before = driver.create(&network, &machines, &Silent).await.unwrap();
            let data = PathBuf::from(format!("/var/lib/swarmup/local/{}/machines/lab-node-1/data", request.id));
            fs::write(data.join("kept"), "raft").unwrap();
            let handle = process(&before[0]).open().unwrap().unwrap();
            handle.kill().unwrap();
            assert!(handle.wait(Duration::from_secs(10)).unwrap());

            let after = driver.create(&network, &machines, &Silent).await.unwrap();

            assert_ne!(after[0].access, before[0].access);
            assert_eq!(after[0].private_address, before[0].private_address);
            assert_eq!(after[1], before[1], "its neighbour is as it was");
            assert_eq!(fs::read_to_string(data.join("kept")).unwrap(), "raft");
            tear_down(&*driver, &request).await;
        });
    });
}

#[test]
fn a_machine_lives_in_a_control_group_of_its_own() {
    isolated("machines::a_machine_lives_in_a_control_group_of_its_own", || {
        let workstation = Workstation::with_script(STAND_IN);
        let driver = workstation.driver();
        let request = workstation.cluster("lab");

        run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            let created = driver.create(&network, &workstation.machines(&request, 2), &Silent).await.unwrap();
            let groups = ControlGroup::new(format!("swarmup/{}", request.id)).unwrap();

            assert_eq!(groups.children(), ["lab-node-1", "lab-node-2"]);
            let group = ControlGroup::new(format!("swarmup/{}/lab-node-1", request.id)).unwrap();
            let inside: BTreeSet<u32> = group.processes().into_iter().collect();
            assert!(inside.contains(&process(&created[0]).pid));
            assert!(!inside.contains(&process(&created[1]).pid));
            tear_down(&*driver, &request).await;
        });
    });
}

#[test]
fn without_root_there_is_one_clear_line_with_a_way_out() {
    isolated("machines::without_root_there_is_one_clear_line_with_a_way_out", || {
        let driver = Local::new("/var/lib/swarmup/local", "/run/swarmup/local");
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();

        let refused = run(driver.find(None)).unwrap_err();

        assert_eq!(refused.to_string(), "the provider `local` needs root");
        assert!(refused.hint().is_some_and(|hint| hint.contains("sudo")));
    });
}
