//! Containers in the node's bridge. The test's own network namespace is the host; `network`'s tests say who reaches whom.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use engine::{BRIDGE, ContainerStatus, CreateRequest, Endpoint, HostConfig, PortBinding};
use links::route::Connection;
use tests::isolated;

use crate::lab::{LIMIT, Lab, script};

/// Runs a test, by its full name, on a host of its own.
pub(crate) fn on_a_host(name: &str, test: impl AsyncFnOnce(Lab)) {
    isolated(name, || {
        let mut connection = Connection::open().unwrap();
        let loopback = connection.link("lo").unwrap().unwrap();
        connection.set_up(loopback.index).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async { test(Lab::new().await).await });
    });
}

/// A container in the bridge that runs a script.
fn bridged(text: &str) -> CreateRequest {
    CreateRequest { host_config: HostConfig::default(), ..script(text) }
}

/// One that answers connections to port 80 with a word, and is reached at a port of the host.
fn server(word: &str, host_port: &str) -> CreateRequest {
    let mut request = bridged(&format!("echo ready; exec nc -ll -p 80 -e echo {word}"));
    let binding = PortBinding { host_port: host_port.to_owned(), ..PortBinding::default() };
    request.host_config.port_bindings = [("80/tcp".to_owned(), Some(vec![binding]))].into();
    request
}

/// What a port of the host answers, once somebody does.
async fn ask(port: u16) -> String {
    let asked = tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + LIMIT;
        loop {
            let answer = try_ask(port);
            if let Some(answer) = answer.filter(|answer| !answer.is_empty()) {
                return answer;
            }
            assert!(Instant::now() < deadline, "nobody answers at {port}");
            std::thread::yield_now();
        }
    });
    asked.await.unwrap()
}

fn try_ask(port: u16) -> Option<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn endpoint(lab: &Lab, name: &str) -> Option<Endpoint> {
    lab.containers().find(name).unwrap().state.endpoints.into_values().next()
}

/// The links that containers have at the bridge.
fn plugged() -> usize {
    let mut connection = Connection::open().unwrap();
    let links = connection.links().unwrap();
    let bridge = links.iter().find(|link| link.name == BRIDGE).map(|link| link.index);
    links.iter().filter(|link| link.master.is_some() && link.master == bridge).count()
}

#[test]
fn a_container_is_in_the_bridge_unless_it_says_otherwise() {
    on_a_host("network::a_container_is_in_the_bridge_unless_it_says_otherwise", async |lab| {
        let mut request = bridged(
            "ip -4 -o addr show eth0; ip route; ip -o link show lo; cat /etc/hosts /etc/hostname /etc/resolv.conf; ip -6 addr",
        );
        request.config.hostname = "web".to_owned();
        request.host_config.extra_hosts = Some(vec!["gate:host-gateway".to_owned()]);
        request.host_config.dns = vec!["192.0.2.53".to_owned()];
        request.host_config.dns_search = vec!["lab".to_owned()];
        request.host_config.dns_options = vec!["ndots:2".to_owned()];

        let (code, text) = lab.finish(request).await;

        assert_eq!(code, 0, "{text}");
        assert!(text.contains("inet 172.17.0.2/16"), "{text}");
        assert!(text.contains("default via 172.17.0.1 dev eth0"), "{text}");
        assert!(text.contains("lo: <LOOPBACK,UP"), "{text}");
        assert!(text.contains("127.0.0.1\tlocalhost\n"), "{text}");
        assert!(text.contains("172.17.0.1\tgate\n172.17.0.2\tweb\nweb\n"), "{text}");
        assert!(text.contains("nameserver 192.0.2.53\nsearch lab\noptions ndots:2\n"), "{text}");
        assert!(!text.contains("fe80::"), "the bridge has no IPv6: {text}");
        assert_eq!(plugged(), 0);
    });
}

#[test]
fn a_published_port_is_reached_and_nobody_else_gets_it() {
    on_a_host("network::a_published_port_is_reached_and_nobody_else_gets_it", async |lab| {
        lab.run("one", server("first", "8080")).await;
        lab.create("two", server("second", "8080")).await;

        let answer = ask(8080).await;
        let refused = model::with_causes(&lab.containers().start("two").await.unwrap_err());
        let of_two = lab.containers().find("two").unwrap().state;

        assert_eq!(answer, "first\n");
        let words =
            "failed to set up container networking: driver failed programming external connectivity on endpoint two (";
        assert!(refused.starts_with(words), "{refused}");
        assert!(refused.ends_with("): Bind for 0.0.0.0:8080 failed: port is already allocated"), "{refused}");
        assert_eq!((of_two.status, of_two.exit_code, of_two.endpoints.len()), (ContainerStatus::Created, 128, 0));
        lab.containers().remove("one", true, true).await.unwrap();
        assert!(lab.containers().start("two").await.unwrap());
        assert_eq!(ask(8080).await, "second\n");
        let ports = endpoint(&lab, "two").unwrap().ports;
        assert_eq!((ports[0].host_port, ports[0].target_port), (8080, 80));
        lab.containers().remove("two", true, true).await.unwrap();
        assert_eq!((plugged(), lab.left()), (0, (0, Vec::new(), 0)));
    });
}

