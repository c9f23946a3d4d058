//! Links, addresses and routes.

use std::io::ErrorKind;
use std::net::IpAddr;

use links::route::{self, Connection};
use tests::isolated;

use crate::neighbor::{LINK, Neighbor};

#[test]
fn a_pair_of_links_joins_two_namespaces() {
    isolated("route::a_pair_of_links_joins_two_namespaces", || {
        let neighbor = Neighbor::connect(&["192.0.2.1/24", "fd00::1/64"], &["192.0.2.2/24", "fd00::2/64"]);

        let there = neighbor.addresses();

        assert_eq!(there, ["192.0.2.2", "fd00::2"].map(|text| text.parse::<IpAddr>().unwrap()));
        assert!(route::addresses_of(LINK).unwrap().contains(&"192.0.2.1".parse().unwrap()));
        assert!(route::prefixes().unwrap().contains(&"192.0.2.0/24".parse().unwrap()));
    });
}

#[test]
fn what_exists_is_told_from_what_does_not() {
    isolated("route::what_exists_is_told_from_what_does_not", || {
        let mut connection = Connection::open().unwrap();
        connection.add_bridge("bridge", "a mark", [2, 0, 0, 0, 0, 7]).unwrap();

        let again = connection.add_bridge("bridge", "another", [2, 0, 0, 0, 0, 8]).unwrap_err();

        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        assert_eq!(connection.link("bridge").unwrap().unwrap().alias.as_deref(), Some("a mark"));
        assert!(connection.remove_link("bridge").unwrap());
        assert!(!connection.remove_link("bridge").unwrap());
    });
}

#[test]
fn addresses_and_the_default_route_may_be_ensured_twice() {
    isolated("route::addresses_and_the_default_route_may_be_ensured_twice", || {
        let mut connection = Connection::open().unwrap();
        let bridge = connection.add_bridge("bridge", "a mark", [2, 0, 0, 0, 0, 7]).unwrap();

        for _ in 0..2 {
            connection.ensure_address(bridge, "192.0.2.1/24".parse().unwrap()).unwrap();
            connection.ensure_default_route("192.0.2.254".parse().unwrap()).unwrap();
        }

        let defaults = connection.routes().unwrap().iter().filter(|route| route.to_string() == "0.0.0.0/0").count();
        assert_eq!((route::addresses_of("bridge").unwrap().len(), defaults), (1, 1));
    });
}
