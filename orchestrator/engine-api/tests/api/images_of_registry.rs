//! Images that come from a registry and go to it, over raw HTTP: Debian's registry, and ones that never answer or end.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::debian_registry::{DebianRegistry, PASSWORD, USER};
use crate::images::{lines, load};
use crate::memory::MemoryNode;
use crate::served::{Served, open, request};
use crate::test_image::TestImage;

fn has_status(lines: &[Value], status: &str) -> bool {
    lines.iter().any(|line| line["status"].as_str().is_some_and(|text| text.starts_with(status)))
}

/// A request by somebody whom the registry knows, or does not.
fn authorized(method: &str, path: &str, password: &str) -> Request<Body> {
    let header = json!({"username": USER, "password": password, "serveraddress": "x"}).to_string();
    let mut request = request(method, path, Body::empty());
    request.headers_mut().insert("x-registry-auth", URL_SAFE.encode(header).parse().unwrap());
    request
}

async fn remove_all(served: &Served) {
    served.send("POST", "/images/prune?filters=%7B%22dangling%22:[%22false%22]%7D").await;
    assert_eq!(served.send("GET", "/images/json").await.json(), json!([]));
}

fn actions(served: &Served) -> Vec<(String, String, String)> {
    let (past, _) = served.engine.events().subscribe();
    let told = past.iter().filter(|event| matches!(event.action.as_str(), "pull" | "push"));
    told.map(|event| (event.action.clone(), event.actor.id.clone(), event.actor.attributes["name"].clone())).collect()
}

#[tokio::test]
async fn what_is_pushed_is_resolved_and_pulled_by_tag_and_by_digest() {
    let (registry, served) = (DebianRegistry::start(false).await, Served::start(MemoryNode::inactive()).await);
    let name = format!("{}/team/app", registry.address);
    let tagged = format!("{name}:1");
    let image = TestImage::new("app", 1, &[("one", b"1"), ("two", b"2")]);
    load(&served, image.archive(&[&tagged])).await;

    let pushed = served.send("POST", &format!("/images/{name}/push?tag=1")).await;
    let resolved = served.send("GET", &format!("/distribution/{tagged}/json")).await.json();
    remove_all(&served).await;
    let pulled = served.send("POST", &format!("/images/create?fromImage={name}&tag=1")).await;
    let again = served.send("POST", &format!("/images/create?fromImage={tagged}")).await;
    let listed = served.send("GET", "/images/json").await.json();

    let digest = resolved["Descriptor"]["digest"].as_str().unwrap();
    let told = lines(&pushed);
    assert_eq!(told[0]["status"], format!("The push refers to repository [{name}]"));
    assert!(
        has_status(&told, "Pushed") && has_status(&told, &format!("1: digest: {digest} size: ")),
        "{}",
        pushed.body
    );
    let size = &resolved["Descriptor"]["size"];
    assert_eq!(told.last().unwrap()["aux"], json!({"Tag": "1", "Digest": digest, "Size": size}));
    assert_eq!(resolved["Platforms"][0]["os"], "linux");
    let told = lines(&pulled);
    assert_eq!(told[0], json!({"status": "Pulling from team/app", "progressDetail": {}, "id": "1"}));
    assert!(has_status(&told, "Pull complete") && has_status(&told, &format!("Digest: {digest}")), "{}", pulled.body);
    assert!(has_status(&told, &format!("Status: Downloaded newer image for {tagged}")), "{}", pulled.body);
    assert!(has_status(&lines(&again), &format!("Status: Image is up to date for {tagged}")), "{}", again.body);
    assert_eq!(listed[0]["Id"], image.id());
    assert_eq!(listed[0]["RepoDigests"], json!([format!("{name}@{digest}")]));

    remove_all(&served).await;
    served.send("POST", &format!("/images/create?fromImage={name}&tag={digest}")).await;
    let listed = served.send("GET", "/images/json").await.json();
    assert_eq!((&listed[0]["Id"], &listed[0]["RepoTags"]), (&json!(image.id()), &json!([])));
    let expected = [
        ("push", tagged.clone()),
        ("pull", tagged.clone()),
        ("pull", tagged.clone()),
        ("pull", format!("{name}@{digest}")),
    ];
    assert_eq!(actions(&served), expected.map(|(action, id)| (action.to_owned(), id, name.clone())));
}

