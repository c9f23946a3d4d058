//! `/swarm/lease`.

use std::time::Duration;

use serde_json::json;

use crate::memory::MemoryNode;
use crate::served::Served;

const LENGTH: Duration = Duration::from_mins(2);

#[tokio::test]
async fn a_lease_is_renewed_for_its_full_length() {
    let served = Served::leased(MemoryNode::inactive(), Some(LENGTH)).await;
    assert_eq!(served.send("GET", "/swarm/lease").await.json(), json!({}));

    let renewed = served.send("POST", "/v1.51/swarm/lease").await;

    assert_eq!((renewed.status.as_u16(), renewed.json()), (200, json!({"SecondsLeft": 120.0})));
    let left = served.send("GET", "/swarm/lease").await.json()["SecondsLeft"].as_f64().unwrap();
    assert!((100.0..=120.0).contains(&left), "{left}");
    assert!(served.engine.lease().left().unwrap() <= LENGTH);
}

#[tokio::test]
async fn where_nobody_need_hold_a_lease_there_is_none_to_renew() {
    let served = Served::start(MemoryNode::inactive()).await;

    let refusals = [served.send("GET", "/swarm/lease").await, served.send("POST", "/swarm/lease").await];

    for refusal in refusals {
        assert_eq!(refusal.refusal(), (404, "this swarm has no lease".to_owned()));
    }
}
