//! The packet filter, judged by which packets arrive.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use links::nft::{self, Family};
use links::route::Connection;
use tests::isolated;

use crate::neighbor::Neighbor;

const GOSSIP: u16 = 7946;
const TABLE: &str = "guard";
/// Between two namespaces of one machine a packet takes microseconds; what has not come by then was dropped.
const PATIENCE: Duration = Duration::from_millis(500);
const HERE: [&str; 2] = ["192.0.2.1", "fd00::1"];
const MEMBERS: [&str; 2] = ["192.0.2.2", "fd00::2"];
const STRANGERS: [&str; 2] = ["192.0.2.3", "fd00::3"];

fn connect() -> Neighbor {
    let mut connection = Connection::open().unwrap();
    let loopback = connection.link("lo").unwrap().unwrap();
    connection.set_up(loopback.index).unwrap();
    Neighbor::connect(&["192.0.2.1/24", "fd00::1/64"], &["192.0.2.2/24", "192.0.2.3/24", "fd00::2/64", "fd00::3/64"])
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whether a datagram from one address of the neighbor arrives at a port here.
fn datagram_arrives(neighbor: &Neighbor, from: &str, to: &str, port: u16) -> bool {
    let hearer = UdpSocket::bind((address(to), port)).unwrap();
    hearer.set_read_timeout(Some(PATIENCE)).unwrap();
    neighbor.run(|| UdpSocket::bind((address(from), 0)).unwrap().send_to(b"hello", (address(to), port)).unwrap());
    match hearer.recv_from(&mut [0; 8]) {
        Ok((length, sender)) => length == 5 && sender.ip() == address(from),
        Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Whether the neighbor can connect to a port here by IPv4; it does so from its first address, a member's.
fn connection_succeeds(neighbor: &Neighbor, to: &str, port: u16) -> bool {
    let _listener = TcpListener::bind((address(to), port)).unwrap();
    neighbor.run(|| TcpStream::connect_timeout(&SocketAddr::new(address(to), port), PATIENCE).is_ok())
}

fn guard(members: &[&str]) {
    let members: Vec<IpAddr> = members.iter().map(|member| address(member)).collect();
    nft::replace(&nft::members_only(TABLE, &members, &[GOSSIP, 4789], &[GOSSIP])).unwrap();
}

#[test]
fn strangers_do_not_reach_the_ports_of_members() {
    isolated("nft::strangers_do_not_reach_the_ports_of_members", || {
        let neighbor = connect();
        guard(&MEMBERS);

        for family in [0, 1] {
            let (here, member, stranger) = (HERE[family], MEMBERS[family], STRANGERS[family]);
            for port in [GOSSIP, 4789] {
                assert!(datagram_arrives(&neighbor, member, here, port), "{member} to {port}");
                assert!(!datagram_arrives(&neighbor, stranger, here, port), "{stranger} to {port}");
            }
            assert!(datagram_arrives(&neighbor, stranger, here, 7947), "other ports are open to {stranger}");
        }
        assert!(connection_succeeds(&neighbor, HERE[0], GOSSIP), "a member may connect");
    });
}

#[test]
fn this_host_reaches_its_own_ports() {
    isolated("nft::this_host_reaches_its_own_ports", || {
        let _neighbor = connect();
        guard(&[]);

        let hearer = UdpSocket::bind((address(HERE[0]), GOSSIP)).unwrap();
        hearer.set_read_timeout(Some(PATIENCE)).unwrap();
        let speaker = UdpSocket::bind((address(HERE[0]), 0)).unwrap();
        speaker.send_to(b"hello", (address(HERE[0]), GOSSIP)).unwrap();

        assert_eq!(hearer.recv(&mut [0; 8]).unwrap(), 5);
    });
}

#[test]
fn members_come_and_go_and_the_guard_with_them() {
    isolated("nft::members_come_and_go_and_the_guard_with_them", || {
        let neighbor = connect();
        let arrives = || datagram_arrives(&neighbor, MEMBERS[0], HERE[0], GOSSIP);

        guard(&[]);
        assert!(!arrives(), "nobody is a member yet");
        assert!(!connection_succeeds(&neighbor, HERE[0], GOSSIP), "nor may anybody connect");
        guard(&MEMBERS);
        assert!(arrives(), "it became a member");
        guard(&STRANGERS);
        assert!(!arrives(), "others are members now");
        assert_eq!(nft::tables().unwrap().iter().filter(|(_, name)| name == TABLE).count(), 1);
        nft::remove(Family::Inet, TABLE).unwrap();
        assert!(arrives(), "there is no guard any more");
        assert_eq!(nft::tables().unwrap(), []);
    });
}

#[test]
fn a_large_set_of_members_is_one_transaction() {
    isolated("nft::a_large_set_of_members_is_one_transaction", || {
        let neighbor = connect();
        let mut members: Vec<IpAddr> =
            (0..5000_u32).map(|number| IpAddr::from((0x0a00_0000 + number).to_be_bytes())).collect();
        members.push(address(MEMBERS[0]));

        nft::replace(&nft::members_only(TABLE, &members, &[GOSSIP], &[])).unwrap();

        assert!(datagram_arrives(&neighbor, MEMBERS[0], HERE[0], GOSSIP));
        assert!(!datagram_arrives(&neighbor, STRANGERS[0], HERE[0], GOSSIP));
    });
}

#[test]
fn a_transaction_that_fails_changes_nothing() {
    isolated("nft::a_transaction_that_fails_changes_nothing", || {
        let neighbor = connect();
        guard(&[]);
        let mut broken = nft::members_only(TABLE, &[address(MEMBERS[0])], &[GOSSIP], &[]);
        broken.sets.remove(0);

        let refused = nft::replace(&broken).unwrap_err();

        assert_eq!(refused.to_string(), format!("failed to put packet filter table `{TABLE}` in place"));
        assert!(!datagram_arrives(&neighbor, MEMBERS[0], HERE[0], GOSSIP), "the old rules stand");
    });
}

#[test]
fn removing_a_table_that_is_not_there_is_fine() {
    isolated("nft::removing_a_table_that_is_not_there_is_fine", || {
        nft::remove(Family::Ip, "nobody").unwrap();
        nft::remove(Family::Ip, "nobody").unwrap();

        assert_eq!(nft::tables().unwrap(), []);
    });
}
