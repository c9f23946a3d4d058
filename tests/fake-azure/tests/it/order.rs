//! What must come before what.

use std::time::Duration;

use fake_azure::Settings;
use reqwest::Method;
use serde_json::json;

use crate::caller::{
    COMPUTE, Caller, GUARD, NETWORK, RESOURCES, VNET, guard, interface, machine, machine_path, network,
};

/// A driver that does not wait for the group, or does not make it.
#[tokio::test]
async fn nothing_is_made_in_a_group_that_does_not_exist() {
    let caller = Caller::start(Settings::default()).await;

    for (path, version, body) in [
        (GUARD, NETWORK, guard()),
        (VNET, NETWORK, network()),
        (&machine_path("one"), COMPUTE, machine(&caller, "one")),
    ] {
        assert_eq!(caller.put(path, version, body).await.refusal(), (404, "ResourceGroupNotFound"), "{path}");
    }
}

/// A driver that forgets the network or the security group.
#[tokio::test]
async fn a_machine_needs_its_subnet_and_its_security_group() {
    let caller = Caller::start(Settings::default()).await;
    caller.put("/resourceGroups/lab", RESOURCES, json!({ "location": "eastus2" })).await;

    assert_eq!(caller.machine("one").await.refusal(), (400, "InvalidResourceReference"));
    caller.put(VNET, NETWORK, network()).await;
    caller.until(VNET, NETWORK, |got| got.state() == "Succeeded").await;
    assert_eq!(caller.machine("one").await.refusal(), (400, "InvalidResourceReference"));
}

/// A driver that does not wait until the network is made.
#[tokio::test]
async fn a_machine_is_not_made_before_its_network_is() {
    let slow = Settings { network_provisioning: Duration::from_mins(1), ..Settings::default() };
    let caller = Caller::start(slow).await;
    caller.put("/resourceGroups/lab", RESOURCES, json!({ "location": "eastus2" })).await;
    caller.put(GUARD, NETWORK, guard()).await;
    assert_eq!(caller.put(VNET, NETWORK, network()).await.state(), "Updating");

    let got = caller.machine("one").await;

    assert_eq!(got.refusal(), (429, "RetryableError"));
    assert_eq!(got.body["error"]["details"][0]["code"], "ReferencedResourceNotProvisioned");
}

/// A driver that puts a subnet behind a security group which is not made yet.
#[tokio::test]
async fn a_subnet_is_not_made_before_its_security_group_is() {
    let caller = Caller::start(Settings::default()).await;
    caller.put("/resourceGroups/lab", RESOURCES, json!({ "location": "eastus2" })).await;
    let id = format!("/subscriptions/{}{GUARD}", caller.fake.settings().subscription);
    let mut body = network();
    body["properties"]["subnets"][0]["properties"]["networkSecurityGroup"] = json!({ "id": id });

    assert_eq!(caller.put(VNET, NETWORK, body).await.refusal(), (400, "InvalidResourceReference"));
}

/// A driver that writes to what it has just written, without waiting.
#[tokio::test]
async fn what_is_being_made_is_not_written_again() {
    let slow = Settings { boot: Duration::from_mins(1), ..Settings::default() };
    let caller = Caller::start(slow).await;
    caller.network().await;
    caller.machine("one").await;

    assert_eq!(caller.machine("one").await.refusal(), (409, "Conflict"));
    caller.put(GUARD, NETWORK, guard()).await;
    assert_eq!(caller.put(GUARD, NETWORK, guard()).await.refusal(), (429, "AnotherOperationInProgress"));
}

/// A driver that deletes things in the wrong order.
#[tokio::test]
async fn what_is_in_use_is_not_deleted() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.machine("one").await;
    let nic = "/resourceGroups/lab/providers/Microsoft.Network/networkInterfaces/one-nic";
    let address = "/resourceGroups/lab/providers/Microsoft.Network/publicIPAddresses/one-address";
    let disk = "/resourceGroups/lab/providers/Microsoft.Compute/disks/one-disk";
    caller.until(nic, NETWORK, |got| got.status == 200).await;

    assert_eq!(caller.delete(GUARD, NETWORK).await.refusal(), (400, "InUseNetworkSecurityGroupCannotBeDeleted"));
    assert_eq!(caller.delete(VNET, NETWORK).await.refusal(), (400, "InUseSubnetCannotBeDeleted"));
    assert_eq!(caller.delete(nic, NETWORK).await.refusal(), (400, "NicInUse"));
    assert_eq!(caller.delete(address, NETWORK).await.refusal(), (400, "PublicIPAddressCannotBeDeleted"));
    assert_eq!(caller.delete(disk, "2024-03-02").await.refusal(), (409, "OperationNotAllowed"));
}

