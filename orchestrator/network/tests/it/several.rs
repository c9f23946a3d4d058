//! Several networks on one host.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use links::nft;
use links::route::Connection;
use network::Protocol::Tcp;
use network::{Bridge, BridgeSettings, EndpointRequest, NetworkError, PortError};
use tests::isolated;

use crate::host::{Container, HERE, Host, OUTSIDE, ask, network, port, request, serve};

/// What the host has of networks: links and tables.
fn made() -> (BTreeSet<String>, BTreeSet<String>) {
    let links = Connection::open().unwrap().links().unwrap();
    let links = links.into_iter().map(|link| link.name).filter(|name| !matches!(name.as_str(), "lo" | "toward"));
    (links.collect(), nft::tables().unwrap().into_iter().map(|(_, name)| name).collect())
}

fn names(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn networks_are_kept_apart_and_each_has_a_way_out() {
    isolated("several::networks_are_kept_apart_and_each_has_a_way_out", || {
        let host = Host::new();
        let engine = host.of("engine-1");
        let node = Bridge::new(Arc::clone(&engine), BridgeSettings::of_node());
        let front = Bridge::new(Arc::clone(&engine), network("front", 7));
        let back = Bridge::new(engine, network("back", 8));
        let web = Container::join(&front, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        let other = Container::join(&front, 'b', Vec::new());
        let database = Container::join(&back, 'c', Vec::new());
        let plain = Container::join(&node, 'd', Vec::new());
        for place in [&web.place, &other.place, &database.place, &plain.place, &host.outside] {
            serve(place, 80);
        }

        assert_eq!(other.place.run(|| ask(&web.address(), 80)).unwrap(), "10.7.0.3");
        for stranger in [&database, &plain] {
            assert!(stranger.place.run(|| ask(&web.address(), 80)).is_err(), "it is in another network");
            assert!(web.place.run(|| ask(&stranger.address(), 80)).is_err());
            assert_eq!(stranger.place.run(|| ask(OUTSIDE, 80)).unwrap(), HERE);
            assert!(stranger.place.run(|| ask(HERE, 8080)).is_ok(), "what is published is there for everybody");
        }
        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE);
        assert!(host.outside.run(|| ask(&web.address(), 80)).is_err());
    });
}

#[test]
fn an_internal_network_has_no_way_out_and_none_in() {
    isolated("several::an_internal_network_has_no_way_out_and_none_in", || {
        let host = Host::new();
        let settings = BridgeSettings { is_internal: true, ..network("inside", 7) };
        let bridge = Bridge::new(host.of("engine-1"), settings);
        let (one, other) = (Container::join(&bridge, 'a', Vec::new()), Container::join(&bridge, 'b', Vec::new()));
        for place in [&one.place, &other.place, &host.outside] {
            serve(place, 80);
        }

        assert_eq!(one.place.run(|| ask(&other.address(), 80)).unwrap(), "10.7.0.2");
        // It has been given a route, which it would not have; so it is the host that keeps it in.
        assert!(one.place.run(|| ask(OUTSIDE, 80)).is_err());
        assert!(host.outside.run(|| ask(&one.address(), 80)).is_err());
    });
}

#[test]
fn a_container_is_in_two_networks_and_goes_out_by_the_one_that_is_left() {
    isolated("several::a_container_is_in_two_networks_and_goes_out_by_the_one_that_is_left", || {
        let host = Host::new();
        let engine = host.of("engine-1");
        let front = Bridge::new(Arc::clone(&engine), network("front", 7));
        let back = Bridge::new(engine, network("back", 8));
        let web = Container::join(&front, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        let other = Container::join(&back, 'b', Vec::new());
        let second =
            EndpointRequest { link: "eth1".to_owned(), leads_out: false, ..request("second-endpoint", Vec::new()) };
        back.reserve(&web.id, &second).unwrap();
        back.connect(&web.id, &web.place.process).unwrap();
        for place in [&web.place, &other.place, &host.outside] {
            serve(place, 80);
        }
        assert_eq!(web.place.run(|| ask(&other.address(), 80)).unwrap(), "10.8.0.3", "by its own link");
        assert_eq!(web.place.run(|| ask(OUTSIDE, 80)).unwrap(), HERE);

        let ports = front.release(&web.id).unwrap();
        let left = back.lead_out(&web.id, &web.place.process, ports).unwrap();

        assert_eq!((left.ports[0].host_port, left.leads_out), (8080, true));
        assert_eq!(web.place.run(|| ask(OUTSIDE, 80)).unwrap(), HERE);
        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE, "its port has come along");
        back.release(&web.id).unwrap();
        assert!(host.outside.run(|| ask(HERE, 8080)).is_err());
    });
}

#[test]
fn an_address_of_ones_own_choice_is_one_of_the_network_and_nobody_elses() {
    isolated("several::an_address_of_ones_own_choice_is_one_of_the_network_and_nobody_elses", || {
        let mut settings = network("front", 7);
        let addresses = settings.addresses.as_mut().unwrap();
        addresses.range = Some("10.7.0.64/28".parse().unwrap());
        addresses.auxiliary = BTreeSet::from([Ipv4Addr::new(10, 7, 0, 64)]);
        let bridge = Bridge::new(Host::new().of("engine-1"), settings);
        let wanted = |name: &str, last: u8| {
            let address = Some(Ipv4Addr::new(10, 7, 0, last));
            bridge.reserve(name, &EndpointRequest { address, ..request(name, Vec::new()) })
        };

        let chosen = wanted("a", 9).unwrap().address;
        let given = bridge.reserve("b", &request("b", Vec::new())).unwrap().address;

        assert_eq!((chosen.to_string(), given.to_string()), ("10.7.0.9".to_owned(), "10.7.0.65".to_owned()));
        assert!(matches!(wanted("c", 9).unwrap_err(), NetworkError::AddressInUse(_)));
        assert!(matches!(wanted("c", 1).unwrap_err(), NetworkError::AddressInUse(_)), "the host's");
        assert!(matches!(wanted("c", 255).unwrap_err(), NetworkError::NoSuchAddress(_)));
    });
}

#[test]
fn a_port_is_one_containers_in_whatever_network() {
    isolated("several::a_port_is_one_containers_in_whatever_network", || {
        let host = Host::new();
        let engine = host.of("engine-1");
        let node = Bridge::new(Arc::clone(&engine), BridgeSettings::of_node());
        let front = Bridge::new(engine, network("front", 7));
        let wanted = || vec![port(Tcp, 80, "0.0.0.0", 8080)];
        let web = Container::join(&node, 'a', wanted());

        let refused = front.reserve("b", &request("b", wanted())).unwrap_err();
        drop(node.release(&web.id).unwrap());

        assert!(matches!(refused, NetworkError::Ports { source: PortError::Allocated(_), .. }), "{refused}");
        front.reserve("b", &request("b", wanted())).unwrap();
    });
}

#[test]
fn a_network_stands_until_it_is_removed_and_leaves_nothing() {
    isolated("several::a_network_stands_until_it_is_removed_and_leaves_nothing", || {
        let host = Host::new();
        let engine = host.of("engine-1");
        let settings = BridgeSettings { longest_packet: Some(1400), ..network("front", 7) };
        let bridge = Bridge::new(Arc::clone(&engine), settings);
        bridge.stand().unwrap();
        assert_eq!(made(), (names(&["sw-front"]), names(&["swarmd-sw-front"])));
        let web = Container::join(&bridge, 'a', Vec::new());
        let longest = |link: &str| {
            let shown = Command::new("busybox").args(["ip", "-o", "link", "show", link]).output().unwrap();
            String::from_utf8(shown.stdout).unwrap().contains(" mtu 1400 ")
        };
        assert!(longest("sw-front") && longest("vethaaaaaaaaaaa") && web.place.run(|| longest("eth0")));

        assert!(!bridge.remove().unwrap(), "a container is in it");
        bridge.release(&web.id).unwrap();
        assert!(bridge.remove().unwrap());

        assert_eq!(made(), (BTreeSet::new(), BTreeSet::new()));
        let late = bridge.reserve("b", &request("b", Vec::new())).unwrap_err();
        assert_eq!(late.to_string(), "network front not found");
        assert_eq!(made(), (BTreeSet::new(), BTreeSet::new()));
    });
}

#[test]
fn a_network_whose_link_others_took_away_leaves_nothing_either() {
    isolated("several::a_network_whose_link_others_took_away_leaves_nothing_either", || {
        let host = Host::new();
        let bridge = Bridge::new(host.of("engine-1"), network("front", 7));
        bridge.stand().unwrap();
        Connection::open().unwrap().remove_link("sw-front").unwrap();

        assert!(bridge.remove().unwrap());

        assert_eq!(made(), (BTreeSet::new(), BTreeSet::new()));
    });
}

#[test]
fn the_next_process_takes_networks_over_and_away() {
    isolated("several::the_next_process_takes_networks_over_and_away", || {
        let host = Host::new();
        let killed = host.of("engine-1");
        let front = Bridge::new(Arc::clone(&killed), network("front", 7));
        let back = Bridge::new(Arc::clone(&killed), network("back", 8));
        let web = Container::join(&front, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        let lost = Container::join(&back, 'b', Vec::new());
        let theirs = Bridge::new(host.of("engine-2"), network("theirs", 9));
        theirs.stand().unwrap();
        serve(&web.place, 80);
        drop((front, back, killed));

        let engine = host.of("engine-1");
        network::remove_all_but(&engine, &["sw-front".to_owned()]).unwrap();
        let front = Bridge::new(engine, network("front", 7));
        front.adopt(vec![(web.id.clone(), web.endpoint.clone())]).unwrap();

        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE);
        let links = names(&["sw-front", "sw-theirs", "vethaaaaaaaaaaa"]);
        assert_eq!(made(), (links, names(&["swarmd-sw-front", "swarmd-sw-theirs"])));
        assert_eq!(lost.place.run(|| Connection::open().unwrap().link("eth0").unwrap()), None);
        network::remove(&host.of("engine-1")).unwrap();
        assert_eq!(made(), (names(&["sw-theirs"]), names(&["swarmd-sw-theirs"])));
    });
}

#[test]
fn a_link_of_somebody_else_is_left_alone() {
    isolated("several::a_link_of_somebody_else_is_left_alone", || {
        let host = Host::new();
        let mut connection = Connection::open().unwrap();
        let index = connection.add_bridge("sw-front", "somebody", [2, 0, 0, 0, 0, 9]).unwrap();
        let bridge = Bridge::new(host.of("engine-1"), network("front", 7));

        let refused = bridge.stand().unwrap_err();

        assert!(matches!(refused, NetworkError::Foreign(_)), "{refused}");
        assert!(bridge.remove().unwrap());
        assert_eq!(connection.link("sw-front").unwrap().unwrap().index, index);
    });
}
