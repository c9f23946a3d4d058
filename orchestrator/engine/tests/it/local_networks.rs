//! Networks that operators make. The test's own network namespace is the host; `network`'s tests say who reaches whom.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{
    ContainerError, CreateRequest, EndpointSettings, HostConfig, LocalNetworkError, Network, NetworkFilter,
    NetworkRequest, PortBinding,
};
use links::nft;
use links::route::Connection;
use serde_json::{Value, json};

use crate::lab::{Lab, script};
use crate::network::on_a_host;

/// A network of this name.
fn wanted(name: &str) -> NetworkRequest {
    NetworkRequest { name: name.to_owned(), ..NetworkRequest::default() }
}

fn request(value: Value) -> NetworkRequest {
    serde_json::from_value(value).unwrap()
}

fn settings(value: Value) -> EndpointSettings {
    serde_json::from_value(value).unwrap()
}

/// A container in a network, with what it asks for there.
fn within(network: &str, place: &Value, text: &str) -> CreateRequest {
    CreateRequest {
        host_config: HostConfig { network_mode: network.to_owned(), ..HostConfig::default() },
        networking_config: Some(json!({"EndpointsConfig": {network: place}})),
        ..script(text)
    }
}

/// The addresses of a container that runs, by its links.
fn addresses(lab: &Lab, name: &str) -> BTreeMap<String, String> {
    let state = lab.containers().find(name).unwrap().state;
    state.endpoints.into_values().map(|endpoint| (endpoint.link, endpoint.address.to_string())).collect()
}

/// The bridges and tables of networks that the host has.
fn made() -> (Vec<String>, Vec<String>) {
    let links = Connection::open().unwrap().links().unwrap();
    let bridges = links.into_iter().map(|link| link.name).filter(|name| name.starts_with("sw-")).collect();
    let tables = nft::tables().unwrap().into_iter().map(|(_, name)| name).filter(|name| name.starts_with("swarmd-sw-"));
    (bridges, tables.collect())
}

#[test]
fn a_network_is_made_found_and_removed() {
    on_a_host("local_networks::a_network_is_made_found_and_removed", async |lab| {
        let networks = lab.containers().networks();
        let front = lab.containers().create_network(wanted("front")).await.unwrap();
        let back = lab.containers().create_network(wanted("back")).await.unwrap();
        let chosen = json!({"Name": "chosen", "IPAM": {"Config": [{"Subnet": "10.9.0.0/24"}]}});
        lab.containers().create_network(request(chosen)).await.unwrap();

        assert_eq!(front.addresses.subnet.prefix().to_string(), "172.18.0.0/16", "the first one is the node's");
        assert_eq!(back.addresses.subnet.prefix().to_string(), "172.19.0.0/16");
        for text in ["front", &front.id, &front.id[..12]] {
            assert_eq!(networks.find(text).unwrap(), Network::Local(front.clone()), "{text}");
        }
        let names: Vec<_> = networks.list().iter().map(|network| network.name().to_owned()).collect();
        assert_eq!(names, ["back", "bridge", "chosen", "front", "host", "none"]);
        assert_eq!((made().0.len(), made().1.len()), (3, 3));
        let again = lab.containers().create_network(wanted("front")).await.unwrap_err().to_string();
        assert_eq!(again, "network with name front already exists");
        let overlapping = json!({"Name": "wide", "IPAM": {"Config": [{"Subnet": "10.0.0.0/8"}]}});
        let overlapping = lab.containers().create_network(request(overlapping)).await.unwrap_err();
        assert!(matches!(overlapping, ContainerError::LocalNetwork(LocalNetworkError::Overlaps)), "{overlapping}");

        lab.run("web", within("front", &json!({}), "exec sleep 1000")).await;
        let refused = lab.containers().remove_network("front").await.unwrap_err().to_string();
        assert!(refused.contains("has active endpoints"), "{refused}");
        assert_eq!(lab.containers().prune_networks(NetworkFilter::default()).await.unwrap(), ["back", "chosen"]);
        lab.containers().remove("web", true, true).await.unwrap();
        lab.containers().remove_network("front").await.unwrap();

        assert_eq!(made(), (Vec::new(), Vec::new()));
        assert_eq!(lab.containers().remove_network("front").await.unwrap_err().to_string(), "network front not found");
        let actions = lab.actions(&front.id);
        assert_eq!(actions, ["create", "connect", "disconnect", "destroy"]);
    });
}