/// A driver that takes a subnet out of a network with machines in it.
#[tokio::test]
async fn a_subnet_with_machines_in_it_stays() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.machine("one").await;
    let mut body = network();
    body["properties"]["subnets"][0]["name"] = json!("others");

    assert_eq!(caller.put(VNET, NETWORK, body).await.refusal(), (400, "InUseSubnetCannotBeDeleted"));
}

/// A driver that asks after an operation again and again instead of when it was told to.
#[tokio::test]
async fn an_operation_is_not_asked_after_too_early() {
    let slow =
        Settings { network_provisioning: Duration::from_mins(1), retry_after_seconds: 30, ..Settings::default() };
    let caller = Caller::start(slow).await;
    caller.put("/resourceGroups/lab", RESOURCES, json!({ "location": "eastus2" })).await;

    let made = caller.put(VNET, NETWORK, network()).await;
    let early = caller.send(Method::GET, made.operation.as_ref().unwrap(), None).await;

    assert_eq!(made.retry_after.as_deref(), Some("30"));
    assert_eq!((early.refusal(), early.retry_after.as_deref()), ((429, "TooManyRequests"), Some("30")));
}

/// A driver that writes into a group which is going.
#[tokio::test]
async fn a_group_that_is_being_deleted_takes_nothing_in() {
    let slow = Settings { group_deletion: Duration::from_mins(1), ..Settings::default() };
    let caller = Caller::start(slow).await;
    caller.network().await;
    caller.delete("/resourceGroups/lab", RESOURCES).await;

    let again = caller.put("/resourceGroups/lab", RESOURCES, json!({ "location": "eastus2" })).await;

    assert_eq!(again.refusal(), (409, "ResourceGroupBeingDeleted"));
    assert_eq!(caller.put(GUARD, NETWORK, guard()).await.refusal(), (409, "ResourceGroupBeingDeleted"));
    assert_eq!(caller.get("/resourceGroups/lab", RESOURCES).await.state(), "Deleting");
}

/// A driver that makes a machine again with other user data, and takes the answer for a new machine.
#[tokio::test]
async fn what_a_machine_was_made_with_does_not_change() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.machine("one").await;
    caller.until(&machine_path("one"), COMPUTE, |got| got.state() == "Succeeded").await;
    let mut other = machine(&caller, "one");
    other["properties"]["osProfile"]["customData"] = json!("b3RoZXI=");

    assert_eq!(caller.machine("one").await.status, 200);
    assert_eq!(caller.put(&machine_path("one"), COMPUTE, other).await.refusal(), (409, "PropertyChangeNotAllowed"));
}

/// A driver that uses the name of an interface which is kept for a machine that is gone.
#[tokio::test]
async fn an_interface_stays_reserved_for_a_while() {
    let settings = Settings { interface_reserved: Duration::from_millis(800), ..Settings::default() };
    let caller = Caller::start(settings).await;
    caller.network().await;
    caller.machine("one").await;
    caller.until(&machine_path("one"), COMPUTE, |got| got.state() == "Succeeded").await;
    caller.delete(&machine_path("one"), COMPUTE).await;
    caller.until(&machine_path("one"), COMPUTE, |got| got.status == 404).await;
    let nic = "/resourceGroups/lab/providers/Microsoft.Network/networkInterfaces/one-nic";

    assert_eq!(caller.machine("one").await.refusal(), (400, "NicReservedForAnotherVm"));
    assert_eq!(caller.delete(nic, NETWORK).await.refusal(), (400, "NicReservedForAnotherVm"));
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(caller.delete(nic, NETWORK).await.status, 202);
}

/// A driver that puts a machine elsewhere than its network.
#[tokio::test]
async fn a_machine_stands_where_its_network_does() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    let mut body = machine(&caller, "one");
    body["location"] = json!("westus");
    interface(&mut body)["primary"] = json!(true);

    assert_eq!(caller.put(&machine_path("one"), COMPUTE, body).await.refusal(), (400, "InvalidResourceReference"));
}
