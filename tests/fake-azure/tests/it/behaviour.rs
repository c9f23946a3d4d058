//! How what was granted goes on.

use std::time::Duration;

use fake_azure::{FakeAzure, MachineState, Settings};
use reqwest::Method;
use serde_json::{Value, json};

use crate::caller::{COMPUTE, Caller, NETWORK, RESOURCES, VNET, address, interface, machine, machine_path, network};

/// The one machine that exists.
fn only(fake: &FakeAzure) -> fake_azure::Machine {
    let mut machines = fake.machines();
    assert_eq!(machines.len(), 1);
    machines.remove(0)
}

/// A driver that takes a request that was accepted for one that is done.
#[tokio::test]
async fn making_goes_on_after_the_answer() {
    let slow = Settings { network_provisioning: Duration::from_millis(500), ..Settings::default() };
    let caller = Caller::start(slow).await;
    caller.put("/resourceGroups/lab", RESOURCES, json!({ "location": "eastus2" })).await;

    let made = caller.put(VNET, NETWORK, network()).await;
    let operation = made.operation.clone().unwrap();

    assert_eq!((made.status, made.state()), (201, "Updating"));
    assert_eq!(caller.get(VNET, NETWORK).await.state(), "Updating");
    assert_eq!(caller.send(Method::GET, &operation, None).await.body["status"], "InProgress");
    caller.until(VNET, NETWORK, |got| got.state() == "Succeeded").await;
    assert_eq!(caller.send(Method::GET, &operation, None).await.body["status"], "Succeeded");
}

/// A driver that waits for a machine's boot before it asks for the address, or expects the address at once.
#[tokio::test]
async fn a_machine_has_addresses_before_it_is_up_and_not_at_once() {
    let slow =
        Settings { boot: Duration::from_mins(1), addresses_after: Duration::from_millis(400), ..Settings::default() };
    let caller = Caller::start(slow).await;
    caller.network().await;
    let nics = "/resourceGroups/lab/providers/Microsoft.Network/networkInterfaces";
    let addresses = "/resourceGroups/lab/providers/Microsoft.Network/publicIPAddresses";

    let made = caller.machine("one").await;
    let at_once = caller.get(nics, NETWORK).await;

    assert_eq!((made.status, made.state()), (201, "Creating"));
    assert_eq!(at_once.body["value"], json!([]));
    let nics = caller.until(nics, NETWORK, |got| got.body["value"] != json!([])).await;
    let configuration = &nics.body["value"][0]["properties"]["ipConfigurations"][0]["properties"];
    assert_eq!(configuration["privateIPAddress"], "10.77.1.4");
    assert_eq!(caller.get(addresses, NETWORK).await.body["value"][0]["properties"]["ipAddress"], "203.0.113.1");
    assert_eq!(only(&caller.fake).state, MachineState::Booting);
}

/// A driver that compares ids with regard to case.
#[tokio::test]
async fn ids_come_back_in_another_case_and_are_read_in_any() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    let made = caller.machine("one").await;

    let path = machine_path("ONE").replace("resourceGroups", "resourcegroups");

    assert!(made.body["id"].as_str().unwrap().contains("/resourceGroups/LAB/"));
    assert_eq!(caller.get(&path, COMPUTE).await.status, 200);
}

/// A driver that does not say what goes with a machine, and leaks it.
#[tokio::test]
async fn what_is_not_to_go_with_a_machine_stays() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    let mut body = machine(&caller, "one");
    body["properties"]["storageProfile"]["osDisk"]["deleteOption"] = json!("Detach");
    interface(&mut body)["deleteOption"] = json!("Detach");
    address(&mut body)["properties"]["deleteOption"] = json!("Detach");
    caller.put(&machine_path("one"), COMPUTE, body).await;
    caller.machine("two").await;

    for name in ["one", "two"] {
        caller.delete(&machine_path(name), COMPUTE).await;
        caller.until(&machine_path(name), COMPUTE, |got| got.status == 404).await;
    }

    let left = caller.fake.resources();
    assert_eq!(left.iter().filter(|id| id.contains("/one-")).count(), 3, "{left:?}");
    assert!(left.iter().all(|id| !id.contains("/two-")), "{left:?}");
}

/// A driver that takes a group whose deletion was accepted for one that is gone, or deletes it piece by piece.
#[tokio::test]
async fn a_group_goes_in_its_own_time_and_takes_everything_along() {
    let slow = Settings { group_deletion: Duration::from_millis(500), ..Settings::default() };
    let caller = Caller::start(slow).await;
    caller.network().await;
    caller.machine("one").await;
    let path =
        format!("/resourceGroups/lab?api-version={RESOURCES}&forceDeletionTypes=Microsoft.Compute/virtualMachines");

    let accepted = caller.send(Method::DELETE, &path, None).await;
    let location = accepted.location.clone().unwrap();

    assert_eq!(accepted.status, 202);
    assert_eq!(caller.send(Method::GET, &location, None).await.status, 202);
    assert_eq!(only(&caller.fake).state, MachineState::Deleting);
    caller.until("/resourceGroups/lab", RESOURCES, |got| got.status == 404).await;
    assert_eq!(caller.send(Method::GET, &location, None).await.status, 200);
    assert!(caller.fake.resources().is_empty());
}

