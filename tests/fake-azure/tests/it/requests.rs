//! What of a request is refused, whatever exists.

use base64::Engine as _;
use fake_azure::{Settings, Verdict};
use reqwest::Method;
use serde_json::{Value, json};

use crate::caller::{
    COMPUTE, Caller, GUARD, NETWORK, RESOURCES, VNET, address, guard, interface, machine, machine_path, network,
};

/// What comes of a machine with one thing about it changed.
async fn check_machine(change: impl FnOnce(&mut Value), expected: (u16, &str)) {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    let mut body = machine(&caller, "one");
    change(&mut body);

    let got = caller.put(&machine_path("one"), COMPUTE, body).await;

    assert_eq!(got.refusal(), expected, "{got:?}");
    assert!(caller.fake.machines().is_empty());
}

/// A driver that sends a field which Azure does not know, or knows by another name.
#[tokio::test]
async fn a_field_that_is_not_known_is_refused() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    let with = |mut body: Value, pointer: &str| {
        body.pointer_mut(pointer).unwrap()["colour"] = json!("red");
        body
    };

    for (path, version, body) in [
        ("/resourceGroups/two", RESOURCES, with(json!({ "location": "eastus2" }), "")),
        (GUARD, NETWORK, with(guard(), "/properties")),
        (VNET, NETWORK, with(network(), "/properties/subnets/0/properties")),
        (&machine_path("one"), COMPUTE, with(machine(&caller, "one"), "/properties/osProfile")),
    ] {
        assert_eq!(caller.put(path, version, body).await.refusal(), (400, "InvalidRequestContent"), "{path}");
    }
}

/// A driver that uses a version which the type does not have: disks' versions are not those of machines.
#[tokio::test]
async fn a_version_that_the_type_does_not_have_is_refused() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    let disk = "/resourceGroups/lab/providers/Microsoft.Compute/disks/one";

    assert_eq!(caller.get("/resourceGroups", COMPUTE).await.refusal(), (400, "InvalidApiVersionParameter"));
    assert_eq!(caller.get(GUARD, COMPUTE).await.refusal(), (400, "InvalidApiVersionParameter"));
    assert_eq!(caller.delete(disk, COMPUTE).await.refusal(), (400, "InvalidApiVersionParameter"));
    let none = caller.send(Method::GET, "/resourceGroups", None).await;
    assert_eq!(none.refusal(), (400, "MissingApiVersionParameter"));
}

/// A driver that misspells `forceDeletion`, which Azure would overlook.
#[tokio::test]
async fn a_parameter_that_is_not_known_is_refused() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.machine("one").await;

    let path = format!("{}?api-version={COMPUTE}&forcedDeletion=true", machine_path("one"));
    let got = caller.send(Method::DELETE, &path, None).await;

    assert_eq!(got.refusal(), (400, "InvalidQueryParameter"));
}

/// A driver that forgets where something is to stand.
#[tokio::test]
async fn a_resource_without_location_is_refused() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    let without = |mut body: Value| {
        body.as_object_mut().unwrap().remove("location");
        body
    };

    for (path, version, body) in [
        ("/resourceGroups/two", RESOURCES, json!({})),
        (GUARD, NETWORK, without(guard())),
        (VNET, NETWORK, without(network())),
        (&machine_path("one"), COMPUTE, without(machine(&caller, "one"))),
    ] {
        assert_eq!(caller.put(path, version, body).await.refusal(), (400, "LocationRequired"), "{path}");
    }
}

/// A driver that signs in wrongly, or asks for a token that is good for something else.
#[tokio::test]
async fn a_token_is_given_to_the_application_alone_and_for_this_endpoint_alone() {
    let caller = Caller::start(Settings::default()).await;

    for (field, value, status, code) in [
        ("client_secret", "guessed", 401, 7_000_215),
        ("client_id", "another", 400, 700_016),
        ("grant_type", "password", 400, 70003),
        ("scope", "https://storage.azure.com/.default", 400, 70011),
    ] {
        let (got, body) = caller.sign_in(&[(field, value)]).await;
        assert_eq!((got, &body["error_codes"][0]), (status, &json!(code)), "{field}");
    }
}

/// A driver that sends no token, or one that has expired.
#[tokio::test]
async fn a_request_without_a_good_token_is_refused() {
    let mut caller = Caller::start(Settings::default()).await;

    caller.fake.expire_tokens();
    assert_eq!(caller.get("/resourceGroups", RESOURCES).await.refusal(), (401, "ExpiredAuthenticationToken"));
    caller.token = "made-up".to_owned();
    assert_eq!(caller.get("/resourceGroups", RESOURCES).await.refusal(), (401, "InvalidAuthenticationToken"));
}

