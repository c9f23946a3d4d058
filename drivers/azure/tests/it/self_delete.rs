//! The identity by which managers delete their own resource group: who is lent it, what it may, and that it goes too.

use std::sync::Arc;
use std::time::Duration;

use azure::Patience;
use driver::conformance::Bench;
use driver::{ClusterRequest, Driver, DriverError, Expiry, MachineRequest, OptionValue, Options};
use fake_azure::{Fault, How, Settings};
use jiff::{Timestamp, ToSpan as _};

use crate::lab::{self, Lab, PATIENCE, create, destroy, gone, with_option};

/// The option under test.
const SELF_DELETE: &str = "self-delete";

/// The cluster with the option.
fn cluster(name: &str) -> ClusterRequest {
    with_option(lab::cluster(name), SELF_DELETE, &["true"])
}

/// A driver that was opened with the option.
fn open(lab: &Lab, patience: Patience) -> Arc<dyn Driver> {
    let options = Options([(SELF_DELETE.to_owned(), OptionValue::One("true".to_owned()))].into());
    azure::open_in(lab.environment(&[]), patience, &options, lab.folder()).unwrap()
}

fn refuse(status: u16, code: &'static str) -> How {
    How::Refuse { status, code, retry_after: None }
}

#[tokio::test]
async fn managers_alone_are_lent_an_identity_which_may_delete_the_group() {
    let lab = Lab::start();
    let cluster = cluster("lab");

    create(&*lab.open(), &cluster).await.unwrap();

    let lent: Vec<_> = lab.fake.machines().into_iter().map(|machine| machine.identities).collect();
    let manager = vec!["swarmup-managers".to_owned()];
    assert_eq!(lent, [manager.clone(), manager.clone(), manager, Vec::new(), Vec::new()]);
    lab.assert_entitled();
    let requests = lab.fake.requests();
    let assignment = requests.iter().find(|entry| entry.kind == "roleAssignments").unwrap();
    let properties = &assignment.body.as_ref().unwrap()["properties"];
    assert!(properties["roleDefinitionId"].as_str().unwrap().ends_with("/94877a25-7520-40c5-9c42-68e02e4758bd"));
    assert!(assignment.url.contains("/resourceGroups/swarmup-lab-"), "at the scope of the group: {}", assignment.url);
    lab.judge().await;
}

#[tokio::test]
async fn nothing_of_it_is_made_without_the_option() {
    let lab = Lab::start();

    create(&*lab.open(), &lab::cluster("lab")).await.unwrap();

    assert!(lab.fake.machines().iter().all(|machine| machine.identities.is_empty()));
    assert_eq!((lab.count("PUT", "userAssignedIdentities"), lab.count("PUT", "roleAssignments")), (0, 0));
}

#[tokio::test]
async fn creating_and_destroying_keep_their_budgets() {
    let lab = Lab::with(Settings {
        network_provisioning: Duration::from_millis(300),
        addresses_after: Duration::from_millis(300),
        group_deletion: Duration::from_secs(1),
        boot: Duration::from_mins(1),
        retry_after_seconds: 1,
        ..Settings::default()
    });
    let (cluster, driver) = (cluster("lab"), open(&lab, PATIENCE));

    driver.find(Some(&cluster.id)).await.unwrap();
    driver.preflight(&cluster).await.unwrap();
    create(&*driver, &cluster).await.unwrap();

    let requests = lab.fake.requests();
    let refused: Vec<_> = requests.iter().filter(|entry| entry.status >= 400).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let position = |kind: &str| requests.iter().position(|entry| entry.method == "PUT" && entry.kind == kind).unwrap();
    let looked = requests.iter().position(|entry| entry.kind == "operations").unwrap();
    assert!(position("userAssignedIdentities") < looked, "the identity is made beside the network");
    let addresses = requests.iter().position(|entry| entry.kind == "networkInterfaces").unwrap();
    assert!(position("roleAssignments") < addresses, "its right is lent beside the machines");
    let last = requests.iter().rposition(|entry| entry.method == "PUT").unwrap();
    let counted: Vec<_> = requests[..=last]
        .iter()
        .filter(|entry| entry.is_resource_manager() && entry.kind != "operations")
        .map(|entry| format!("{} {}", entry.method, entry.kind))
        .collect();
    assert!(counted.len() <= 16, "{counted:#?}");

    lab.fake.forget_requests();
    let driver = open(&lab, PATIENCE);
    driver.find(Some(&cluster.id)).await.unwrap();
    driver.remove_network(&cluster.id).await.unwrap();
    driver.find(Some(&cluster.id)).await.unwrap();
    let counted = lab.fake.requests().iter().filter(|entry| entry.is_resource_manager()).count();
    assert!(counted <= 4, "{counted}");
    gone(&*driver, &cluster).await.unwrap();
    assert_eq!(lab.fake.resources(), Vec::<String>::new(), "neither identity nor assignment is left");
    lab.judge().await;
}

