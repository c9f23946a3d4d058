//! Who reaches whom.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use links::nft::{self, Chain, Family, Hook, Policy, Ruleset};
use network::Protocol::{Tcp, Udp};
use tests::isolated;

use crate::host::{Container, HERE, Host, OUTSIDE, ask, ask_by_datagram, port, serve, serve_datagrams};

#[test]
fn a_container_reaches_out_under_the_hosts_address() {
    isolated("reaches::a_container_reaches_out_under_the_hosts_address", || {
        let host = Host::new();
        let bridge = host.bridge();
        let (one, other) = (Container::join(&bridge, 'a', Vec::new()), Container::join(&bridge, 'b', Vec::new()));
        serve(&host.outside, 80);
        serve(&other.place, 80);

        assert_eq!((one.address(), other.address()), ("172.17.0.2".to_owned(), "172.17.0.3".to_owned()));
        assert_eq!(one.place.run(|| ask(OUTSIDE, 80)).unwrap(), HERE);
        assert_eq!(one.place.run(|| ask("172.17.0.3", 80)).unwrap(), "172.17.0.2", "containers reach one another");
        assert_eq!(ask("172.17.0.3", 80).unwrap(), "172.17.0.1", "the host reaches them");
    });
}

#[test]
fn a_published_port_is_reached_from_outside_the_host_and_containers() {
    isolated("reaches::a_published_port_is_reached_from_outside_the_host_and_containers", || {
        let host = Host::new();
        let bridge = host.bridge();
        let web = Container::join(&bridge, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        let other = Container::join(&bridge, 'b', Vec::new());
        serve(&web.place, 80);

        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE, "it sees who asks");
        assert_eq!(ask(HERE, 8080).unwrap(), HERE);
        assert_eq!(ask("127.0.0.1", 8080).unwrap(), "172.17.0.1");
        assert_eq!(ask("127.0.0.7", 8080).unwrap(), "172.17.0.1");
        for at in [HERE, "172.17.0.1"] {
            assert_eq!(other.place.run(|| ask(at, 8080)).unwrap(), "172.17.0.1", "another container, at {at}");
            assert_eq!(web.place.run(|| ask(at, 8080)).unwrap(), "172.17.0.1", "itself, at {at}");
        }
    });
}

#[test]
fn a_published_port_of_datagrams_is_reached_alike() {
    isolated("reaches::a_published_port_of_datagrams_is_reached_alike", || {
        let host = Host::new();
        let bridge = host.bridge();
        let names = Container::join(&bridge, 'a', vec![port(Udp, 53, "0.0.0.0", 5353)]);
        let other = Container::join(&bridge, 'b', Vec::new());
        serve_datagrams(&names.place, 53);

        assert_eq!(host.outside.run(|| ask_by_datagram(HERE, 5353)).unwrap(), OUTSIDE);
        assert_eq!(ask_by_datagram(HERE, 5353).unwrap(), HERE);
        assert_eq!(ask_by_datagram("127.0.0.1", 5353).unwrap(), "172.17.0.1");
        assert_eq!(other.place.run(|| ask_by_datagram(HERE, 5353)).unwrap(), "172.17.0.1");
    });
}

#[test]
fn datagrams_of_a_sender_that_goes_on_reach_whoever_has_the_port_now() {
    isolated("reaches::datagrams_of_a_sender_that_goes_on_reach_whoever_has_the_port_now", || {
        let host = Host::new();
        let bridge = host.bridge();
        let first = Container::join(&bridge, 'a', vec![port(Udp, 53, "0.0.0.0", 5353)]);
        let held = Container::join(&bridge, 'b', Vec::new());
        serve_datagrams(&first.place, 53);
        let sender = host.outside.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        sender.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let is_answered = || {
            sender.send_to(b"hello", (HERE, 5353)).unwrap();
            sender.recv(&mut [0; 64]).is_ok()
        };
        assert!(is_answered());

        bridge.release(&first.id).unwrap();
        assert!(!is_answered(), "nobody has the port");
        let next = Container::join(&bridge, 'c', Vec::new());
        let last = Container::join(&bridge, 'd', vec![port(Udp, 53, "0.0.0.0", 5353)]);
        serve_datagrams(&last.place, 53);

        assert_eq!(next.endpoint.address, first.endpoint.address, "another one has its address");
        assert_eq!(held.address(), "172.17.0.3");
        assert!(is_answered());
    });
}