#[test]
fn a_container_has_what_it_asks_for_in_each_of_its_networks() {
    on_a_host("local_networks::a_container_has_what_it_asks_for_in_each_of_its_networks", async |lab| {
        let chosen = json!({"Name": "front", "IPAM": {"Config": [{"Subnet": "10.9.0.0/24"}]}});
        lab.containers().create_network(request(chosen)).await.unwrap();
        lab.containers().create_network(wanted("back")).await.unwrap();
        let mut web = within("front", &json!({"IPAMConfig": {"IPv4Address": "10.9.0.77"}}), "ip route; cat /etc/hosts");
        web.networking_config.as_mut().unwrap()["EndpointsConfig"]["back"] = json!({"MacAddress": "02:00:00:00:00:07"});
        web.config.hostname = "web".to_owned();
        let unchosen = within("back", &json!({"IPAMConfig": {"IPv4Address": "172.18.0.9"}}), "true");
        let nowhere = within("nowhere", &json!({}), "true");
        let aliased = CreateRequest {
            host_config: HostConfig::default(),
            networking_config: Some(json!({"EndpointsConfig": {"bridge": {"Aliases": ["a"]}}})),
            ..script("true")
        };

        let (code, text) = lab.finish(web.clone()).await;
        let refusal =
            async |request: CreateRequest| lab.containers().create(None, request).await.unwrap_err().to_string();

        assert_eq!(code, 0, "{text}");
        assert!(text.contains("default via 172.18.0.1 dev eth1"), "by the network with the first name: {text}");
        assert!(text.contains("10.9.0.77\tweb\n172.18.0.2\tweb\n"), "{text}");
        let words =
            "user specified IP address is supported only when connecting to networks with user configured subnets";
        assert_eq!(refusal(unchosen).await, words);
        assert_eq!(refusal(nowhere).await, "network nowhere not found");
        let words = "network-scoped alias is supported only for containers in user defined networks";
        assert_eq!(refusal(aliased).await, words);
        lab.run("one", web.clone()).await;
        lab.wait("one").await;
        lab.create("two", web).await;
        assert!(lab.containers().start("two").await.is_ok(), "what has ended has no address");
    });
}

#[test]
fn a_container_joins_and_leaves_networks_while_it_runs() {
    on_a_host("local_networks::a_container_joins_and_leaves_networks_while_it_runs", async |mut lab| {
        for name in ["front", "back"] {
            lab.containers().create_network(wanted(name)).await.unwrap();
        }
        let binding = PortBinding { host_port: "8080".to_owned(), ..PortBinding::default() };
        let mut web = within("front", &json!({}), "exec sleep 1000");
        web.host_config.port_bindings = [("80/tcp".to_owned(), Some(vec![binding]))].into();
        lab.create("web", web).await;
        let joins = async |lab: &Lab, network: &str| {
            lab.containers().join_network(network, "web", &settings(json!({"Aliases": ["a"]}))).await
        };
        lab.containers().leave_network("front", "web").await.unwrap();
        joins(&lab, "front").await.unwrap();
        lab.containers().start("web").await.unwrap();

        joins(&lab, "back").await.unwrap();
        let twice = joins(&lab, "back").await.unwrap_err().to_string();
        assert_eq!(twice, "endpoint with name web already exists in network back");
        let both = [("eth0".to_owned(), "172.18.0.2".to_owned()), ("eth1".to_owned(), "172.19.0.2".to_owned())];
        assert_eq!(addresses(&lab, "web"), both.clone().into());
        lab.reopen().await;
        assert_eq!(addresses(&lab, "web"), both.into());
        lab.containers().leave_network("front", "web").await.unwrap();
        let left = lab.containers().find("web").unwrap().state;
        let ports: Vec<_> = left.ports().map(|port| port.host_port).collect();
        assert_eq!((left.endpoints.len(), ports), (1, vec![8080]), "the port has gone with it");
        let never = lab.containers().leave_network("front", "web").await.unwrap_err().to_string();
        assert!(never.ends_with("is not connected to network front"), "{never}");
        lab.containers().leave_network("back", "web").await.unwrap();
        assert_eq!(addresses(&lab, "web"), BTreeMap::new());
        lab.containers().join_network("bridge", "web", &EndpointSettings::default()).await.unwrap();

        assert_eq!(addresses(&lab, "web"), [("eth0".to_owned(), "172.17.0.2".to_owned())].into());
        assert_eq!(lab.containers().prune_networks(NetworkFilter::default()).await.unwrap(), ["back", "front"]);
        let refused = lab.containers().join_network("none", "web", &EndpointSettings::default()).await.unwrap_err();
        assert!(refused.to_string().contains("private (none) mode"), "{refused}");
    });
}