/// A driver that lets root log in, which Azure refuses.
#[tokio::test]
async fn a_user_that_azure_reserves_is_refused() {
    check_machine(|body| body["properties"]["osProfile"]["adminUsername"] = json!("root"), (400, "InvalidParameter"))
        .await;
}

/// A driver that makes a machine into which nobody can log in.
#[tokio::test]
async fn a_machine_without_a_key_is_refused() {
    let keys = "/properties/osProfile/linuxConfiguration/ssh/publicKeys";
    check_machine(|body| *body.pointer_mut(keys).unwrap() = json!([]), (400, "InvalidParameter")).await;
    let path = format!("{keys}/0/path");
    check_machine(|body| *body.pointer_mut(&path).unwrap() = json!("/root/keys"), (400, "InvalidParameter")).await;
}

/// A driver that passes user data on as it is, or more than fits.
#[tokio::test]
async fn user_data_is_base64_and_of_bounded_length() {
    let long = base64::engine::general_purpose::STANDARD.encode(vec![b'x'; 65_536]);
    for data in ["#cloud-config", &long] {
        let data = json!(data);
        check_machine(|body| body["properties"]["osProfile"]["customData"] = data, (400, "InvalidParameter")).await;
    }
}

/// A driver that pairs an image with a size of the other architecture.
#[tokio::test]
async fn an_image_of_another_architecture_is_refused() {
    let sku = "/properties/storageProfile/imageReference/sku";
    check_machine(|body| *body.pointer_mut(sku).unwrap() = json!("server-arm64"), (400, "InvalidParameter")).await;
}

/// A driver that names a size, an image or a zone which does not exist.
#[tokio::test]
async fn sizes_images_and_zones_that_do_not_exist_are_refused() {
    let size = "/properties/hardwareProfile/vmSize";
    let sku = "/properties/storageProfile/imageReference/sku";
    check_machine(|body| *body.pointer_mut(size).unwrap() = json!("Huge"), (400, "InvalidParameter")).await;
    check_machine(|body| *body.pointer_mut(sku).unwrap() = json!("desktop"), (404, "PlatformImageNotFound")).await;
    check_machine(|body| body["zones"] = json!(["4"]), (400, "InvalidAvailabilityZone")).await;
}

/// A driver that asks for a Basic address, which was retired, or for one that changes.
#[tokio::test]
async fn addresses_are_standard_and_static() {
    check_machine(|body| address(body)["sku"]["name"] = json!("Basic"), (400, "IPv4BasicSkuPublicIpCountLimitReached"))
        .await;
    check_machine(
        |body| address(body)["properties"]["publicIPAllocationMethod"] = json!("Dynamic"),
        (400, "PublicIPAddressesOfStandardSkuMustBeStatic"),
    )
    .await;
}

/// A driver that makes interfaces inline and does not say by which version of the network's API.
#[tokio::test]
async fn inline_interfaces_need_a_version() {
    let version = "networkApiVersion";
    check_machine(
        |body| _ = body["properties"]["networkProfile"].as_object_mut().unwrap().remove(version),
        (400, "InvalidParameter"),
    )
    .await;
    check_machine(|body| interface(body)["primary"] = json!(false), (400, "InvalidParameter")).await;
}

/// A driver that sets a price or an eviction for machines that are not spot machines.
#[tokio::test]
async fn eviction_is_of_spot_machines_only() {
    check_machine(|body| body["properties"]["evictionPolicy"] = json!("Delete"), (400, "InvalidParameter")).await;
}

/// The judge by Microsoft's schemas finds what is well and what is not.
#[tokio::test]
async fn requests_are_judged_by_the_published_schemas() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.machine("one").await;
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("arm-oracle");

    let good = fake_azure::judge(&caller.fake.requests(), &folder).await.unwrap();
    caller.fake.forget_requests();
    let mut bad = machine(&caller, "two");
    bad["properties"]["priority"] = json!("Cheap");
    caller.put(&machine_path("two"), COMPUTE, bad).await;
    let bad = fake_azure::judge(&caller.fake.requests(), &folder).await.unwrap();

    assert!(matches!(good, Verdict::Valid(5..) | Verdict::Skipped), "{good:?}");
    assert!(matches!(bad, Verdict::Invalid(_) | Verdict::Skipped), "{bad:?}");
}