#[test]
fn an_engine_that_comes_back_finds_its_containers_reached_at_the_same_addresses() {
    on_a_host(
        "network::an_engine_that_comes_back_finds_its_containers_reached_at_the_same_addresses",
        async |mut lab| {
            lab.run("one", server("first", "8080")).await;
            let before = endpoint(&lab, "one");

            lab.close().await;
            let meanwhile = ask(8080).await;
            lab.open_again().await;
            lab.run("two", server("second", "")).await;

            assert_eq!(meanwhile, "first\n");
            assert_eq!((endpoint(&lab, "one"), ask(8080).await), (before, "first\n".to_owned()));
            let two = endpoint(&lab, "two").unwrap();
            assert_eq!(two.address.to_string(), "172.17.0.3");
            assert_eq!(ask(two.ports[0].host_port).await, "second\n");
            assert!(lab.containers().create(Some("three"), server("third", "8080")).await.is_ok());
            assert!(lab.containers().start("three").await.is_err(), "the port is still its own");
        },
    );
}

#[test]
fn what_ended_while_nobody_looked_has_given_its_place_back() {
    on_a_host("network::what_ended_while_nobody_looked_has_given_its_place_back", async |mut lab| {
        let one = lab.run("one", server("first", "8080")).await;
        let joined = CreateRequest {
            host_config: HostConfig { network_mode: format!("container:{one}"), ..HostConfig::default() },
            ..script("echo ready; exec sleep 1000")
        };
        let joined = lab.run("joined", joined).await;
        lab.wait_for_line(&joined, "ready").await;
        lab.close().await;
        // The other one holds the network namespace, with both ends of the link.
        lab.end_shim(&one);
        assert_eq!(plugged(), 1);

        lab.open_again().await;
        lab.run("two", server("second", "8080")).await;

        assert_eq!((endpoint(&lab, "one"), plugged()), (None, 1));
        assert_eq!(endpoint(&lab, "two").unwrap().address.to_string(), "172.17.0.2");
        assert_eq!(ask(8080).await, "second\n");
    });
}

#[test]
fn a_container_joins_the_network_of_another_one() {
    on_a_host("network::a_container_joins_the_network_of_another_one", async |lab| {
        let joining = |text: &str| CreateRequest {
            host_config: HostConfig { network_mode: "container:one".to_owned(), ..HostConfig::default() },
            ..script(text)
        };
        let mut named = joining("true");
        named.config.hostname = "mine".to_owned();
        let mut one = server("first", "8080");
        one.config.hostname = "web".to_owned();
        let one = lab.create("one", one).await;

        let other = lab
            .create("other", joining("nc 127.0.0.1 80 < /dev/null; hostname; ip -4 -o addr show eth0; cat /etc/hosts"))
            .await;
        let too_soon = lab.containers().start(&other).await.unwrap_err().to_string();
        lab.containers().start("one").await.unwrap();
        ask(8080).await;
        lab.containers().start(&other).await.unwrap();
        let code = lab.wait(&other).await;
        let text = lab.log(&other).await;

        assert_eq!(too_soon, format!("cannot join network of a non running container: {one}"));
        assert_eq!(code, 0, "{text}");
        assert!(text.starts_with("first\nweb\n"), "{text}");
        assert!(text.contains("inet 172.17.0.2/16") && text.contains("172.17.0.2\tweb\n"), "{text}");
        let record = lab.containers().find(&other).unwrap().record;
        assert_eq!(record.host_config.network_mode, format!("container:{one}"));
        let refused = lab.containers().create(None, named).await.unwrap_err().to_string();
        assert_eq!(refused, "conflicting options: hostname and the network mode");
    });
}

#[test]
fn wherever_an_engine_ends_nothing_of_the_bridge_is_left_to_a_container_that_is_gone() {
    on_a_host(
        "network::wherever_an_engine_ends_nothing_of_the_bridge_is_left_to_a_container_that_is_gone",
        async |mut lab| {
            for moment in 0..12_u64 {
                let work = async {
                    let id = lab.run("one", server("first", "8080")).await;
                    lab.containers().remove(&id, true, true).await.unwrap();
                };
                let _ = tokio::time::timeout(Duration::from_millis(moment * 10), work).await;

                lab.reopen().await;

                for view in lab.containers().list() {
                    let is_in = !view.state.endpoints.is_empty();
                    assert_eq!(is_in, view.state.status == ContainerStatus::Running, "{view:?}");
                    lab.containers().remove(&view.record.id, true, true).await.unwrap();
                }
                assert_eq!((plugged(), lab.left()), (0, (0, Vec::new(), 0)), "after {moment}");
            }
            lab.run("last", server("last", "8080")).await;
            assert_eq!(endpoint(&lab, "last").unwrap().address.to_string(), "172.17.0.2");
        },
    );
}

#[test]
fn fifty_containers_at_once_have_an_address_each() {
    on_a_host("network::fifty_containers_at_once_have_an_address_each", async |lab| {
        let mut ids = Vec::new();
        for number in 0..50 {
            ids.push(lab.create(&format!("one-{number}"), bridged("exec sleep 1000")).await);
        }
        let begun = Instant::now();

        let started = futures_util::future::join_all(ids.iter().map(|id| lab.containers().start(id))).await;

        tests::isolated::announce(&format!(
            "fifty containers started in the bridge: {} ms",
            begun.elapsed().as_millis()
        ));
        assert!(started.iter().all(Result::is_ok), "{started:?}");
        let addresses: BTreeSet<_> = ids.iter().map(|id| endpoint(&lab, id).unwrap().address).collect();
        assert_eq!((addresses.len(), plugged()), (50, 50));
    });
}