#[test]
fn a_container_is_in_the_network_that_has_the_name_now() {
    on_a_host("local_networks::a_container_is_in_the_network_that_has_the_name_now", async |lab| {
        lab.containers().create_network(wanted("front")).await.unwrap();
        lab.create("web", within("front", &json!({}), "exec sleep 1000")).await;
        lab.containers().remove_network("front").await.unwrap();

        let missing = lab.containers().start("web").await.unwrap_err().to_string();
        let again = lab.containers().create_network(wanted("front")).await.unwrap();
        lab.containers().start("web").await.unwrap();

        assert_eq!(missing, "network front not found");
        let state = lab.containers().find("web").unwrap().state;
        assert_eq!(state.endpoints.keys().collect::<Vec<_>>(), [&again.id]);
        assert_eq!(found(&lab, "web", "web").await, ["172.18.0.2"]);
    });
}

#[test]
fn networks_outlive_the_engine_and_nobodys_bridges_do_not() {
    on_a_host("local_networks::networks_outlive_the_engine_and_nobodys_bridges_do_not", async |mut lab| {
        let front = lab.containers().create_network(wanted("front")).await.unwrap();
        let lost = lab.containers().create_network(wanted("lost")).await.unwrap();
        lab.run("web", within("front", &json!({}), "exec sleep 1000")).await;
        lab.close().await;
        // As where the engine was ended between removing the one and the other.
        std::fs::remove_file(lab.path(&format!("networks/{}.json", lost.id))).unwrap();
        std::fs::write(lab.path("networks/unfinished.new"), "{").unwrap();
        std::fs::create_dir(lab.path("networks/somebody's")).unwrap();
        Connection::open().unwrap().remove_link(&front.link()).unwrap();

        lab.open_again().await;

        assert_eq!(made(), (vec![front.link()], vec![format!("swarmd-{}", front.link())]));
        assert_eq!(lab.containers().networks().find("front").unwrap(), Network::Local(front));
        assert!(lab.containers().networks().find("lost").is_err());
        assert!(!lab.path("networks/unfinished.new").exists() && lab.path("networks/somebody's").exists());
        assert_eq!(addresses(&lab, "web"), [("eth0".to_owned(), "172.18.0.2".to_owned())].into());
        let next = lab.run("next", within("front", &json!({}), "exec sleep 1000")).await;
        assert_eq!(addresses(&lab, &next)["eth0"], "172.18.0.3");
    });
}

#[test]
fn wherever_an_engine_ends_a_network_is_there_whole_or_not_at_all() {
    on_a_host("local_networks::wherever_an_engine_ends_a_network_is_there_whole_or_not_at_all", async |mut lab| {
        for moment in 0..12_u64 {
            let work = async {
                lab.containers().create_network(wanted("front")).await.unwrap();
                lab.run("web", within("front", &json!({}), "exec sleep 1000")).await;
                lab.containers().remove("web", true, true).await.unwrap();
                lab.containers().remove_network("front").await.unwrap();
            };
            let _ = tokio::time::timeout(Duration::from_millis(moment * 15), work).await;

            lab.reopen().await;

            let known = lab.containers().networks().find("front").is_ok();
            assert_eq!((made().0.len(), made().1.len()), (usize::from(known), usize::from(known)), "after {moment}");
            for view in lab.containers().list() {
                lab.containers().remove(&view.record.id, true, true).await.unwrap();
            }
            if known {
                lab.containers().remove_network("front").await.unwrap();
            }
            assert_eq!((made(), lab.left()), ((Vec::new(), Vec::new()), (0, Vec::new(), 0)), "after {moment}");
        }
    });
}

/// The addresses that a container finds behind a name, in order: none where there are none.
async fn found(lab: &Lab, asker: &str, name: &str) -> Vec<String> {
    let (_, text) = lab.exec(asker, &format!("nslookup {name} 127.0.0.11")).await;
    let answers = text.split_once("Name:").map(|(_, answers)| answers).unwrap_or_default();
    let mut found: Vec<_> =
        answers.lines().filter_map(|line| line.strip_prefix("Address: ")).map(|line| line.trim().to_owned()).collect();
    found.sort();
    found
}