#[tokio::test]
async fn all_tags_of_a_repository_are_pushed_where_none_is_named() {
    let (registry, served) = (DebianRegistry::start(false).await, Served::start(MemoryNode::inactive()).await);
    let name = format!("{}/app", registry.address);
    let image = TestImage::new("app", 1, &[("one", b"1")]);
    load(&served, image.archive(&[&format!("{name}:a"), &format!("{name}:b")])).await;

    let all = served.send("POST", &format!("/images/{name}/push")).await;
    let no_tag = served.send("POST", &format!("/images/{name}/push?tag=c")).await;
    let nothing = served.send("POST", &format!("/images/{}/other/push", registry.address)).await;

    assert!(has_status(&lines(&all), "a: digest: ") && has_status(&lines(&all), "b: digest: "), "{}", all.body);
    assert_eq!(no_tag.status, StatusCode::OK);
    assert_eq!(lines(&no_tag).last().unwrap()["error"], format!("tag does not exist: {name}:c"));
    let message = format!("An image does not exist locally with the tag: {}/other", registry.address);
    assert_eq!(lines(&nothing).last().unwrap()["errorDetail"], json!({ "message": message }));
}

#[tokio::test]
async fn a_closed_registry_opens_to_the_right_password_only() {
    let (registry, served) = (DebianRegistry::start(true).await, Served::start(MemoryNode::inactive()).await);
    let name = format!("{}/app", registry.address);
    let layers: [(&str, &[u8]); 4] = [("one", b"1"), ("two", b"2"), ("three", b"3"), ("four", b"4")];
    load(&served, TestImage::new("app", 1, &layers).archive(&[&name])).await;
    let (push, pull) =
        (format!("/images/{name}/push?tag=latest"), format!("/images/create?fromImage={name}&tag=latest"));
    let look = format!("/distribution/{name}/json");

    let refused = served.request(authorized("POST", &push, "guess")).await;
    let pushed = served.request(authorized("POST", &push, PASSWORD)).await;
    let stranger = served.send("POST", &pull).await.refusal();
    let pulled = served.request(authorized("POST", &pull, PASSWORD)).await;
    let hidden = served.send("GET", &format!("/distribution/{name}:2/json")).await.refusal();
    let shown = served.request(authorized("GET", &look, PASSWORD)).await;

    let error = lines(&refused).last().unwrap()["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with(&format!("push access denied for {name}")), "{error}");
    assert!(lines(&pushed).last().unwrap()["aux"]["Digest"].is_string(), "{}", pushed.body);
    assert!(stranger.0 == 404 && stranger.1.starts_with(&format!("pull access denied for {name}")), "{stranger:?}");
    assert!(has_status(&lines(&pulled), "Status: "), "{}", pulled.body);
    assert_eq!((hidden.0, shown.status.as_u16()), (403, 200));
}

#[tokio::test]
async fn what_no_registry_has_means_what_it_means_here() {
    let (registry, served) = (DebianRegistry::start(false).await, Served::start(MemoryNode::inactive()).await);
    let unknown = format!("{}/app:1", registry.address);
    // Nobody listens on the discard port.
    let unreachable = "127.0.0.1:9/app:1";
    // Connections are taken by the kernel, and nobody ever answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("{}/app:1", listener.local_addr().unwrap());
    load(&served, TestImage::new("app", 1, &[("one", b"1")]).archive(&[&unknown, unreachable, &silent])).await;

    for name in [&unknown, unreachable, &silent] {
        let path = format!("/distribution/{name}/json");
        // A third of what a registry may be silent for.
        let resolved = tokio::time::timeout(Duration::from_secs(10), served.send("GET", &path)).await.unwrap().json();
        let digest = resolved["Descriptor"]["digest"].as_str().unwrap();
        let here = served.engine.images().store().find(name).unwrap();
        assert_eq!(digest, here.manifest.digest.to_string());
        assert_eq!(resolved["Platforms"][0]["os"], "linux");
    }
    let nowhere = served.send("GET", "/distribution/127.0.0.1:9/app:2/json").await.refusal();
    assert_eq!(nowhere.0, 500);
}

#[tokio::test]
async fn a_registry_is_asked_whether_it_lets_somebody_in() {
    let (open, closed) = (DebianRegistry::start(false).await, DebianRegistry::start(true).await);
    let served = Served::start(MemoryNode::inactive()).await;
    let login = async |address: &str, password: &str| {
        served.post("/auth", &json!({"username": USER, "password": password, "serveraddress": address})).await
    };

    let right = login(&closed.address, PASSWORD).await;
    let wrong = login(&closed.address, "guess").await.refusal();
    let anybody = login(&format!("http://{}/v2/", open.address), "guess").await;
    let nowhere = login("registry", PASSWORD).await.refusal();
    let malformed = served.post("/auth", &json!({"username": 1})).await.refusal();

    assert_eq!(right.json(), json!({"Status": "Login Succeeded", "IdentityToken": ""}));
    assert!(wrong.0 == 401 && wrong.1.starts_with("login attempt to 127.0.0.1:"), "{wrong:?}");
    assert_eq!((anybody.status.as_u16(), nowhere.0, malformed.0), (200, 400, 400));
}

#[tokio::test]
async fn what_cannot_be_pulled_is_refused_with_a_status_and_a_message() {
    let (registry, served) = (DebianRegistry::start(false).await, Served::start(MemoryNode::inactive()).await);
    let name = format!("{}/none:1", registry.address);
    let with_auth = async |text: &str| {
        let mut odd = request("POST", &format!("/images/create?fromImage={name}"), Body::empty());
        odd.headers_mut().insert("x-registry-auth", text.parse().unwrap());
        served.request(odd).await.refusal()
    };

    let missing = served.send("POST", &format!("/images/create?fromImage={name}")).await.refusal();
    let unknown = served.send("GET", &format!("/distribution/{name}/json")).await.refusal();
    let (odd, long) = (with_auth("!!").await, with_auth(&"A".repeat(70 << 10)).await);
    let platform = served.send("POST", &format!("/images/create?fromImage={name}&platform=foo")).await.refusal();

    let message = format!("manifest for {name} not found: manifest unknown: manifest unknown");
    let missing_too = (404, message);
    assert_eq!([&missing, &unknown, &odd, &long], [&missing_too; 4]);
    let words = "failed to parse platform: \"foo\": unknown operating system or architecture: invalid argument";
    assert_eq!(platform, (400, words.to_owned()));
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_pull_along() {
    let served = Served::start(MemoryNode::inactive()).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let path = format!("/images/create?fromImage={}/app:1", silent.local_addr().unwrap());
    let socket = served.socket();

    let mut client = JoinSet::new();
    client.spawn(async move { drop(open(&socket, request("POST", &path, Body::empty())).await) });
    let (mut connection, _) = silent.accept().await.unwrap();
    connection.read_u8().await.expect("the registry is asked");
    client.shutdown().await;

    let ended = tokio::time::timeout(crate::served::PATIENCE, connection.read_to_end(&mut Vec::new())).await;
    ended.expect("the pull goes on").unwrap();
}

/// A registry that has one image and never ends its last layer.
async fn unending_registry(image: &TestImage) -> (String, JoinSet<()>) {
    let (manifest, blobs) = image.manifest_and_blobs();
    let last = blobs.last().unwrap().0.clone();
    let blobs: BTreeMap<_, _> = blobs.into_iter().collect();
    let blob = move |Path(digest): Path<String>| async move {
        if digest == last {
            Body::from_stream(stream::pending::<std::io::Result<Bytes>>())
        } else {
            Body::from(blobs[&digest].clone())
        }
    };
    let routes = Router::new()
        .route("/v2/", get(async || ()))
        .route("/v2/app/manifests/1", get(async || manifest))
        .route("/v2/app/blobs/{digest}", get(blob));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut server = JoinSet::new();
    server.spawn(async { axum::serve(listener, routes).await.unwrap() });
    (address, server)
}

#[tokio::test]
async fn what_a_pull_has_brought_goes_when_it_is_given_up() {
    let served = Served::start(MemoryNode::inactive()).await;
    let image = TestImage::new("half", 1, &[("one", b"1"), ("two", b"2")]);
    let (address, _server) = unending_registry(&image).await;
    let (blobs, layers) =
        (served.folder.path().join("engine/images/blobs/sha256"), served.folder.path().join("engine/images/layers"));
    let count = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().count();
    let path = format!("/images/create?fromImage={address}/app&tag=1");

    let (answer, connection) = open(&served.socket(), request("POST", &path, Body::empty())).await;
    let (mut body, mut text) = (answer.into_body(), String::new());
    while !text.contains("Pull complete") {
        let piece = tokio::time::timeout(crate::served::PATIENCE, body.frame()).await.expect("nothing comes");
        text.push_str(std::str::from_utf8(&piece.unwrap().unwrap().into_data().unwrap()).unwrap());
    }
    let before = (count(&blobs), count(&layers));
    drop((body, connection));

    let ended = async {
        while count(&blobs) + count(&layers) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::served::PATIENCE, ended).await.expect("it stays");
    assert_eq!(before, (3, 1));
}
