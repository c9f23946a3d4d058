//! `/networks`.

use serde_json::{Value, json};

use crate::memory::MemoryNode;
use crate::served::Served;

#[tokio::test]
async fn the_networks_of_the_node_are_listed_and_looked_at() {
    let served = Served::start(MemoryNode::inactive()).await;

    let list = served.send("GET", "/v1.51/networks").await.json();
    let bridge = served.send("GET", "/v1.51/networks/bridge").await.json();
    let of_swarm = served.send("GET", "/v1.51/networks/bridge?scope=swarm").await.json();

    let names: Vec<_> = list.as_array().unwrap().iter().map(|network| network["Name"].clone()).collect();
    assert_eq!(names, ["bridge", "host", "none"]);
    assert_eq!(
        (&bridge["Driver"], &bridge["Scope"], &bridge["Containers"]),
        (&json!("bridge"), &json!("local"), &json!({}))
    );
    let range = &bridge["IPAM"]["Config"][0];
    let gateway = range["Gateway"].as_str().unwrap();
    assert!(range["Subnet"].as_str().unwrap().starts_with(gateway.strip_suffix(".1").unwrap()), "{range}");
    assert_eq!(of_swarm["Scope"], "swarm");
    assert_eq!(of_swarm["Id"], bridge["Id"]);
    assert!(list[1]["IPAM"]["Config"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn what_every_node_has_by_itself_is_neither_made_nor_removed() {
    let served = Served::start(MemoryNode::inactive()).await;

    let made = served.post("/networks/create", &json!({"Name": "bridge"})).await.refusal();
    let overlay = served.post("/networks/create", &json!({"Name": "web", "Driver": "overlay"})).await.refusal();
    let unknown_driver = served.post("/networks/create", &json!({"Name": "web", "Driver": "x"})).await.refusal();
    let overlapping = json!({"Name": "web", "IPAM": {"Config": [{"Subnet": "10.1.0.1/16"}]}});
    let wrong = served.post("/networks/create", &overlapping).await.refusal();
    let removed = served.send("DELETE", "/networks/bridge").await.refusal();
    let unknown = served.send("DELETE", "/networks/web").await.refusal();
    let joined = served.post("/networks/host/connect", &json!({"Container": "web"})).await.refusal();
    let pruned = served.send("POST", "/networks/prune").await;

    assert_eq!(made, (403, "operation is not permitted on predefined bridge network".to_owned()));
    let words = "this engine does not make networks of a swarm yet: leave out --driver overlay and --scope swarm";
    assert_eq!(overlay, (501, words.to_owned()));
    assert_eq!(unknown_driver, (404, "could not find plugin x in v1 plugin registry: plugin not found".to_owned()));
    assert_eq!(wrong, (400, "invalid subnet 10.1.0.1/16: it should be 10.1.0.0/16".to_owned()));
    assert_eq!(removed, (403, "bridge is a pre-defined network and cannot be removed".to_owned()));
    assert_eq!(unknown, (404, "network web not found".to_owned()));
    assert_eq!(joined, (404, "No such container: web".to_owned()));
    assert_eq!((pruned.status.as_u16(), pruned.json()), (200, json!({"NetworksDeleted": Value::Null})));
}