#[test]
fn containers_find_each_other_by_name_until_they_leave() {
    on_a_host("local_networks::containers_find_each_other_by_name_until_they_leave", async |mut lab| {
        for name in ["front", "back"] {
            lab.containers().create_network(wanted(name)).await.unwrap();
        }
        let web = lab.run("web", within("front", &json!({"Aliases": ["app"]}), "exec sleep 1000")).await;
        lab.run("db", within("front", &json!({"Aliases": ["app", "Data"]}), "exec sleep 1000")).await;
        lab.run("far", within("back", &json!({}), "exec sleep 1000")).await;

        assert_eq!(found(&lab, "web", "db").await, ["172.18.0.3"]);
        for name in ["web", "web.front", &web[..12], "WEB"] {
            assert_eq!(found(&lab, "db", name).await, ["172.18.0.2"], "{name}");
        }
        assert_eq!(found(&lab, "db", "app").await, ["172.18.0.2", "172.18.0.3"]);
        assert_eq!(found(&lab, "web", "data").await, ["172.18.0.3"]);
        assert!(found(&lab, "web", "far").await.is_empty(), "it is in another network");
        assert!(found(&lab, "web", "db.back").await.is_empty());

        lab.containers().join_network("front", "far", &settings(json!({"Aliases": ["near"]}))).await.unwrap();
        assert_eq!(found(&lab, "web", "near").await, ["172.18.0.4"]);
        assert_eq!(found(&lab, "far", "db").await, ["172.18.0.3"]);
        lab.containers().rename("db", "base").await.unwrap();
        assert!(found(&lab, "web", "db").await.is_empty());
        lab.reopen().await;
        assert_eq!(found(&lab, "web", "base").await, ["172.18.0.3"], "the next engine answers");
        lab.containers().leave_network("front", "far").await.unwrap();
        assert!(found(&lab, "web", "far").await.is_empty());
        lab.containers().remove("base", true, true).await.unwrap();

        assert!(found(&lab, "web", "base").await.is_empty());
        assert_eq!(found(&lab, "web", "app").await, ["172.18.0.2"]);
    });
}

#[test]
fn a_container_in_the_nodes_own_bridge_finds_those_that_it_is_linked_to() {
    on_a_host("local_networks::a_container_in_the_nodes_own_bridge_finds_those_that_it_is_linked_to", async |lab| {
        let linked = |links: &[&str]| {
            let mut request = within("bridge", &json!({}), "exec sleep 1000");
            request.host_config.links = Some(links.iter().map(|link| (*link).to_owned()).collect());
            request
        };
        lab.run("db", linked(&[])).await;
        lab.run("far", linked(&[])).await;
        lab.create("web", linked(&["db:base", "/db"])).await;
        let missing = lab.containers().create(None, linked(&["nobody:x"])).await.unwrap_err().to_string();
        lab.containers().start("web").await.unwrap();

        assert_eq!(missing, "could not get container for nobody: No such container: nobody");
        assert_eq!(found(&lab, "web", "base").await, ["172.17.0.2"]);
        assert_eq!(found(&lab, "web", "db").await, ["172.17.0.2"]);
        assert!(found(&lab, "web", "far").await.is_empty(), "it is not linked to it");
        lab.containers().rename("db", "other").await.unwrap();
        assert_eq!(found(&lab, "web", "base").await, ["172.17.0.2"]);
        lab.containers().remove("other", true, true).await.unwrap();
        assert!(found(&lab, "web", "base").await.is_empty());
        lab.run("last", linked(&[])).await;
        lab.create("next", linked(&["far:x"])).await;
        lab.containers().kill("far", None).await.unwrap();
        let stopped = lab.containers().start("next").await.unwrap_err().to_string();

        assert_eq!(stopped, "Cannot link to a non running container: /far AS /next/x");
    });
}

#[test]
fn a_container_asks_its_own_name_server_once_it_is_in_a_network_with_names() {
    on_a_host("local_networks::a_container_asks_its_own_name_server_once_it_is_in_a_network_with_names", async |lab| {
        lab.containers().create_network(wanted("front")).await.unwrap();
        let mut plain = within("bridge", &json!({}), "exec sleep 1000");
        plain.host_config.dns = vec!["192.0.2.53".to_owned()];
        plain.config.hostname = "plain".to_owned();
        lab.run("plain", plain).await;
        let files = async |lab: &Lab| lab.exec("plain", "cat /etc/resolv.conf /etc/hosts").await.1;
        assert!(files(&lab).await.contains("nameserver 192.0.2.53\n"));

        lab.containers().join_network("front", "plain", &EndpointSettings::default()).await.unwrap();
        let joined = files(&lab).await;
        lab.containers().leave_network("front", "plain").await.unwrap();
        let left = files(&lab).await;

        assert!(joined.contains("nameserver 127.0.0.11\n") && joined.contains("ndots:0\n"), "{joined}");
        assert!(joined.contains("172.17.0.2\tplain\n172.18.0.2\tplain\n"), "{joined}");
        assert!(!left.contains("172.18.0.2"), "{left}");
    });
}
