//! The suite that every driver must pass.

use std::sync::Arc;

use driver::conformance::{self, Bench, cluster_request};
use driver::{ClusterRequest, Driver};
use serde_json::json;

use crate::cloud::Cloud;

impl Bench for Cloud {
    fn driver(&self) -> Arc<dyn Driver> {
        self.driver()
    }

    fn cluster(&self, name: &str) -> ClusterRequest {
        cluster_request(format!("mark-{name}"), name)
    }
}

#[tokio::test]
async fn the_driver_keeps_the_contract() {
    let cloud = Cloud::start();

    conformance::run(&cloud).await;

    assert_eq!(cloud.remains().await, [""; 0]);
}

#[tokio::test]
async fn the_driver_keeps_the_contract_where_machines_take_their_time() {
    let cloud = Cloud::start();
    cloud.set(json!({ "pending": 0.1, "vanish": 0.2 })).await;

    conformance::run(&cloud).await;

    assert_eq!(cloud.remains().await, [""; 0]);
}

#[tokio::test]
async fn what_is_gone_is_not_found_although_its_tags_are() {
    let cloud = Cloud::start();
    cloud.set(json!({ "forget": false, "interfaces": false })).await;

    conformance::run(&cloud).await;

    assert_eq!(cloud.remains().await, [""; 0]);
}
