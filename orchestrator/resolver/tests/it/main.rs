//! A container's name server, asked from inside: the test's own network namespace is the host, another one the container.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "all of this is tests")]

mod container;

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use links::route::Connection;
use resolver::{Names, Sockets};
use tests::isolated;
use tokio::task::JoinSet;

use crate::container::{Container, Server};

/// Names that a test changes.
#[derive(Debug, Default)]
struct Table {
    names: Mutex<Vec<(&'static str, IpAddr)>>,
    servers: Vec<SocketAddr>,
}

impl Names for Table {
    fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        let names = self.names.lock().unwrap();
        let found: Vec<IpAddr> =
            names.iter().filter(|(known, _)| *known == name).map(|(_, address)| *address).collect();
        Some(found).filter(|found| !found.is_empty())
    }

    fn name_of(&self, address: IpAddr) -> Option<String> {
        let names = self.names.lock().unwrap();
        names.iter().find(|(_, known)| *known == address).map(|(name, _)| format!("{name}.front"))
    }

    fn servers(&self) -> Vec<SocketAddr> {
        self.servers.clone()
    }
}

/// Runs a test on a host with a loopback, and a container.
fn on_a_host(name: &str, test: impl AsyncFnOnce(Container)) {
    isolated(name, || {
        let mut connection = Connection::open().unwrap();
        let loopback = connection.link("lo").unwrap().unwrap();
        connection.set_up(loopback.index).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async { test(Container::new()).await });
    });
}

/// Serves a container, as long as what is returned lives.
fn serve(container: &Container, names: &Arc<Table>) -> JoinSet<()> {
    let sockets = Sockets::open_inside(&container.process).unwrap();
    let names: Arc<dyn Names> = Arc::clone(names) as Arc<dyn Names>;
    let mut serving = JoinSet::new();
    serving.spawn(async move { resolver::serve(sockets, names).await.unwrap() });
    serving
}

#[test]
fn names_are_answered_by_datagram_and_stream_as_they_are_now() {
    on_a_host("names_are_answered_by_datagram_and_stream_as_they_are_now", async |container| {
        let one = IpAddr::from([10, 7, 0, 2]);
        let table = Arc::new(Table { names: Mutex::new(vec![("web", one)]), servers: Vec::new() });
        let _serving = serve(&container, &table);

        assert_eq!(container.ask("web", 1).await.addresses(), ["10.7.0.2"]);
        assert_eq!(container.ask_by_stream("WEB", 1).await.addresses(), ["10.7.0.2"]);
        assert_eq!(container.ask("2.0.7.10.in-addr.arpa", 12).await.text(), "web.front");
        let of_other_kind = container.ask("web", 28).await;
        assert_eq!((of_other_kind.code(), of_other_kind.addresses().len()), (0, 0));

        table.names.lock().unwrap().push(("web", IpAddr::from([10, 7, 0, 3])));
        let mut both = container.ask("web", 1).await.addresses();
        both.sort();
        assert_eq!(both, ["10.7.0.2", "10.7.0.3"]);
        table.names.lock().unwrap().clear();
        assert_eq!(container.ask("web", 1).await.code(), 2, "nobody is there to be asked for it");
    });
}

#[test]
fn what_has_no_room_in_a_datagram_comes_by_stream() {
    on_a_host("what_has_no_room_in_a_datagram_comes_by_stream", async |container| {
        let names = (2..=101).map(|last| ("web", IpAddr::from([10, 7, 0, last]))).collect();
        let table = Arc::new(Table { names: Mutex::new(names), servers: Vec::new() });
        let _serving = serve(&container, &table);

        let short = container.ask("web", 1).await;
        let whole = container.ask_by_stream("web", 1).await;

        assert!(short.is_cut() && short.addresses().len() == 30);
        assert!(!whole.is_cut() && whole.addresses().len() == 100);
    });
}

#[test]
fn other_names_are_asked_of_servers_that_the_host_reaches() {
    on_a_host("other_names_are_asked_of_servers_that_the_host_reaches", async |container| {
        let unwilling = Server::start(2);
        let willing = Server::start(0);
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let servers = vec![nobody, unwilling.address, willing.address];
        let _serving = serve(&container, &Arc::new(Table { names: Mutex::default(), servers }));

        let by_datagram = container.ask("example.com", 1).await;
        let by_stream = container.ask_by_stream("example.com", 1).await;

        assert_eq!((by_datagram.code(), by_datagram.addresses()), (0, vec!["192.0.2.80".to_owned()]));
        assert_eq!((by_stream.code(), by_stream.addresses()), (0, vec!["192.0.2.80".to_owned()]));
        assert!(unwilling.asked() >= 1);
    });
}

#[test]
fn a_server_that_knows_nothing_is_believed_and_one_that_fails_is_told_of() {
    on_a_host("a_server_that_knows_nothing_is_believed_and_one_that_fails_is_told_of", async |container| {
        let ignorant = Server::start(3);
        let other = Server::start(0);
        let servers = vec![ignorant.address, other.address];
        let serving = serve(&container, &Arc::new(Table { names: Mutex::default(), servers }));
        assert_eq!((container.ask("nothing.example", 1).await.code(), other.asked()), (3, 0));
        drop(serving);

        let refusing = Server::start(5);
        let servers = vec![refusing.address];
        let _serving = serve(&container, &Arc::new(Table { names: Mutex::default(), servers }));
        assert_eq!(container.ask("example.com", 1).await.code(), 5);
    });
}

#[test]
fn port_53_stays_the_containers_own() {
    on_a_host("port_53_stays_the_containers_own", async |container| {
        let table = Arc::new(Table { names: Mutex::new(vec![("web", [10, 7, 0, 2].into())]), servers: Vec::new() });
        let _serving = serve(&container, &table);

        let (_datagrams, _streams) =
            container.run(|| (UdpSocket::bind("0.0.0.0:53").unwrap(), TcpListener::bind("0.0.0.0:53").unwrap()));

        assert_eq!(container.ask("web", 1).await.addresses(), ["10.7.0.2"]);
        assert_eq!(container.ask_by_stream("web", 1).await.addresses(), ["10.7.0.2"]);
    });
}

#[test]
fn the_next_process_serves_where_the_one_before_did() {
    on_a_host("the_next_process_serves_where_the_one_before_did", async |container| {
        let table = |last: u8| {
            Arc::new(Table { names: Mutex::new(vec![("web", [10, 7, 0, last].into())]), servers: Vec::new() })
        };
        let mut first = serve(&container, &table(2));
        assert_eq!(container.ask("web", 1).await.addresses(), ["10.7.0.2"]);
        first.shutdown().await;

        let _second = serve(&container, &table(3));

        assert_eq!(container.ask("web", 1).await.addresses(), ["10.7.0.3"]);
        assert_eq!(container.ask_by_stream("web", 1).await.addresses(), ["10.7.0.3"]);
    });
}
