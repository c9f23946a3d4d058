//! `/swarm`, `/swarm/*`, `/info` and `/version` over plain HTTP.

use serde_json::{Value, json};

use crate::memory::{MemoryNode, id};
use crate::served::Served;

async fn swarm(served: &Served) -> Value {
    served.send("GET", "/swarm").await.json()
}

fn update_path(swarm: &Value, rest: &str) -> String {
    format!("/swarm/update?version={}{rest}", swarm["Version"]["Index"])
}

#[tokio::test]
async fn a_swarm_is_made_with_defaults_for_all_that_is_left_out() {
    let served = Served::start(MemoryNode::inactive()).await;
    let body = json!({"ListenAddr": "0.0.0.0:2377", "Spec": {"Labels": null, "Raft": {}, "Unknown": 1}});

    let answer = served.post("/v1.41/swarm/init", &body).await;

    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!(id(1))));
    let swarm = swarm(&served).await;
    assert_eq!(swarm["Spec"]["Raft"]["SnapshotInterval"], 10_000);
    assert_eq!(swarm["Spec"]["CAConfig"], json!({"NodeCertExpiry": 7_776_000_000_000_000_i64}));
    assert!(swarm["JoinTokens"]["Worker"].as_str().unwrap().starts_with("SWMTKN-1-"));
    let again = served.post("/swarm/init", &json!({})).await.refusal();
    assert!(again.0 == 503 && again.1.starts_with("This node is already part of a swarm."), "{again:?}");
}

#[tokio::test]
async fn wrong_requests_to_init_and_join_change_nothing() {
    let served = Served::start(MemoryNode::inactive()).await;
    let check = async |path: &str, body: Value, status: u16, message: &str| {
        let refusal = served.post(path, &body).await.refusal();
        assert!(refusal.0 == status && refusal.1.contains(message), "{path}: {refusal:?}");
    };
    check("/swarm/init", json!({"Spec": {"Name": "lab"}}), 400, "swarm spec must be named \"default\"").await;
    check("/swarm/init", json!({"Availability": "lazy"}), 400, "invalid Availability: \"lazy\"").await;
    check("/swarm/init", json!({"DataPathPort": "x"}), 400, "invalid JSON").await;
    check("/swarm/init", json!({"AdvertiseAddr": "nowhere"}), 400, "interface named \"nowhere\"").await;
    check("/swarm/join", json!({}), 400, "at least 1 RemoteAddr is required to join").await;
    check("/swarm/join", json!({"RemoteAddrs": ["10.0.0.1"], "JoinToken": "x"}), 400, "valid join token").await;
    assert_eq!(served.send("HEAD", "/_ping").await.headers["swarm"], "inactive");
}

#[tokio::test]
async fn a_manager_leaves_by_force_only() {
    let served = Served::start(MemoryNode::manager()).await;

    let (status, message) = served.send("POST", "/swarm/leave").await.refusal();
    let forced = served.send("POST", "/swarm/leave?force=1").await;

    assert!(status == 503 && message.starts_with("You are attempting to leave the swarm on a node"), "{message}");
    assert_eq!((forced.status.as_u16(), forced.body.as_str()), (200, ""));
    assert_eq!(served.send("POST", "/swarm/leave").await.refusal().0, 503);
}

#[tokio::test]
async fn an_update_needs_the_version_that_the_client_saw() {
    let served = Served::start(MemoryNode::manager()).await;
    let seen = swarm(&served).await;
    let mut spec = seen["Spec"].clone();
    spec["Dispatcher"]["HeartbeatPeriod"] = json!(7_000_000_000_i64);

    let without = served.post("/swarm/update", &spec).await.refusal();
    let first = served.post(&update_path(&seen, ""), &spec).await;
    let second = served.post(&update_path(&seen, ""), &spec).await.refusal();

    let message = "invalid swarm version '': strconv.ParseUint: parsing \"\": invalid syntax";
    assert_eq!(without, (400, message.to_owned()));
    assert_eq!(first.status.as_u16(), 200);
    assert_eq!(second, (500, "rpc error: code = Unknown desc = update out of sequence".to_owned()));
    assert_eq!(swarm(&served).await["Spec"]["Dispatcher"]["HeartbeatPeriod"], 7_000_000_000_i64);
}

#[tokio::test]
async fn what_an_update_leaves_out_becomes_the_default_again() {
    let served = Served::start(MemoryNode::manager()).await;
    let seen = swarm(&served).await;
    let changed = json!({"Labels": {"a": "b"}, "Orchestration": {"TaskHistoryRetentionLimit": 9}});
    served.post(&update_path(&seen, ""), &changed).await;

    served.post(&update_path(&swarm(&served).await, ""), &json!({})).await;

    assert_eq!(swarm(&served).await["Spec"], seen["Spec"]);
}

