//! The driver keeps the contract.

use fake_azure::Settings;

use crate::lab::Lab;

#[tokio::test]
async fn the_driver_keeps_the_contract() {
    // Small pages, so that every list has several.
    let lab = Lab::with(Settings { page: 2, ..Settings::default() });

    driver::conformance::run(&lab).await;

    assert_eq!(lab.fake.resources(), Vec::<String>::new());
    lab.judge().await;
}
