//! Identities, their roles, and what machines do by them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use fake_azure::Settings;
use reqwest::Method;
use serde_json::{Value, json};

use crate::caller::{COMPUTE, Caller, GUARD, NETWORK, RESOURCES, VNET, guard, machine, machine_path, network};

const IDENTITY: &str = "2023-01-31";
const AUTHORIZATION: &str = "2022-04-01";
const MANAGERS: &str = "/resourceGroups/lab/providers/Microsoft.ManagedIdentity/userAssignedIdentities/managers";
/// Azure's own roles.
const GROUP_CONTRIBUTOR: &str = "94877a25-7520-40c5-9c42-68e02e4758bd";
const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";

/// A group with a network on loopback, so that a test can ask from a machine's address, and an identity; its principal.
async fn start() -> (Caller, String) {
    let metadata = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let caller = Caller::start(Settings { metadata, ..Settings::default() }).await;
    caller.put("/resourceGroups/lab", RESOURCES, json!({ "location": "eastus2" })).await;
    let mut on_loopback = network();
    on_loopback["properties"]["addressSpace"]["addressPrefixes"] = json!(["127.77.0.0/16"]);
    on_loopback["properties"]["subnets"][0]["properties"]["addressPrefix"] = json!("127.77.1.0/24");
    for (path, body) in [(GUARD, guard()), (VNET, on_loopback)] {
        assert_eq!(caller.put(path, NETWORK, body).await.status, 201);
        caller.until(path, NETWORK, |got| got.state() == "Succeeded").await;
    }
    let made = caller.put(MANAGERS, IDENTITY, json!({ "location": "eastus2", "tags": {} })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let principal = made.body["properties"]["principalId"].as_str().unwrap().to_owned();
    (caller, principal)
}

/// The id of something below the subscription.
fn id(caller: &Caller, path: &str) -> String {
    format!("/subscriptions/{}{path}", caller.fake.settings().subscription)
}

/// A machine that is lent identities.
fn lent(caller: &Caller, name: &str, identities: &[&str]) -> Value {
    let mut body = machine(caller, name);
    let each: serde_json::Map<_, _> = identities.iter().map(|path| (id(caller, path), json!({}))).collect();
    body["identity"] = json!({ "type": "UserAssigned", "userAssignedIdentities": each });
    body
}

fn assignment_path(number: u32) -> String {
    format!(
        "/resourceGroups/lab/providers/Microsoft.Authorization/roleAssignments/{number:08}-1111-4111-8111-111111111111"
    )
}

fn assignment(caller: &Caller, principal: &str, role: &str) -> Value {
    let role = id(caller, &format!("/providers/Microsoft.Authorization/roleDefinitions/{role}"));
    json!({ "properties": { "roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal" } })
}

/// What a machine is answered by its metadata service.
async fn ask(caller: &Caller, from: IpAddr, path: &str, header: Option<&str>) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().local_address(from).build().unwrap();
    let mut request = http.get(format!("http://{}/metadata/{path}", caller.fake.metadata().unwrap()));
    if let Some(value) = header {
        request = request.header("Metadata", value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn ask_for_token(caller: &Caller, from: IpAddr) -> (u16, Value) {
    let resource = format!("{}/", caller.fake.endpoint());
    let path = format!("identity/oauth2/token?api-version=2018-02-01&resource={resource}");
    ask(caller, from, &path, Some("true")).await
}

fn address(caller: &Caller, name: &str) -> IpAddr {
    let found = caller.fake.machines().into_iter().find(|machine| machine.name == name);
    found.unwrap().private_address.unwrap()
}

/// Deletes the group with another token.
async fn delete_group(caller: &mut Caller, token: &str) -> (u16, String) {
    let own = std::mem::replace(&mut caller.token, token.to_owned());
    let got = caller.delete("/resourceGroups/lab", RESOURCES).await;
    caller.token = own;
    (got.status, got.code().to_owned())
}

/// A driver that writes fields where they do not belong, or forgets where an identity is.
#[tokio::test]
async fn an_identity_is_a_place_and_tags_and_nothing_else() {
    let (caller, principal) = start().await;

    for (body, refusal) in [
        (json!({ "tags": {} }), (400, "LocationRequired")),
        (json!({ "location": "eastus2", "properties": {} }), (400, "InvalidRequestContent")),
    ] {
        assert_eq!(caller.put(MANAGERS, IDENTITY, body).await.refusal(), refusal);
    }
    let again = caller.put(MANAGERS, IDENTITY, json!({ "location": "eastus2", "tags": { "a": "b" } })).await;
    assert_eq!((again.status, again.body["properties"]["principalId"].as_str()), (200, Some(principal.as_str())));
    assert_eq!(caller.put(MANAGERS, AUTHORIZATION, json!({})).await.refusal(), (400, "InvalidApiVersionParameter"));
    let mut guarded = guard();
    guarded["identity"] = json!({ "type": "UserAssigned" });
    assert_eq!(caller.put(GUARD, NETWORK, guarded).await.refusal(), (400, "InvalidRequestContent"));
}

/// A driver that makes machines before their identity, or lends none by mistake.
#[tokio::test]
async fn a_machine_is_lent_identities_that_exist() {
    let (caller, _) = start().await;
    let other = MANAGERS.replace("managers", "nobody");

    for (identities, refusal) in
        [([other.as_str()].as_slice(), (400, "FailedIdentityOperation")), (&[], (400, "InvalidIdentityIds"))]
    {
        let got = caller.put(&machine_path("one"), COMPUTE, lent(&caller, "one", identities)).await;
        assert_eq!(got.refusal(), refusal);
    }
    let mut of_system = lent(&caller, "one", &[MANAGERS]);
    of_system["identity"]["type"] = json!("SystemAssigned");
    assert_eq!(caller.put(&machine_path("one"), COMPUTE, of_system).await.refusal(), (400, "InvalidParameter"));
    assert_eq!(caller.put(&machine_path("one"), COMPUTE, lent(&caller, "one", &[MANAGERS])).await.status, 201);
    assert_eq!(caller.fake.machines()[0].identities, ["managers"]);
}

/// A driver whose assignment has no name that is a GUID, no role that exists, or another name each time.
#[tokio::test]
async fn a_role_is_assigned_once_by_a_name_that_stays() {
    let (caller, principal) = start().await;
    let wanted = assignment(&caller, &principal, GROUP_CONTRIBUTOR);
    let named = "/resourceGroups/lab/providers/Microsoft.Authorization/roleAssignments/managers";

    for (path, body, refusal) in [
        (named.to_owned(), wanted.clone(), (400, "InvalidRoleAssignmentId")),
        (assignment_path(1), assignment(&caller, &principal, "no-role"), (404, "RoleDefinitionDoesNotExist")),
        (assignment_path(1), assignment(&caller, "nobody", GROUP_CONTRIBUTOR), (400, "PrincipalNotFound")),
        (assignment_path(1), json!({ "properties": { "role": "x" } }), (400, "InvalidRequestContent")),
    ] {
        assert_eq!(caller.put(&path, AUTHORIZATION, body).await.refusal(), refusal);
    }
    assert_eq!(caller.put(&assignment_path(1), AUTHORIZATION, wanted.clone()).await.status, 201);
    assert_eq!(caller.put(&assignment_path(1), AUTHORIZATION, wanted.clone()).await.status, 200);
    assert_eq!(caller.put(&assignment_path(2), AUTHORIZATION, wanted).await.refusal(), (409, "RoleAssignmentExists"));
    assert_eq!(
        caller.put(&assignment_path(1), AUTHORIZATION, assignment(&caller, &principal, READER)).await.refusal(),
        (400, "RoleAssignmentUpdateNotPermitted")
    );
}

/// A driver that does not say what kind of principal it is.
#[tokio::test]
async fn a_principal_without_its_type_is_looked_up_where_it_is_not_shown_yet() {
    let (caller, principal) = start().await;
    let mut wanted = assignment(&caller, &principal, GROUP_CONTRIBUTOR);
    wanted["properties"].as_object_mut().unwrap().remove("principalType");

    let got = caller.put(&assignment_path(1), AUTHORIZATION, wanted.clone()).await;
    assert_eq!(got.refusal(), (400, "PrincipalNotFound"));

    caller.fake.change_settings(|settings| settings.replication = Duration::ZERO);
    let fresh = caller.put(&MANAGERS.replace("managers", "fresh"), IDENTITY, json!({ "location": "eastus2" })).await;
    wanted["properties"]["principalId"] = fresh.body["properties"]["principalId"].clone();
    assert_eq!(caller.put(&assignment_path(1), AUTHORIZATION, wanted).await.status, 201);
}

/// A program on a machine that forgets the header, the version, or asks for what the machine does not have.
#[tokio::test]
async fn the_metadata_service_tells_machines_what_is_theirs() {
    let (caller, _) = start().await;
    caller.put(&machine_path("manager"), COMPUTE, lent(&caller, "manager", &[MANAGERS])).await;
    caller.machine("worker").await;
    let (manager, worker) = (address(&caller, "manager"), address(&caller, "worker"));
    let place = "instance/compute/subscriptionId?api-version=2021-02-01&format=text";

    let subscription = Value::String(caller.fake.settings().subscription);
    assert_eq!(ask(&caller, worker, place, Some("true")).await, (200, subscription));
    assert_eq!(ask(&caller, worker, place, None).await.0, 400);
    assert_eq!(ask(&caller, worker, "instance/compute/subscriptionId?format=text", Some("true")).await.0, 400);
    assert_eq!(ask(&caller, Ipv4Addr::LOCALHOST.into(), place, Some("true")).await.0, 404);
    let (status, body) = ask_for_token(&caller, worker).await;
    assert_eq!((status, body["error_description"].as_str()), (400, Some("Identity not found")));
    let other = "identity/oauth2/token?api-version=2018-02-01&resource=https://vault.example";
    assert_eq!(ask(&caller, manager, other, Some("true")).await.1["error"], "invalid_resource");
    let named = format!(
        "identity/oauth2/token?api-version=2018-02-01&resource={}&msi_res_id={}",
        caller.fake.endpoint(),
        id(&caller, &MANAGERS.replace("managers", "nobody"))
    );
    assert_eq!(ask(&caller, manager, &named, Some("true")).await.0, 400);
    assert_eq!(ask_for_token(&caller, manager).await.0, 200);
}

/// A driver that lends the identity no role, or one that does not delete groups.
#[tokio::test]
async fn a_machine_deletes_its_group_by_a_role_that_permits_it_and_that_alone() {
    let (mut caller, principal) = start().await;
    caller.put(&machine_path("manager"), COMPUTE, lent(&caller, "manager", &[MANAGERS])).await;
    let (_, token) = ask_for_token(&caller, address(&caller, "manager")).await;
    let token = token["access_token"].as_str().unwrap().to_owned();
    let refused = (403, "AuthorizationFailed".to_owned());

    assert_eq!(delete_group(&mut caller, &token).await, refused);
    caller.put(&assignment_path(1), AUTHORIZATION, assignment(&caller, &principal, READER)).await;
    assert_eq!(delete_group(&mut caller, &token).await, refused);
    caller.put(&assignment_path(2), AUTHORIZATION, assignment(&caller, &principal, GROUP_CONTRIBUTOR)).await;
    let own = std::mem::replace(&mut caller.token, token.clone());
    let got = caller.send(Method::DELETE, &format!("{}?api-version={COMPUTE}", machine_path("manager")), None).await;
    assert_eq!(got.refusal(), (403, "AuthorizationFailed"), "it may delete the group, and nothing in it by itself");
    caller.token = own;

    assert_eq!(delete_group(&mut caller, &token).await, (202, String::new()));
    caller.until("/resourceGroups/lab", RESOURCES, |got| got.status == 404).await;
    assert_eq!(caller.fake.resources(), Vec::<String>::new(), "the assignments go with their scope");
}