#[tokio::test]
async fn tokens_are_renewed_one_by_one() {
    let served = Served::start(MemoryNode::manager()).await;
    let before = swarm(&served).await;

    let renewed = served.post(&update_path(&before, "&rotateWorkerToken=true"), &before["Spec"]).await;
    let after = swarm(&served).await;
    let wrong = served.post(&update_path(&after, "&rotateManagerToken=often"), &before["Spec"]).await.refusal();

    assert_eq!(renewed.status.as_u16(), 200);
    assert_ne!(before["JoinTokens"]["Worker"], after["JoinTokens"]["Worker"]);
    assert_eq!(before["JoinTokens"]["Manager"], after["JoinTokens"]["Manager"]);
    assert_eq!(wrong, (400, "invalid value for rotateManagerToken: often".to_owned()));
}

#[tokio::test]
async fn what_is_not_offered_is_refused_and_not_said_to_be_done() {
    let served = Served::start(MemoryNode::manager()).await;
    let seen = swarm(&served).await;
    let check = async |change: Value, message: &str| {
        let refusal = served.post(&update_path(&seen, ""), &change).await.refusal();
        assert!(refusal.0 == 501 && refusal.1.contains(message), "{refusal:?}");
    };
    check(json!({"CAConfig": {"ExternalCAs": [{"Protocol": "cfssl", "URL": "https://x"}]}}), "external").await;
    assert_eq!(swarm(&served).await, seen);
}

#[tokio::test]
async fn a_swarm_without_autolock_has_no_unlock_key_and_is_not_locked() {
    let served = Served::start(MemoryNode::manager()).await;

    assert_eq!(served.send("GET", "/swarm/unlockkey").await.json(), json!({"UnlockKey": ""}));
    let unlock = served.post("/swarm/unlock", &json!({"UnlockKey": "SWMKEY-1-x"})).await.refusal();
    assert_eq!(unlock, (409, "swarm is not locked".to_owned()));
}

#[tokio::test]
async fn a_locked_manager_refuses_everything_but_its_key() {
    let node = MemoryNode::inactive();
    let served = Served::start(node.clone()).await;
    served.post("/swarm/init", &json!({"AutoLockManagers": true})).await;
    assert_eq!(swarm(&served).await["Spec"]["EncryptionConfig"], json!({"AutoLockManagers": true}));
    let key = served.send("GET", "/swarm/unlockkey").await.json()["UnlockKey"].as_str().unwrap().to_owned();
    assert!(key.starts_with("SWMKEY-1-") && key.len() == 52, "{key}");

    node.restart();

    assert_eq!(served.send("HEAD", "/_ping").await.headers["swarm"], "locked");
    let locked = "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm unlock\" to \
                  unlock it.";
    let info = served.send("GET", "/info").await.json();
    assert_eq!((&info["Swarm"]["LocalNodeState"], &info["Swarm"]["Error"]), (&json!("locked"), &json!(locked)));
    assert_eq!((&info["Swarm"]["NodeID"], &info["Swarm"]["ControlAvailable"]), (&json!(""), &json!(false)));
    for (method, path) in [("GET", "/swarm"), ("GET", "/nodes"), ("GET", "/nodes/self"), ("GET", "/swarm/unlockkey")] {
        assert_eq!(served.send(method, path).await.refusal(), (503, locked.to_owned()), "{path}");
    }
    assert_eq!(served.post("/swarm/update?version=1", &json!({})).await.refusal(), (503, locked.to_owned()));
    assert!(
        served.post("/swarm/init", &json!({})).await.refusal().1.starts_with("This node is already part of a swarm.")
    );
    let leaving = "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.";
    assert_eq!(served.send("POST", "/swarm/leave").await.refusal(), (503, leaving.to_owned()));

    let unlock = async |key: &str| served.post("/swarm/unlock", &json!({"UnlockKey": key})).await;
    assert_eq!(unlock("SWMTKN-1-x").await.refusal(), (400, "invalid key string".to_owned()));
    let other = format!("SWMKEY-1-{}", "A".repeat(43));
    assert_eq!(unlock(&other).await.refusal().0, 401);
    let unlocked = unlock(&key).await;
    assert_eq!((unlocked.status.as_u16(), unlocked.body.as_str()), (200, ""));
    assert_eq!(served.send("HEAD", "/_ping").await.headers["swarm"], "active/manager");

    node.restart();
    assert_eq!(served.send("POST", "/swarm/leave?force=1").await.status.as_u16(), 200);
}

