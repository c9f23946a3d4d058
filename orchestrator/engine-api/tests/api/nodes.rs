//! `/nodes` over plain HTTP.

use model::Caller;
use serde_json::{Value, json};

use crate::memory::{MemoryNode, id};
use crate::served::Served;

async fn names(served: &Served, filters: &Value) -> Vec<String> {
    let encoded = filters.to_string().replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let nodes = served.send("GET", &format!("/nodes?filters={encoded}")).await.json();
    let nodes = nodes.as_array().unwrap_or_else(|| panic!("{nodes}"));
    nodes.iter().map(|node| node["Description"]["Hostname"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn nodes_are_listed_with_the_status_of_the_managers() {
    let node = MemoryNode::manager();
    node.set_down(2);
    let served = Served::start(node).await;

    let nodes = served.send("GET", "/nodes").await.json();

    assert_eq!(nodes.as_array().unwrap().len(), 5);
    let leader = json!({"Leader": true, "Reachability": "reachable", "Addr": "10.0.0.1:2377"});
    assert_eq!(nodes[0]["ManagerStatus"], leader);
    assert_eq!(nodes[1]["ManagerStatus"], json!({"Reachability": "unreachable", "Addr": "10.0.0.2:2377"}));
    assert_eq!(nodes[1]["Status"], json!({"State": "down", "Message": "heartbeat failure", "Addr": "10.0.0.2"}));
    assert_eq!(nodes[3].get("ManagerStatus"), None);
    assert_eq!(nodes[3]["Spec"], json!({"Labels": {}, "Role": "worker", "Availability": "active"}));
}

#[tokio::test]
async fn a_list_without_matches_is_an_empty_list() {
    let served = Served::start(MemoryNode::manager()).await;

    let answer = served.send("GET", "/nodes?filters=%7B%22name%22:%5B%22zzz%22%5D%7D").await;

    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "[]\n"));
}

#[tokio::test]
async fn filters_match_as_dockers_do_in_both_encodings() {
    let served = Served::start(MemoryNode::manager()).await;
    let node = served.send("GET", "/nodes/node-5").await.json();
    let path = format!("/nodes/node-5/update?version={}", node["Version"]["Index"]);
    served.post(&path, &json!({"Role": "worker", "Availability": "active", "Labels": {"disk": "ssd"}})).await;
    let check = async |filters: Value, expected: &[&str]| {
        assert_eq!(names(&served, &filters).await, expected, "{filters}");
    };
    check(json!({"role": {"worker": true}}), &["node-4", "node-5"]).await;
    check(json!({"role": ["Manager"]}), &["node-1", "node-2", "node-3"]).await;
    check(json!({"id": ["00003a"]}), &["node-3"]).await;
    check(json!({"name": ["node-"], "role": ["worker"]}), &["node-4", "node-5"]).await;
    check(json!({"name": ["node-4", "node-1"]}), &["node-1", "node-4"]).await;
    check(json!({"label": ["rack=r2"]}), &["node-2"]).await;
    check(json!({"label": ["rack=r9"]}), &[]).await;
    check(json!({"node.label": ["disk"]}), &["node-5"]).await;
    check(json!({"node.label": {"disk=hdd": true}}), &[]).await;
    check(json!({"membership": ["pending"]}), &[]).await;
    check(json!({"membership": ["accepted"], "id": ["00001"]}), &["node-1"]).await;
}

#[tokio::test]
async fn wrong_filters_are_refused() {
    let served = Served::start(MemoryNode::manager()).await;
    let check = async |filters: &str, message: &str| {
        let refusal = served.send("GET", &format!("/nodes?filters={filters}")).await.refusal();
        assert_eq!(refusal, (400, message.to_owned()), "{filters}");
    };
    check("%7B%22color%22:%5B%22red%22%5D%7D", "invalid filter 'color'").await;
    check("nonsense", "invalid filter").await;
    check("%7B%22role%22:%5B%22boss%22%5D%7D", "Invalid role filter: 'boss'").await;
    check("%7B%22membership%22:%5B%22guest%22%5D%7D", "Invalid membership filter: 'guest'").await;
}

#[tokio::test]
async fn a_node_is_looked_up_by_id_name_or_prefix() {
    let node = MemoryNode::manager();
    node.rename(5, "node-4");
    let served = Served::start(node).await;
    let check = async |input: &str, number: usize| {
        assert_eq!(served.send("GET", &format!("/nodes/{input}")).await.json()["ID"], json!(id(number)), "{input}");
    };
    check(id(4).as_str(), 4).await;
    check("node-2", 2).await;
    check("00003", 3).await;
    let twins = served.send("GET", "/nodes/node-4").await.refusal();
    let prefix = served.send("GET", "/nodes/0000").await.refusal();
    let nobody = served.send("GET", "/nodes/nobody").await.refusal();
    assert_eq!(twins, (400, "node node-4 is ambiguous (2 matches found)".to_owned()));
    assert_eq!(prefix, (400, "node 0000 is ambiguous (5 matches found)".to_owned()));
    assert_eq!(nobody, (404, "node nobody not found".to_owned()));
}

#[tokio::test]
async fn an_update_replaces_the_settings_and_names_the_caller() {
    let node = MemoryNode::manager();
    let served = Served::start(node.clone()).await;
    let seen = served.send("GET", "/nodes/node-4").await.json();
    let path = format!("/nodes/node-4/update?version={}", seen["Version"]["Index"]);
    let spec = json!({"Role": "manager", "Availability": "drain", "Labels": {"a": "b"}});

    let first = served.post(&path, &spec).await;
    let stale = served.post(&path, &spec).await.refusal();

    assert_eq!((first.status.as_u16(), first.body.as_str()), (200, ""));
    assert_eq!(stale, (500, "rpc error: code = Unknown desc = update out of sequence".to_owned()));
    let after = served.send("GET", "/nodes/node-4").await.json();
    assert_eq!(after["Spec"], json!({"Labels": {"a": "b"}, "Role": "manager", "Availability": "drain"}));
    assert_eq!(after["ManagerStatus"]["Addr"], "10.0.0.4:2377");
    assert_eq!(node.callers()[0], Caller::Local { node: id(1) });
}

#[tokio::test]
async fn wrong_updates_are_refused_in_dockers_words() {
    let served = Served::start(MemoryNode::manager()).await;
    let check = async |path: &str, spec: Value, status: u16, message: &str| {
        let refusal = served.post(path, &spec).await.refusal();
        assert_eq!(refusal, (status, message.to_owned()), "{path} {spec}");
    };
    let good = json!({"Role": "worker", "Availability": "active"});
    let path = "/nodes/node-4/update?version=1";
    check(
        "/nodes/node-4/update?version=x",
        good.clone(),
        400,
        "invalid node version 'x': strconv.ParseUint: parsing \"x\": invalid syntax",
    )
    .await;
    check(path, json!({"Role": "boss", "Availability": "active"}), 400, "invalid Role: \"boss\"").await;
    check(path, json!({"Role": "worker", "Availability": "lazy"}), 400, "invalid Availability: \"lazy\"").await;
    check("/nodes/nobody/update?version=1", good, 404, "node nobody not found").await;
}

#[tokio::test]
async fn a_node_is_removed_when_it_is_down_or_by_force() {
    let node = MemoryNode::manager();
    node.set_down(5);
    let served = Served::start(node).await;
    let remove = async |path: &str| served.send("DELETE", path).await;

    let manager = remove("/nodes/node-2?force=1").await.refusal();
    let ready = remove("/nodes/node-4").await.refusal();
    let not_forced = remove("/nodes/node-4?force=false").await.refusal();

    assert!(manager.0 == 400 && manager.1.contains("is a cluster manager"), "{manager:?}");
    assert!(ready.0 == 400 && ready.1.contains("is not down and can't be removed"), "{ready:?}");
    assert_eq!(ready, not_forced);
    assert_eq!(remove("/nodes/node-4?force=1").await.status.as_u16(), 200);
    assert_eq!(remove("/nodes/node-5").await.status.as_u16(), 200);
    assert_eq!(remove("/nodes/node-5").await.refusal().0, 404);
}