#[test]
fn a_port_of_one_address_is_reached_there_alone() {
    isolated("reaches::a_port_of_one_address_is_reached_there_alone", || {
        let host = Host::new();
        let bridge = host.bridge();
        let ports = vec![port(Tcp, 80, "127.0.0.1", 8080), port(Tcp, 80, HERE, 8081)];
        let web = Container::join(&bridge, 'a', ports);
        let other = Container::join(&bridge, 'b', Vec::new());
        serve(&web.place, 80);

        assert_eq!(ask("127.0.0.1", 8080).unwrap(), "172.17.0.1");
        assert_eq!(host.outside.run(|| ask(HERE, 8081)).unwrap(), OUTSIDE);
        assert!(ask(HERE, 8080).is_err() && ask("127.0.0.1", 8081).is_err());
        assert!(host.outside.run(|| ask(HERE, 8080)).is_err());
        assert!(other.place.run(|| ask("172.17.0.1", 8080)).is_err());
    });
}

#[test]
fn the_first_packets_of_a_container_are_not_lost() {
    isolated("reaches::the_first_packets_of_a_container_are_not_lost", || {
        let host = Host::new();
        let bridge = host.bridge();
        serve(&host.outside, 80);

        for letter in 'a'..='z' {
            let one = Container::join(&bridge, letter, Vec::new());
            assert_eq!(one.place.run(|| ask(OUTSIDE, 80)).unwrap(), HERE, "{letter}");
        }
    });
}

#[test]
fn what_is_not_published_is_not_reached_from_outside() {
    isolated("reaches::what_is_not_published_is_not_reached_from_outside", || {
        let host = Host::new();
        let bridge = host.bridge();
        let web = Container::join(&bridge, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        serve(&web.place, 80);
        serve(&web.place, 81);

        assert!(host.outside.run(|| ask("172.17.0.2", 81)).is_err());
        assert!(host.outside.run(|| ask("172.17.0.2", 80)).is_err());
        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE);
    });
}

#[test]
fn a_container_does_not_reach_what_the_host_keeps_to_itself() {
    isolated("reaches::a_container_does_not_reach_what_the_host_keeps_to_itself", || {
        let host = Host::new();
        let bridge = host.bridge();
        let one = Container::join(&bridge, 'a', Vec::new());
        let own = TcpListener::bind("127.0.0.1:7000").unwrap();
        own.set_nonblocking(true).unwrap();

        // Without a loopback of its own, it sends what is for 127.0.0.1 to its gateway.
        let sent = one.place.run(|| {
            let is_down = Command::new("busybox").args(["ip", "link", "set", "lo", "down"]).status().unwrap();
            assert!(is_down.success());
            ask("127.0.0.1", 7000)
        });

        assert!(sent.is_err());
        assert!(own.accept().is_err(), "nothing came");
    });
}

#[test]
fn a_firewall_that_passes_nothing_on_is_told_of_the_bridge() {
    isolated("reaches::a_firewall_that_passes_nothing_on_is_told_of_the_bridge", || {
        let host = Host::new();
        let closed = Chain { name: "forward".to_owned(), hook: Hook::Forward, policy: Policy::Drop, rules: Vec::new() };
        let firewall =
            Ruleset { family: Family::Ip, name: "firewall".to_owned(), sets: Vec::new(), chains: vec![closed] };
        nft::replace(&firewall).unwrap();
        let bridge = host.bridge();
        let web = Container::join(&bridge, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        serve(&web.place, 80);
        serve(&host.outside, 80);

        assert_eq!(web.place.run(|| ask(OUTSIDE, 80)).unwrap(), HERE);
        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE);
        nft::replace(&firewall).unwrap();
        assert!(host.outside.run(|| ask(HERE, 8080)).is_err(), "it was started anew");
        bridge.tend().unwrap();
        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE);
    });
}
