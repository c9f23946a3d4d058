//! The service account by which managers delete the machines of their cluster.

use driver::DriverError;
use fake_gcp::Settings;
use serde_json::json;

use crate::bench::Bench;

const ACCOUNT: &str = "swarmup@fake-project.iam.gserviceaccount.com";

fn settings() -> Settings {
    Settings { service_accounts: vec![ACCOUNT.to_owned()], ..Settings::default() }
}

#[tokio::test]
async fn managers_alone_have_the_account_and_for_compute_engine_alone() {
    let bench = Bench::with(settings(), &[("service-account", &[ACCOUNT])]).await;
    let driver = bench.open();

    bench.create(&*driver, &bench.request("lab")).await.unwrap();

    for body in bench.bodies("instances.bulkInsert") {
        let properties = &body["instanceProperties"];
        let accounts = properties.get("serviceAccounts").cloned().unwrap_or_default();
        if properties["labels"]["swarmup-group"] == "managers" {
            let scopes = ["https://www.googleapis.com/auth/compute"];
            assert_eq!(accounts, json!([{ "email": ACCOUNT, "scopes": scopes }]));
        } else {
            assert!(accounts.as_array().is_none_or(Vec::is_empty), "{accounts}");
        }
    }
    assert_eq!(bench.bodies("instances.bulkInsert").len(), 2);
    bench.judge().await;
}

#[tokio::test]
async fn nobody_has_an_account_without_the_option() {
    let bench = Bench::new().await;
    let driver = bench.open();

    bench.create(&*driver, &bench.request("lab")).await.unwrap();

    let bodies = bench.bodies("instances.bulkInsert");
    let accounts = bodies.iter().filter_map(|body| body["instanceProperties"]["serviceAccounts"].as_array());
    assert_eq!((bodies.len(), accounts.flatten().count()), (2, 0));
    assert_eq!(driver.farewell(&bench.request("lab").mark()), None);
}

#[tokio::test]
async fn machines_say_farewell_by_the_label_of_their_cluster() {
    let bench = Bench::with(settings(), &[("service-account", &["default"])]).await;

    let farewell = bench.open().farewell(&bench.request("lab").mark()).unwrap();

    let arguments = format!("'{}' 'swarmup-id' 'mark-lab'", bench.fake.endpoint().trim_end_matches('/'));
    assert!(farewell.contains(&arguments), "{farewell}");
}

#[tokio::test]
async fn what_cannot_be_known_beforehand_is_named() {
    let bench = Bench::with(settings(), &[("service-account", &[ACCOUNT])]).await;

    let preflight = bench.open().preflight(&bench.request("lab")).await.unwrap();

    assert!(preflight.unchecked.iter().any(|what| what.contains("iam.serviceAccounts.actAs")), "{preflight:?}");
}

#[tokio::test]
async fn who_may_not_act_as_the_account_is_told_what_to_ask_for() {
    let bench = Bench::with(Settings { may_act_as: false, ..settings() }, &[("service-account", &[ACCOUNT])]).await;
    let driver = bench.open();
    let request = bench.request("lab");

    let error = bench.create(&*driver, &request).await.unwrap_err();

    assert!(
        matches!(&error, DriverError::Unmet { hint, .. } if hint.contains("roles/iam.serviceAccountUser")),
        "{error:?}"
    );
    assert_eq!(bench.destroy(&*driver, &request).await.unwrap(), []);
}
