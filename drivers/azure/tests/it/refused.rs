//! What the driver refuses, or is refused, and what it says then.

use driver::{DriverError, OptionValue, Options, Silent};
use fake_azure::{Fault, How};

use crate::lab::{Lab, PATIENCE, cluster, machine, told};

#[tokio::test]
async fn a_wrong_secret_is_told_with_what_to_do() {
    let lab = Lab::start();

    let error = lab.open_with(&[("AZURE_CLIENT_SECRET", "guessed")], PATIENCE).find(None).await.unwrap_err();

    assert!(
        matches!(&error, DriverError::Unmet { what, hint } if what.contains("AADSTS7000215") && hint.contains("az login")),
        "{error:?}"
    );
    assert_eq!(lab.count("POST", "token"), 1, "it does not mend by trying again");
}

#[tokio::test]
async fn a_subscription_that_is_not_there_is_named() {
    let lab = Lab::start();
    let other = "11111111-1111-4111-8111-111111111111";

    let error = lab.open_with(&[("AZURE_SUBSCRIPTION_ID", other)], PATIENCE).find(None).await.unwrap_err();

    assert!(matches!(&error, DriverError::Unmet { what, .. } if what.contains(other)), "{error:?}");
}

#[tokio::test]
async fn the_only_subscription_need_not_be_named() {
    let lab = Lab::start();

    assert_eq!(lab.open_with(&[("AZURE_SUBSCRIPTION_ID", "")], PATIENCE).find(None).await.unwrap(), []);
    assert_eq!(lab.count("GET", "subscriptions"), 1);
}

#[tokio::test]
async fn what_is_not_permitted_is_told_with_whom_to_ask() {
    let lab = Lab::start();
    let how = How::Refuse { status: 403, code: "AuthorizationFailed", retry_after: None };
    lab.fake.set_fault(Fault::new("PUT", "resourceGroups", 1, how));

    let error = lab.open().ensure_network(&cluster("lab")).await.unwrap_err();

    assert!(matches!(&error, DriverError::Unmet { hint, .. } if hint.contains("Contributor")), "{error:?}");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_an_error() {
    let lab = Lab::start();
    let quick = azure::Patience { backoff: driver::Backoff { attempts: 1, ..PATIENCE.backoff }, ..PATIENCE };

    let error = lab.open_with(&[("SSL_CERT_FILE", "")], quick).find(None).await.unwrap_err();

    assert!(told(&error).to_lowercase().contains("certificate"), "{}", told(&error));
}

#[tokio::test]
async fn a_machine_without_a_key_is_refused_before_anything_is_made() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    let driver = lab.open();
    let network = driver.ensure_network(&cluster).await.unwrap();
    let mut request = machine(&cluster, 1);
    request.authorized_key = None;

    let error = driver.create(&network, &[machine(&cluster, 2), request], &Silent).await.unwrap_err();

    assert!(told(&error).contains("public key"), "{}", told(&error));
    assert_eq!(lab.count("PUT", "virtualMachines"), 0);
}

#[tokio::test]
async fn user_data_that_is_too_long_is_refused_before_anything_is_made() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    let driver = lab.open();
    let network = driver.ensure_network(&cluster).await.unwrap();
    let mut request = machine(&cluster, 1);
    request.user_data = Some("x".repeat(65_536));

    let error = driver.create(&network, &[request], &Silent).await.unwrap_err();

    assert!(told(&error).contains("65536 bytes"), "{}", told(&error));
    assert_eq!(lab.count("PUT", "virtualMachines"), 0);
}

#[test]
fn opening_asks_nobody_and_refuses_options_that_cannot_be_used() {
    let folder = std::path::Path::new("/nowhere");
    let option = |name: &str, value: &str| Options([(name.to_owned(), OptionValue::One(value.to_owned()))].into());

    assert!(azure::open(&Options::default(), folder).is_ok());
    let refused = azure::open(&option("subscription", "mine"), folder).unwrap_err();
    assert!(matches!(&refused, DriverError::InvalidOption { option, .. } if option == "subscription"));
    assert!(azure::open(&option("ssh-user", "root"), folder).is_err());
}