/// A driver that deletes a group without forcing its machines, which takes longer.
#[tokio::test]
async fn machines_that_are_not_forced_take_longer_to_go() {
    let caller = Caller::start(Settings { group_deletion: Duration::from_secs(30), ..Settings::default() }).await;
    caller.network().await;
    caller.machine("one").await;
    caller.delete("/resourceGroups/lab", RESOURCES).await;

    caller.fake.change_settings(|settings| settings.group_deletion = Duration::ZERO);

    assert_eq!(caller.get("/resourceGroups/lab", RESOURCES).await.state(), "Deleting");
}

/// A driver that reads the first page of a list only.
#[tokio::test]
async fn lists_come_in_pages() {
    let caller = Caller::start(Settings { page: 2, ..Settings::default() }).await;
    caller.network().await;
    for name in ["one", "two", "three"] {
        caller.machine(name).await;
    }

    let first = caller.get("/resourceGroups/lab/providers/Microsoft.Compute/virtualMachines", COMPUTE).await;
    let second = caller.send(Method::GET, first.body["nextLink"].as_str().unwrap(), None).await;

    assert_eq!(first.body["value"].as_array().unwrap().len(), 2);
    assert_eq!(second.body["value"].as_array().unwrap().len(), 1);
    assert_eq!(second.body["nextLink"], Value::Null);
}

/// A driver that looks for tags in a list that was filtered by them.
#[tokio::test]
async fn a_list_that_is_filtered_by_tag_shows_no_tags() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.machine("one").await;
    let filter = "$filter=tagName%20eq%20'swarmup-id'%20and%20tagValue%20eq%20'x'";

    let filtered = caller.get(&format!("/resources?{filter}&api-version"), RESOURCES).await;
    assert_eq!(filtered.code(), "MissingApiVersionParameter");
    let path = format!("/resources?api-version={RESOURCES}&{filter}");
    let filtered = caller.send(Method::GET, &path, None).await;
    let all = caller.get("/resources", RESOURCES).await;

    let names = |got: &crate::caller::Got| got.body["value"].as_array().unwrap().len();
    assert!(names(&filtered) >= 1 && names(&filtered) < names(&all));
    assert_eq!(filtered.body["value"][0]["tags"], Value::Null);
}

/// A driver that leaves a machine without any security group, and so without a way in.
#[tokio::test]
async fn a_standard_address_without_a_security_group_is_closed() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    let mut body = machine(&caller, "one");
    interface(&mut body).as_object_mut().unwrap().remove("networkSecurityGroup");
    caller.put(&machine_path("one"), COMPUTE, body).await;

    let machine = only(&caller.fake);

    assert!(!caller.fake.lets_in(&machine, "198.51.100.1".parse().unwrap(), "Tcp", Some(22)));
    assert!(caller.fake.lets_in(&machine, "10.77.9.9".parse().unwrap(), "Tcp", Some(22)));
}

/// A driver that powers machines off and goes on paying for them.
#[tokio::test]
async fn a_machine_is_deallocated_and_started() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.machine("one").await;
    caller.until(&machine_path("one"), COMPUTE, |got| got.state() == "Succeeded").await;
    let act = |action: &str| format!("{}/{action}?api-version={COMPUTE}", machine_path("one"));

    assert_eq!(caller.send(Method::POST, &act("deallocate"), None).await.status, 202);
    assert_eq!(only(&caller.fake).state, MachineState::Deallocated);
    assert_eq!(caller.send(Method::POST, &act("start"), None).await.status, 202);
    assert_ne!(only(&caller.fake).state, MachineState::Deallocated);
    assert_eq!(caller.send(Method::POST, &act("powerOff"), None).await.status, 404);
}

/// A driver that reads the console of a machine for which it did not switch it on.
#[tokio::test]
async fn a_console_is_kept_where_it_was_asked_for() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.machine("one").await;
    let mut body = machine(&caller, "two");
    body["properties"]["diagnosticsProfile"] = json!({ "bootDiagnostics": { "enabled": true } });
    caller.put(&machine_path("two"), COMPUTE, body).await;
    let read = |name: &str| format!("{}/retrieveBootDiagnosticsData?api-version={COMPUTE}", machine_path(name));

    assert_eq!(caller.send(Method::POST, &read("one"), None).await.refusal(), (409, "OperationNotAllowed"));
    let data = caller.send(Method::POST, &read("two"), None).await;
    let uri = data.body["serialConsoleLogBlobUri"].as_str().unwrap();
    assert!(caller.http.get(uri).send().await.unwrap().text().await.unwrap().contains("two login:"));
}

/// A driver that changes tags by leaving the others out.
#[tokio::test]
async fn tags_are_replaced_as_a_whole() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    let path = format!("{VNET}?api-version={NETWORK}");

    let patched = caller.send(Method::PATCH, &path, Some(json!({ "tags": { "a": "1" } }))).await;
    let again = caller.send(Method::PATCH, &path, Some(json!({ "tags": { "b": "2" } }))).await;

    assert_eq!(patched.body["tags"], json!({ "a": "1" }));
    assert_eq!(again.body["tags"], json!({ "b": "2" }));
}