#[tokio::test]
async fn an_unlock_key_is_drawn_renewed_and_dropped_by_updates() {
    let served = Served::start(MemoryNode::manager()).await;
    let update = async |is_on: bool, rest: &str| {
        let seen = swarm(&served).await;
        let spec = json!({"EncryptionConfig": {"AutoLockManagers": is_on}});
        assert_eq!(served.post(&update_path(&seen, rest), &spec).await.status.as_u16(), 200);
        served.send("GET", "/swarm/unlockkey").await.json()["UnlockKey"].as_str().unwrap().to_owned()
    };

    let first = update(true, "").await;
    let same = update(true, "").await;
    let second = update(true, "&rotateManagerUnlockKey=true").await;
    let none = update(false, "").await;

    assert!(first.starts_with("SWMKEY-1-") && same == first);
    assert!(second.starts_with("SWMKEY-1-") && second != first);
    assert_eq!(none, "");
}

#[tokio::test]
async fn only_a_manager_can_be_unlocked() {
    let outside = Served::start(MemoryNode::inactive()).await;
    let worker = Served::start(MemoryNode::worker()).await;
    let body = json!({"UnlockKey": "SWMKEY-1-x"});

    let refusals = (outside.post("/swarm/unlock", &body).await, worker.post("/swarm/unlock", &body).await);

    let (outside, worker) = (refusals.0.refusal(), refusals.1.refusal());
    assert!(outside.0 == 503 && outside.1.contains("Use \"docker swarm init\""), "{outside:?}");
    assert!(worker.0 == 503 && worker.1.contains("Worker nodes can't be used"), "{worker:?}");
}

#[tokio::test]
async fn info_has_a_swarm_part_on_every_node() {
    let outside = Served::start(MemoryNode::inactive()).await.send("GET", "/info").await.json();
    let worker = Served::start(MemoryNode::worker()).await.send("GET", "/info").await.json();
    let manager = Served::start(MemoryNode::manager()).await.send("GET", "/info").await.json();

    let expected = json!({
        "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
        "RemoteManagers": null,
    });
    assert_eq!(outside["Swarm"], expected);
    assert_eq!(worker["Swarm"]["LocalNodeState"], "active");
    assert_eq!(worker["Swarm"]["ControlAvailable"], false);
    assert_eq!(worker["Swarm"]["RemoteManagers"][0], json!({"NodeID": id(1), "Addr": "10.0.0.1:2377"}));
    assert_eq!(worker["Swarm"].get("Cluster"), None);
    let swarm = &manager["Swarm"];
    assert_eq!((&swarm["Nodes"], &swarm["Managers"]), (&json!(5), &json!(3)));
    assert_eq!((&swarm["NodeID"], &swarm["NodeAddr"]), (&json!(id(1)), &json!("10.0.0.1")));
    assert_eq!(swarm["Cluster"]["ID"], "70ilmkj2f6sp2137c753w2nmt");
    assert_eq!(swarm["Cluster"].get("JoinTokens"), None);
}

#[tokio::test]
async fn info_is_there_without_a_leader_and_says_so() {
    let node = MemoryNode::manager();
    node.lose_the_leader();
    let served = Served::start(node).await;

    let info = served.send("GET", "/info").await.json();

    assert!(info["Swarm"]["Error"].as_str().unwrap().contains("The swarm does not have a leader."), "{info}");
    assert_eq!((&info["Swarm"]["ControlAvailable"], &info["Name"]), (&json!(true), &json!("node-1")));
    assert_eq!(served.send("GET", "/nodes").await.refusal().0, 503);
}

#[tokio::test]
async fn info_claims_nothing_that_does_not_stand() {
    let served = Served::start(MemoryNode::inactive()).await;
    let info = served.send("GET", "/v1.51/info").await.json();
    let old = served.send("GET", "/v1.41/info").await.json();

    for count in ["Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped", "Images"] {
        assert_eq!(info[count], 0, "{count}");
    }
    let plugins = json!({"Volume": ["local"], "Network": ["bridge", "host", "null"], "Authorization": null, "Log": ["json-file", "local"]});
    assert_eq!(info["Plugins"], plugins);
    let (driver, groups) = (json!("overlayfs"), json!("cgroupfs"));
    assert_eq!((&info["Driver"], &info["CgroupDriver"], &info["Runtimes"]), (&driver, &groups, &json!({})));
    assert_eq!(info["Labels"], json!(["rack=r1"]));
    assert_eq!(info["DockerRootDir"], served.folder.path().to_str().unwrap());
    assert_eq!(info["ID"].as_str().unwrap().len(), 36);
    assert_eq!(info["Warnings"], Value::Null);
    assert_eq!((info.get("BridgeNfIptables"), &old["BridgeNfIptables"]), (None, &json!(true)));
}

#[tokio::test]
async fn two_managers_are_warned_of() {
    let served = Served::start(MemoryNode::manager()).await;
    let node = served.send("GET", "/nodes/node-3").await.json();
    let path = format!("/nodes/node-3/update?version={}", node["Version"]["Index"]);
    served.post(&path, &json!({"Role": "worker", "Availability": "active"})).await;

    let info = served.send("GET", "/info").await.json();

    assert!(info["Warnings"][0].as_str().unwrap().starts_with("WARNING: Running Swarm in a two-manager"), "{info}");
}
