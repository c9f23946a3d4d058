//! Coming, going, and what is left.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use links::nft::{self, Family};
use links::route::Connection;
use links::sysctl;
use network::Protocol::{Tcp, Udp};
use network::{BRIDGE, Bridge, BridgeSettings, NetworkError};
use tests::isolated;

use crate::host::{Container, HERE, Host, OUTSIDE, Place, ask, port, request, serve};

/// What an error says, with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

/// The links of the host: the bridge, and what is plugged into it.
fn links() -> BTreeSet<String> {
    let links = Connection::open().unwrap().links().unwrap();
    links.into_iter().map(|link| link.name).filter(|name| name == BRIDGE || name.starts_with("veth")).collect()
}

fn tables() -> Vec<String> {
    nft::tables().unwrap().into_iter().map(|(_, name)| name).collect()
}

#[test]
fn a_port_that_is_taken_is_refused_and_free_once_it_is_given_back() {
    isolated("lives::a_port_that_is_taken_is_refused_and_free_once_it_is_given_back", || {
        let host = Host::new();
        let bridge = host.bridge();
        let web = Container::join(&bridge, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        let wanted = |number| request("b", vec![port(Tcp, 80, "0.0.0.0", number)]);
        let mine = TcpListener::bind((HERE, 9090)).unwrap();

        let of_container = chain(&bridge.reserve("b", &wanted(8080)).unwrap_err());
        let of_process = chain(&bridge.reserve("b", &wanted(9090)).unwrap_err());
        let of_us = TcpListener::bind((HERE, 8080)).unwrap_err();

        assert_eq!(
            of_container,
            "driver failed programming external connectivity on endpoint b (b-endpoint-of-it): Bind for 0.0.0.0:8080 \
             failed: port is already allocated"
        );
        assert!(
            of_process.contains("failed to bind host port 0.0.0.0:9090/tcp: Address already in use"),
            "{of_process}"
        );
        assert_eq!(of_us.kind(), std::io::ErrorKind::AddrInUse, "no process gets a container's port");
        assert_eq!(bridge.endpoints().len(), 1, "who was refused has nothing");
        let datagrams = request("c", vec![port(Udp, 80, "0.0.0.0", 8080)]);
        bridge.reserve("c", &datagrams).unwrap();
        drop(mine);
        bridge.release(&web.id).unwrap();
        let next = bridge.reserve("b", &request("b", vec![port(Tcp, 80, "0.0.0.0", 8080)])).unwrap();
        assert_eq!(next.address, web.endpoint.address, "its address is free, too");
        TcpListener::bind((HERE, 9090)).unwrap();
    });
}

#[test]
fn a_container_that_is_released_leaves_nothing_and_is_reached_no_more() {
    isolated("lives::a_container_that_is_released_leaves_nothing_and_is_reached_no_more", || {
        let host = Host::new();
        let bridge = host.bridge();
        let web = Container::join(&bridge, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        serve(&web.place, 80);
        assert!(host.outside.run(|| ask(HERE, 8080)).is_ok());

        bridge.release(&web.id).unwrap();
        bridge.release(&web.id).unwrap();

        assert!(host.outside.run(|| ask(HERE, 8080)).is_err());
        assert_eq!(links(), BTreeSet::from([BRIDGE.to_owned()]));
        assert!(bridge.endpoints().is_empty());
        assert_eq!(web.place.run(|| Connection::open().unwrap().link("eth0").unwrap()), None);
    });
}

#[test]
fn the_next_process_has_the_same_addresses_and_takes_away_what_is_nobodys() {
    isolated("lives::the_next_process_has_the_same_addresses_and_takes_away_what_is_nobodys", || {
        let host = Host::new();
        let killed = host.bridge();
        let web = Container::join(&killed, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        let lost = Container::join(&killed, 'b', vec![port(Tcp, 80, "0.0.0.0", 8081)]);
        serve(&web.place, 80);
        serve(&lost.place, 80);
        drop(killed);
        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE, "nobody of ours needs to be there");

        let bridge = host.bridge();
        bridge.adopt(vec![(web.id.clone(), web.endpoint.clone())]).unwrap();
        let new = bridge.reserve("c", &request("c", Vec::new())).unwrap();

        assert_eq!(bridge.endpoints()[&web.id], web.endpoint);
        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE);
        assert!(host.outside.run(|| ask(HERE, 8081)).is_err(), "the port of the one that is lost leads nowhere");
        assert_eq!(links(), [BRIDGE.to_owned(), format!("veth{}", &web.id[..11])].into());
        assert_eq!(new.address, lost.endpoint.address, "what was lost is free");
        assert!(TcpListener::bind((HERE, 8080)).is_err(), "the port is taken again");
        bridge.release(&web.id).unwrap();
        assert!(host.outside.run(|| ask(HERE, 8080)).is_err());
    });
}

#[test]
fn a_bridge_and_rules_that_others_took_away_are_put_back() {
    isolated("lives::a_bridge_and_rules_that_others_took_away_are_put_back", || {
        let host = Host::new();
        let killed = host.bridge();
        let web = Container::join(&killed, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        serve(&web.place, 80);
        drop(killed);
        Connection::open().unwrap().remove_link(BRIDGE).unwrap();
        nft::remove(Family::Ip, "swarmd-bridge").unwrap();
        assert!(host.outside.run(|| ask(HERE, 8080)).is_err());

        let bridge = host.bridge();
        bridge.adopt(vec![(web.id.clone(), web.endpoint.clone())]).unwrap();
        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE);
        nft::remove(Family::Ip, "swarmd-bridge").unwrap();
        bridge.tend().unwrap();

        assert_eq!(host.outside.run(|| ask(HERE, 8080)).unwrap(), OUTSIDE);
        assert_eq!(web.place.run(|| ask("172.17.0.1", 8080)).unwrap(), "172.17.0.1");
    });
}

#[test]
fn a_host_without_containers_is_left_alone_and_removal_leaves_it_as_it_was() {
    isolated("lives::a_host_without_containers_is_left_alone_and_removal_leaves_it_as_it_was", || {
        sysctl::write(sysctl::IPV4_FORWARDING, "0").unwrap();
        let host = Host::new();
        let bridge = host.bridge();
        bridge.adopt(Vec::new()).unwrap();
        bridge.tend().unwrap();
        assert_eq!(bridge.subnet().unwrap().prefix().to_string(), "172.17.0.0/16");
        assert_eq!((links().len(), tables().len(), host.folder.path().read_dir().unwrap().count()), (0, 0, 0));
        let before = sysctl::forwarding().unwrap();

        let web = Container::join(&bridge, 'a', vec![port(Tcp, 80, "0.0.0.0", 8080)]);
        assert_eq!(sysctl::read(sysctl::IPV4_FORWARDING).unwrap(), "1");
        drop(web);
        network::remove(&host.of("engine-1")).unwrap();
        network::remove(&host.of("engine-1")).unwrap();

        assert_eq!((links().len(), tables().len(), host.folder.path().read_dir().unwrap().count()), (0, 0, 0));
        assert_eq!(sysctl::forwarding().unwrap(), before);
    });
}

#[test]
fn a_bridge_of_another_engine_is_left_alone_while_something_is_in_it() {
    isolated("lives::a_bridge_of_another_engine_is_left_alone_while_something_is_in_it", || {
        let host = Host::new();
        let theirs = host.bridge();
        let web = Container::join(&theirs, 'a', Vec::new());
        let engine = host.of("engine-2");
        let ours = Bridge::new(Arc::clone(&engine), BridgeSettings::of_node());

        let refused = ours.reserve("b", &request("b", Vec::new())).unwrap_err();
        network::remove(&engine).unwrap();
        ours.adopt(Vec::new()).unwrap();

        assert!(matches!(refused, NetworkError::Foreign(_)), "{refused}");
        assert_eq!(links().len(), 2);
        theirs.release(&web.id).unwrap();
        ours.reserve("b", &request("b", Vec::new())).unwrap();
        let alias = Connection::open().unwrap().link(BRIDGE).unwrap().unwrap().alias;
        assert_eq!(alias.as_deref(), Some("engine-2"));
    });
}

#[test]
fn a_range_that_the_host_uses_is_not_taken() {
    isolated("lives::a_range_that_the_host_uses_is_not_taken", || {
        let host = Host::new();
        let mut connection = Connection::open().unwrap();
        let link = connection.link("toward").unwrap().unwrap();
        connection.ensure_address(link.index, "172.17.200.1/24".parse().unwrap()).unwrap();

        let web = Container::join(&host.bridge(), 'a', Vec::new());

        assert_eq!(
            (web.address(), web.endpoint.gateway.to_string()),
            ("172.18.0.2".to_owned(), "172.18.0.1".to_owned())
        );
    });
}

#[test]
fn fifty_containers_at_once_have_an_address_each() {
    isolated("lives::fifty_containers_at_once_have_an_address_each", || {
        let host = Host::new();
        let bridge = host.bridge();
        let places: Vec<Place> = (0..50).map(|_| Place::new()).collect();
        let begun = std::time::Instant::now();

        let addresses: BTreeSet<_> = thread::scope(|scope| {
            let joining: Vec<_> = (0..)
                .zip(&places)
                .map(|(number, place)| {
                    let bridge = &bridge;
                    scope.spawn(move || {
                        let id = format!("{number:011}");
                        let ports = vec![port(Tcp, 80, "0.0.0.0", 0)];
                        let endpoint = bridge.reserve(&id, &request(&id, ports)).unwrap();
                        bridge.connect(&id, &place.process).unwrap();
                        endpoint.address
                    })
                })
                .collect();
            joining.into_iter().map(|joined| joined.join().unwrap()).collect()
        });

        tests::isolated::announce(&format!("fifty containers with a port each: {} ms", begun.elapsed().as_millis()));
        assert_eq!(addresses.len(), 50);
        assert_eq!(links().len(), 51);
        for place in [&places[0], &places[49]] {
            serve(place, 80);
        }
        let reached =
            bridge.endpoints().values().filter(|endpoint| ask(HERE, endpoint.ports[0].host_port).is_ok()).count();
        assert_eq!(reached, 2, "those that answer are reached, each at its port");
    });
}