#[tokio::test]
async fn a_principal_that_the_directory_does_not_show_yet_is_waited_for() {
    let lab = Lab::start();
    lab.fake.set_fault(Fault::new("PUT", "roleAssignments", 1, refuse(400, "PrincipalNotFound")).times(3));

    create(&*lab.open(), &cluster("lab")).await.unwrap();

    assert_eq!(lab.count("PUT", "roleAssignments"), 4);
    lab.assert_entitled();
}

#[tokio::test]
async fn an_assignment_that_exists_is_as_good_as_a_new_one() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    create(&*lab.open(), &cluster).await.unwrap();

    // The same name again; then Azure says of another call that was lost that there is one.
    create(&*lab.open(), &cluster).await.unwrap();
    lab.fake.set_fault(Fault::new("PUT", "roleAssignments", 1, refuse(409, "RoleAssignmentExists")));
    create(&*lab.open(), &cluster).await.unwrap();

    lab.assert_entitled();
}

#[tokio::test]
async fn who_may_lend_no_rights_is_told_whom_to_ask() {
    let lab = Lab::start();
    lab.fake.set_fault(Fault::new("PUT", "roleAssignments", 1, refuse(403, "AuthorizationFailed")));

    let error = create(&*lab.open(), &cluster("lab")).await.unwrap_err();

    assert!(
        matches!(&error, DriverError::Unmet { hint, .. }
            if hint.contains("User Access Administrator") && hint.contains("--self-delete")),
        "{error:?}"
    );
    assert_eq!(lab.machine_names().len(), 5, "no machine is cut short");
}

#[tokio::test]
async fn a_provider_that_is_not_registered_is_told_with_the_command_that_registers_it() {
    let lab = Lab::start();
    lab.fake.set_fault(Fault::new("PUT", "userAssignedIdentities", 1, refuse(409, "MissingSubscriptionRegistration")));

    let error = create(&*lab.open(), &cluster("lab")).await.unwrap_err();

    assert!(
        matches!(&error, DriverError::Unmet { hint, .. } if hint.contains("--namespace Microsoft.ManagedIdentity")),
        "{error:?}"
    );
}

#[tokio::test]
async fn machines_end_themselves_with_the_option_only() {
    let lab = Lab::start();
    let mark = cluster("lab").mark();

    let (with, without) = (open(&lab, PATIENCE), lab.open());

    assert_eq!((with.capabilities().expiry, without.capabilities().expiry), (Expiry::Machine, Expiry::Nobody));
    assert_eq!(without.farewell(&mark), None);
    let farewell = with.farewell(&mark).unwrap();
    assert!(farewell.contains(&lab.fake.endpoint()) && farewell.contains("'swarmup-lab-lab0123456'"), "{farewell}");
    assert!(!farewell.contains(&lab.fake.settings().secret));
}

#[tokio::test]
async fn an_expiry_moves_on_the_identity_too() {
    let lab = Lab::start();
    let (cluster, driver) = (cluster("lab"), open(&lab, PATIENCE));
    create(&*driver, &cluster).await.unwrap();
    let expires = Timestamp::UNIX_EPOCH + 1_800_000_000.seconds();

    driver.extend(&cluster.id, expires).await.unwrap();

    let identity = lab.fake.resources().into_iter().find(|id| id.contains("userAssignedIdentities")).unwrap();
    assert_eq!(lab.fake.tags(&identity).unwrap()["swarmup-expires"], "1800000000");
    destroy(&*driver, &cluster).await.unwrap();
    assert_eq!(lab.fake.resources(), Vec::<String>::new());
    lab.judge().await;
}

/// The fake with clusters whose managers have an identity.
struct Lent(Lab);

impl Bench for Lent {
    fn driver(&self) -> Arc<dyn Driver> {
        open(&self.0, PATIENCE)
    }

    fn cluster(&self, name: &str) -> ClusterRequest {
        cluster(name)
    }

    fn machine(&self, cluster: &ClusterRequest, number: u32) -> MachineRequest {
        lab::machine(cluster, number)
    }
}

#[tokio::test]
async fn the_driver_keeps_the_contract_with_an_identity() {
    let lent = Lent(Lab::with(Settings { page: 2, ..Settings::default() }));

    driver::conformance::run(&lent).await;

    assert_eq!(lent.0.fake.resources(), Vec::<String>::new());
    lent.0.judge().await;
}
