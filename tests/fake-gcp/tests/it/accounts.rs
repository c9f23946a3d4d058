//! Service accounts of instances, and what these do by them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use fake_gcp::{NetworkSetting, Settings};
use serde_json::{Value, json};

use crate::caller::{BULK, Caller, bulk, reason};

const COMPUTE: &str = "https://www.googleapis.com/auth/compute";

/// A caller of a fake whose instances are on loopback, so that a test can ask from their addresses.
async fn caller() -> Caller {
    let network =
        NetworkSetting { name: "lab".to_owned(), region: "us-central1".to_owned(), prefix: "127.77.1.0/24".to_owned() };
    let metadata_server = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    Caller::with(Settings { metadata_server, networks: vec![network], ..Settings::default() }).await
}

/// Instances on that network with service accounts.
fn with_accounts(names: &[&str], accounts: &Value) -> Value {
    let mut body = bulk(names);
    body["instanceProperties"]["networkInterfaces"] =
        json!([{ "network": "global/networks/lab", "subnetwork": "regions/us-central1/subnetworks/lab" }]);
    body["instanceProperties"]["serviceAccounts"] = accounts.clone();
    body
}

fn address(caller: &Caller, name: &str) -> IpAddr {
    let found = caller.fake.machines().into_iter().find(|machine| machine.name == name);
    IpAddr::V4(found.unwrap().private_address)
}

/// What an instance is answered by its metadata server.
async fn ask(caller: &Caller, from: IpAddr, path: &str, has_header: bool) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().local_address(from).build().unwrap();
    let mut request = http.get(format!("http://{}/computeMetadata/v1/{path}", caller.fake.metadata_server().unwrap()));
    if has_header {
        request = request.header("Metadata-Flavor", "Google");
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

const TOKEN: &str = "instance/service-accounts/default/token";

/// A driver that misspells the account, or gives it no scope.
#[tokio::test]
async fn an_instance_has_one_account_that_exists_with_a_scope() {
    let caller = caller().await;

    for accounts in [
        json!([{ "email": "nobody@x.iam.gserviceaccount.com", "scopes": [COMPUTE] }]),
        json!([{ "email": "default", "scopes": [] }]),
        json!([{ "email": "default", "scopes": [COMPUTE] }, { "email": "default", "scopes": [COMPUTE] }]),
        json!([{ "email": "default", "scope": COMPUTE }]),
    ] {
        let reply = caller.post(BULK, with_accounts(&["a"], &accounts)).await;
        assert_eq!((reply.0, reason(&reply)), (400, "invalid".to_owned()), "{accounts}");
    }
}

/// A driver that does not tell a user who may not give the account away.
#[tokio::test]
async fn an_account_is_given_by_who_may_act_as_it() {
    let caller = Caller::with(Settings { may_act_as: false, ..Settings::default() }).await;
    let mut body = bulk(&["a"]);
    body["instanceProperties"]["serviceAccounts"] = json!([{ "email": "default", "scopes": [COMPUTE] }]);

    let reply = caller.post(BULK, body).await;

    assert_eq!((reply.0, reason(&reply)), (400, "SERVICE_ACCOUNT_ACCESS_DENIED".to_owned()));
    caller.machines(&["b"]).await;
}

/// A program on an instance that forgets the header, or expects an account where there is none.
#[tokio::test]
async fn the_metadata_server_tells_instances_what_is_theirs() {
    let caller = caller().await;
    caller
        .done(caller.post(BULK, with_accounts(&["a"], &json!([{ "email": "default", "scopes": [COMPUTE] }]))).await)
        .await;
    caller.done(caller.post(BULK, with_accounts(&["b"], &json!([]))).await).await;
    let (manager, worker) = (address(&caller, "a"), address(&caller, "b"));

    assert_eq!(ask(&caller, worker, "project/project-id", true).await, (200, "fake-project".to_owned()));
    assert_eq!(ask(&caller, worker, "instance/name", true).await, (200, "b".to_owned()));
    let zone = "projects/1234567890/zones/us-central1-a".to_owned();
    assert_eq!(ask(&caller, worker, "instance/zone", true).await, (200, zone));
    assert_eq!(ask(&caller, worker, "instance/zone", false).await.0, 403);
    assert_eq!(ask(&caller, Ipv4Addr::LOCALHOST.into(), "instance/name", true).await.0, 404);
    assert_eq!(ask(&caller, worker, TOKEN, true).await.0, 404);
    assert_eq!(ask(&caller, manager, TOKEN, true).await.0, 200);
}

/// A driver that asks for a scope that does not hold Compute Engine.
#[tokio::test]
async fn an_instance_deletes_instances_within_its_scope_and_nothing_else() {
    let mut caller = caller().await;
    let read_only = "https://www.googleapis.com/auth/compute.readonly";
    for (name, scope) in [("a", COMPUTE), ("b", read_only)] {
        let accounts = json!([{ "email": "default", "scopes": [scope] }]);
        caller.done(caller.post(BULK, with_accounts(&[name], &accounts)).await).await;
    }
    let token = async |caller: &Caller, name| {
        let (_, text) = ask(caller, address(caller, name), TOKEN, true).await;
        let token: Value = serde_json::from_str(&text).unwrap();
        token["access_token"].as_str().unwrap().to_owned()
    };
    let (of_a, of_b) = (token(&caller, "a").await, token(&caller, "b").await);

    caller.use_token(&of_b);
    let reply = caller.delete("zones/us-central1-a/instances/a").await;
    assert_eq!((reply.0, reason(&reply)), (403, "insufficientPermissions".to_owned()));
    caller.use_token(&of_a);
    let reply = caller.get("global/firewalls").await;
    assert_eq!((reply.0, reason(&reply)), (403, "forbidden".to_owned()));
    assert_eq!(caller.get("aggregated/instances").await.0, 200);
    assert_eq!(caller.delete("zones/us-central1-a/instances/b").await.0, 200);
}
