//! What goes wrong on purpose.

use std::time::Duration;

use fake_azure::{Fault, How, Settings};
use reqwest::Method;
use serde_json::json;

use crate::caller::{Caller, RESOURCES};

const PATH: &str = "/resourceGroups/lab?api-version=2024-11-01";

async fn make_group(caller: &Caller) -> reqwest::Result<u16> {
    let made = caller.try_send(Method::PUT, PATH, Some(json!({ "location": "eastus2" }))).await;
    made.map(|got| got.status)
}

#[tokio::test]
async fn a_refusal_does_nothing_and_strikes_as_often_as_it_says() {
    let caller = Caller::start(Settings::default()).await;
    let how = How::Refuse { status: 429, code: "TooManyRequests", retry_after: Some(3) };
    caller.fake.set_fault(Fault::new("PUT", "resourceGroups", 1, how).times(2));

    assert_eq!(make_group(&caller).await.unwrap(), 429);
    assert_eq!(make_group(&caller).await.unwrap(), 429);
    assert!(caller.fake.resources().is_empty());
    assert_eq!(make_group(&caller).await.unwrap(), 201);
}

#[tokio::test]
async fn an_answer_is_lost_after_the_deed_or_before_it() {
    let caller = Caller::start(Settings::default()).await;
    caller.fake.set_fault(Fault::new("PUT", "resourceGroups", 1, How::Reset));
    caller.fake.set_fault(Fault::new("PUT", "resourceGroups", 2, How::Lose));

    assert!(make_group(&caller).await.is_err());
    assert!(caller.fake.resources().is_empty());
    assert!(make_group(&caller).await.is_err());
    assert_eq!(caller.fake.resources(), ["/resourceGroups/lab"]);
}

#[tokio::test]
async fn a_request_is_held_before_the_deed_or_after_it() {
    let caller = Caller::start(Settings::default()).await;
    for (how, exists) in [(How::HoldBefore, false), (How::HoldAfter, true)] {
        caller.fake.set_fault(Fault::of_any(1, how));

        tokio::select! {
            _ = make_group(&caller) => panic!("it was answered"),
            held = caller.fake.held(Duration::from_secs(10)) => assert!(held),
        }

        assert_eq!(!caller.fake.resources().is_empty(), exists);
        caller.fake.forget_held();
        caller.fake.clear_faults();
    }
}

#[tokio::test]
async fn every_request_is_logged_without_its_secrets() {
    let caller = Caller::start(Settings::default()).await;
    caller.get("/resourceGroups", RESOURCES).await;

    let logged = caller.fake.requests();

    assert_eq!(logged.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>(), ["token", "resourceGroups"]);
    assert_eq!((logged[1].method.as_str(), logged[1].status), ("GET", 200));
    let secret = caller.fake.settings().secret;
    assert!(logged.iter().all(|entry| !format!("{entry:?}").contains(&secret)));
    assert!(!format!("{:?}", logged[1]).contains(&caller.token));
}
