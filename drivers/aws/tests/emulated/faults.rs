//! What goes wrong at EC2, or on the way there: each ends in success or in a clear error, and never in a leak.

use std::time::{Duration, Instant};

use aws::Patience;
use driver::cloud::ZONE;
use driver::{Driver, DriverError, Silent};
use serde_json::json;

use crate::cloud::{Cloud, PATIENCE};
use crate::request::{self, cluster, machines};

/// Destroys all and checks that nothing is left.
async fn leaves_nothing(cloud: &Cloud, cluster: &driver::ClusterRequest) {
    cloud.faults(json!([])).await;
    request::destroy(&*cloud.driver(), &cluster.id).await.unwrap();
    assert_eq!(cloud.remains().await, [""; 0]);
}

fn cause(error: &DriverError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn every_answer_may_be_lost_once() {
    let cloud = Cloud::start();
    let cluster = cluster("lost");
    let actions = [
        "DescribeSubnets",
        "DescribeSecurityGroups",
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "DescribeImages",
        "DescribeInstances",
        "RunInstances",
        "DescribeTags",
        "TerminateInstances",
        "DeleteSecurityGroup",
    ];
    let lost: Vec<_> = actions.iter().map(|action| json!({ "action": action, "kind": "lost" })).collect();
    cloud.faults(json!(lost)).await;

    let created = request::create(&*cloud.driver(), &cluster).await.unwrap();
    assert_eq!((created.len(), cloud.machines().await.len()), (5, 5));
    request::destroy(&*cloud.driver(), &cluster.id).await.unwrap();

    let calls = cloud.calls().await;
    for action in actions {
        let is_lost = calls.iter().any(|call| call["action"] == action && call["fault"] == "lost");
        assert!(is_lost, "{action} was never called");
    }
    assert_eq!(cloud.remains().await, [""; 0]);
}

#[tokio::test]
async fn connections_may_be_reset_and_servers_may_stumble() {
    let cloud = Cloud::start();
    let cluster = cluster("stumble");
    let faults = json!([
        { "action": "RunInstances", "kind": "reset", "times": 2 },
        { "action": "CreateSecurityGroup", "kind": "error", "status": 500, "code": "InternalError", "times": 2 },
        { "action": "DescribeInstances", "kind": "error", "status": 503, "code": "Unavailable", "times": 2 },
        { "action": "TerminateInstances", "kind": "error", "status": 502, "code": "BadGateway", "times": 2 },
    ]);
    cloud.faults(faults).await;

    request::create(&*cloud.driver(), &cluster).await.unwrap();
    request::destroy(&*cloud.driver(), &cluster.id).await.unwrap();

    assert_eq!(cloud.remains().await, [""; 0]);
}

#[tokio::test]
async fn a_burst_of_throttling_is_waited_out() {
    let cloud = Cloud::start();
    let cluster = cluster("burst");
    let throttled = |nth: u32| json!({ "action": "*", "kind": "error", "status": 503, "code": "RequestLimitExceeded", "nth": nth, "times": 5 });
    cloud.faults(json!([throttled(2), throttled(12), throttled(22), throttled(32)])).await;

    request::create(&*cloud.driver(), &cluster).await.unwrap();
    request::destroy(&*cloud.driver(), &cluster.id).await.unwrap();

    let throttled = cloud.calls().await.iter().filter(|call| call["code"] == "RequestLimitExceeded").count();
    assert!(throttled >= 10, "{throttled}");
    assert_eq!(cloud.remains().await, [""; 0]);
}

#[tokio::test]
async fn a_provider_that_names_a_time_is_not_called_before_it() {
    let cloud = Cloud::start();
    let throttled = json!([{ "action": "DescribeTags", "kind": "error", "status": 503, "code": "RequestLimitExceeded", "retry_after": 1 }]);
    cloud.faults(throttled).await;
    let begin = Instant::now();

    cloud.driver().find(None).await.unwrap();

    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn throttling_without_an_end_is_a_final_error() {
    let cloud = Cloud::start();
    let throttled =
        json!([{ "action": "*", "kind": "error", "status": 503, "code": "RequestLimitExceeded", "times": 1000 }]);
    cloud.faults(throttled).await;

    let refused = request::create(&*cloud.driver(), &cluster("endless")).await.unwrap_err();

    assert!(!refused.is_transient(), "{refused:?}");
    assert_eq!(cause(&refused), "aws is throttling requests");
}

#[tokio::test]
async fn credentials_that_expire_midway_are_named_and_the_work_goes_on_with_others() {
    let cloud = Cloud::start();
    let cluster = cluster("expired");
    for action in ["AuthorizeSecurityGroupIngress", "RunInstances"] {
        let expired = json!([{ "action": action, "kind": "error", "code": "ExpiredToken", "times": 99 }]);
        cloud.faults(expired).await;

        let refused = request::create(&*cloud.driver(), &cluster).await.unwrap_err();

        assert!(matches!(refused, DriverError::Unmet { .. }), "{refused:?}");
        assert!(refused.hint().unwrap().contains("aws sso login"));
    }
    cloud.faults(json!([])).await;
    assert_eq!(request::create(&*cloud.driver(), &cluster).await.unwrap().len(), 5);
    let expired = json!([{ "action": "DeleteSecurityGroup", "kind": "error", "code": "RequestExpired" }]);
    cloud.faults(expired).await;
    let refused = request::destroy(&*cloud.driver(), &cluster.id).await.unwrap_err();
    assert!(matches!(refused, DriverError::Unmet { .. }), "{refused:?}");
    leaves_nothing(&cloud, &cluster).await;
}

#[tokio::test]
async fn a_permission_that_is_missing_is_told_before_anything_is_made() {
    let cloud = Cloud::start();
    let forbidden =
        json!([{ "action": "RunInstances", "kind": "error", "status": 403, "code": "UnauthorizedOperation" }]);
    cloud.faults(forbidden).await;

    let refused = cloud.driver().preflight(&cluster("forbidden")).await.unwrap_err();

    assert!(
        matches!(refused, DriverError::Unmet { .. }) && refused.to_string().contains("create machines"),
        "{refused}"
    );
}

#[tokio::test]
async fn the_next_type_is_taken_where_the_first_has_no_capacity() {
    let cloud = Cloud::start();
    let cluster = cluster("types");
    let none = |kind: &str, code: &str, status: u32| {
        json!({ "action": "RunInstances", "where": { "InstanceType": kind }, "kind": "error", "status": status,
                "code": code, "times": 99 })
    };
    let faults = [none("t3.small", "InsufficientInstanceCapacity", 500), none("t3a.small", "Unsupported", 400)];
    cloud.faults(json!(faults)).await;

    request::create(&*cloud.driver(), &cluster).await.unwrap();

    let machines = cloud.machines().await;
    assert_eq!(machines.len(), 5);
    assert!(machines.iter().all(|machine| machine.instance_type().unwrap().as_str() == "t3.medium"));
    leaves_nothing(&cloud, &cluster).await;
}

#[tokio::test]
async fn the_next_zone_is_taken_where_the_first_has_no_capacity() {
    let cloud = Cloud::start();
    let cluster = cluster("capacity");
    let zones = [(ZONE, "us-east-1a"), (ZONE, "us-east-1b")];
    let driver = cloud.driver_with(&zones);
    let network = request::network(&*driver, &cluster).await;
    let first = network.handles.many("place")[0].split('@').next().unwrap();
    let none = json!([{ "action": "RunInstances", "where": { "NetworkInterface.1.SubnetId": first }, "kind": "error",
                        "status": 500, "code": "InsufficientInstanceCapacity", "times": 99 }]);
    cloud.faults(none).await;

    let created = driver.create(&network, &machines(&cluster), &Silent).await.unwrap();

    let there = cloud.machines().await;
    assert_eq!((created.len(), there.len()), (5, 5));
    let zone = |machine: &aws_sdk_ec2::types::Instance| machine.placement().unwrap().availability_zone.clone().unwrap();
    assert!(there.iter().all(|machine| zone(machine) == "us-east-1b"));
    assert_eq!(cloud.driver_with(&zones).create(&network, &machines(&cluster), &Silent).await.unwrap(), created);
    leaves_nothing(&cloud, &cluster).await;
}

#[tokio::test]
async fn no_capacity_anywhere_names_what_was_tried() {
    let cloud = Cloud::start();
    let cluster = cluster("nowhere");
    let none = json!([{ "action": "RunInstances", "kind": "error", "status": 500, "code": "InsufficientInstanceCapacity",
                        "times": 999 }]);
    cloud.faults(none).await;

    let refused = request::create(&*cloud.driver_with(&[(ZONE, "us-east-1a")]), &cluster).await.unwrap_err();

    assert!(!refused.is_transient() && refused.hint().is_some_and(|hint| hint.contains("--zone")), "{refused:?}");
    let told = refused.to_string();
    for part in ["nowhere-node-1", "t3.small in us-east-1a", "t2.medium in us-east-1a"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(cloud.machines().await.len(), 0);
    leaves_nothing(&cloud, &cluster).await;
}

#[tokio::test]
async fn a_quota_that_is_exhausted_for_one_group_leaves_the_other_to_be_found() {
    let cloud = Cloud::start();
    let cluster = cluster("quota");
    let quota = json!([{ "action": "RunInstances", "where": { "MinCount": "2" }, "kind": "error", "code": "VcpuLimitExceeded" }]);
    cloud.faults(quota).await;

    let refused = request::create(&*cloud.driver(), &cluster).await.unwrap_err();
    assert!(matches!(refused, DriverError::QuotaExhausted { .. }), "{refused:?}");
    assert_eq!(cloud.machines().await.len(), 3);
    request::create(&*cloud.driver(), &cluster).await.unwrap();

    assert_eq!(cloud.machines().await.len(), 5);
    leaves_nothing(&cloud, &cluster).await;
}

#[tokio::test]
async fn a_machine_that_vanishes_while_it_is_waited_for_is_named_and_made_again() {
    let cloud = Cloud::start();
    cloud.set(json!({ "pending": 0.3 })).await;
    let cluster = cluster("vanishes");
    cloud.faults(json!([{ "action": "RunInstances", "where": { "MinCount": "2" }, "kind": "vanish" }])).await;

    let refused = request::create(&*cloud.driver(), &cluster).await.unwrap_err();
    assert!(!refused.is_transient() && cause(&refused).contains("vanishes-node-4"), "{refused:?}");
    request::create(&*cloud.driver(), &cluster).await.unwrap();

    assert_eq!(cloud.machines().await.len(), 5);
    leaves_nothing(&cloud, &cluster).await;
}

#[tokio::test]
async fn what_was_created_a_moment_ago_may_be_unknown_for_a_while() {
    let cloud = Cloud::start();
    let cluster = cluster("eventual");
    let unknown =
        |action: &str| json!({ "action": action, "kind": "error", "code": "InvalidGroup.NotFound", "times": 2 });
    let blind = json!({ "action": "DescribeInstances", "kind": "blind", "times": 4 });
    cloud.faults(json!([unknown("AuthorizeSecurityGroupIngress"), unknown("RunInstances"), blind])).await;

    request::create(&*cloud.driver(), &cluster).await.unwrap();

    assert_eq!(cloud.machines().await.len(), 5);
    leaves_nothing(&cloud, &cluster).await;
}

#[tokio::test]
async fn a_group_that_stays_unknown_is_no_matter_of_patience() {
    let cloud = Cloud::start();
    let unknown = json!([{ "action": "RunInstances", "kind": "error", "code": "InvalidGroup.NotFound", "times": 999 }]);
    cloud.faults(unknown).await;

    let refused = request::create(&*cloud.driver(), &cluster("unknown")).await.unwrap_err();

    assert!(!refused.is_transient() && cause(&refused).contains("InvalidGroup.NotFound"), "{refused:?}");
}

#[tokio::test]
async fn machines_that_are_told_of_late_are_not_launched_twice() {
    let cloud = Cloud::start();
    let cluster = cluster("late");
    let created = request::create(&*cloud.driver(), &cluster).await.unwrap();
    let blind = json!([{ "action": "DescribeInstances", "kind": "blind" }]);

    cloud.faults(blind.clone()).await;
    let again = request::create(&*cloud.driver(), &cluster).await.unwrap();
    cloud.faults(blind).await;
    let others = with_other_user_data(&cloud, &cluster).await;

    assert_eq!((&again, &others), (&created, &created));
    assert_eq!(cloud.machines().await.len(), 5);
}

/// The machines of a cluster whose user-data is another one than before: the same token, other parameters.
async fn with_other_user_data(cloud: &Cloud, cluster: &driver::ClusterRequest) -> Vec<driver::Instance> {
    let driver = cloud.driver();
    let network = request::network(&*driver, cluster).await;
    let mut wanted = machines(cluster);
    for machine in &mut wanted {
        machine.user_data = Some("#cloud-config\n# another one\n".to_owned());
    }
    driver.create(&network, &wanted, &Silent).await.unwrap()
}

#[tokio::test]
async fn an_address_that_never_comes_is_given_up() {
    let cloud = Cloud::start();
    cloud.set(json!({ "pending": 60 })).await;
    let cluster = cluster("never");
    let mut patience: Patience = PATIENCE;
    patience.machines.limit = Duration::from_millis(300);

    let refused = request::create(&*cloud.driver_of(&[], patience), &cluster).await.unwrap_err();

    assert!(matches!(refused, DriverError::TimedOut { .. }), "{refused:?}");
    leaves_nothing(&cloud, &cluster).await;
}

#[tokio::test]
async fn several_clusters_are_made_at_once_in_one_account() {
    let cloud = Cloud::start();
    let clusters: Vec<_> = (1..=3).map(|number| cluster(&format!("side-{number}"))).collect();
    let driver = |_: &driver::ClusterRequest| cloud.driver();
    let drivers: Vec<std::sync::Arc<dyn Driver>> = clusters.iter().map(driver).collect();

    let creates = drivers.iter().zip(&clusters).map(|(driver, cluster)| request::create(&**driver, cluster));
    futures_util::future::try_join_all(creates).await.unwrap();
    assert_eq!(cloud.machines().await.len(), 15);
    request::destroy(&*cloud.driver(), &clusters[1].id).await.unwrap();

    assert_eq!(cloud.machines().await.len(), 10);
    assert_eq!(cloud.driver().find(Some(&clusters[1].id)).await.unwrap(), []);
}

#[tokio::test]
async fn ten_creates_at_once_from_one_workstation_stay_below_the_published_rates() {
    let cloud = Cloud::start();
    let published = json!({ "RunInstances": [5, 2], "CreateSecurityGroup": [50, 5], "*": [100, 20] });
    cloud.set(json!({ "buckets": published })).await;
    let clusters: Vec<_> = (1..=10).map(|number| cluster(&format!("rate-{number}"))).collect();
    let drivers: Vec<std::sync::Arc<dyn Driver>> = clusters.iter().map(|_| cloud.driver_beside()).collect();

    let creates = drivers.iter().zip(&clusters).map(|(driver, cluster)| request::create(&**driver, cluster));
    futures_util::future::try_join_all(creates).await.unwrap();

    assert_eq!(cloud.machines().await.len(), 50);
    let refused = cloud.calls().await.iter().filter(|call| call["code"] == "RequestLimitExceeded").count();
    assert!(refused <= 2, "{refused} calls were refused");
}
