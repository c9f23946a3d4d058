//! Registries that are down, slow or broken, that lie, and that send what nobody should unpack.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use futures_util::StreamExt as _;
use image::{
    Credentials, Digest, ImageError, ImageStore, Platform, Pulled, Reference, RegistryClient, RegistryError,
    RegistrySettings, Silent, UnpackLimits,
};
use serde_json::json;

use crate::archives::save;
use crate::fake_registry::{Asked, FakeRegistry, broken_off, honest};
use crate::fixture::{TestImage, archive, body, escaping_layer, files_below, gzipped, open};

/// Patience for tests: what takes longer than a loaded machine needs is a stall.
fn settings() -> RegistrySettings {
    RegistrySettings { stall: Duration::from_secs(2), attempts: 3, ..RegistrySettings::default() }
}

async fn pull_with(
    store: &ImageStore,
    name: &Reference,
    platform: Option<&str>,
    credentials: &Credentials,
) -> Result<Pulled, ImageError> {
    let platform: Option<Platform> = platform.map(|platform| platform.parse().unwrap());
    let client = RegistryClient::new(settings()).unwrap();
    client.pull(store, name, platform.as_ref(), credentials, Arc::new(Silent)).await
}

async fn pull(store: &ImageStore, name: &Reference) -> Result<Pulled, ImageError> {
    pull_with(store, name, None, &Credentials::default()).await
}

/// A layer that no compression makes small.
fn large_image() -> TestImage {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    let noise: Vec<u8> = std::iter::repeat_with(&mut next).take(3_000_000).collect();
    TestImage::of("large", &[archive([("noise", &noise[..])])], gzipped)
}

fn escape_image() -> TestImage {
    TestImage::of("escape", &[escaping_layer()], gzipped)
}

fn small_image() -> TestImage {
    TestImage::new("small", &[("a", "1"), ("b", "2")])
}

fn is_layer(image: &TestImage, asked: &Asked) -> bool {
    image.layers.iter().any(|layer| asked.path.ends_with(&Digest::of(layer).to_string()))
}

/// The pull fails with what is expected, and leaves nothing.
async fn assert_fails(name: &Reference, limits: UnpackLimits, is_expected: impl Fn(&ImageError) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore::open(folder.path(), Vec::new(), limits).await.unwrap();

    let error = pull(&store, name).await.unwrap_err();

    assert!(is_expected(&error), "{error:?}");
    assert_eq!(store.list(), []);
    assert_nothing_left(folder.path()).await;
}

/// What was in the making is removed by the thread that made it, perhaps a moment after the answer.
pub(crate) async fn assert_nothing_left(folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !files_below(folder).is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(files_below(folder), Vec::<String>::new());
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    let image = large_image();
    let layer = image.layers[0].clone();
    let copy = image.clone();
    let registry = FakeRegistry::start(image.clone(), move |asked| {
        // A megabyte and more each time; servers break off often.
        let start = 1_200_000 * asked.before;
        (is_layer(&copy, asked) && asked.before < 2).then(|| {
            let mut response = broken_off(&layer[start..start + 1_200_000]);
            if asked.before > 0 {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = format!("bytes {start}-{}/{}", layer.len() - 1, layer.len());
                response.headers_mut().insert(header::CONTENT_RANGE, range.parse().unwrap());
            }
            response
        })
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;

    let pulled = pull(&store, &registry.name()).await.unwrap();

    assert_eq!(pulled.id, image.id());
    let asked = registry.asked(&Digest::of(&image.layers[0]).to_string());
    let ranges: Vec<_> = asked.iter().map(|asked| asked.headers.get(header::RANGE).cloned()).collect();
    assert_eq!(ranges.len(), 3);
    assert!(ranges[0].is_none() && ranges[1].is_some() && ranges[2].is_some(), "{ranges:?}");
}

#[tokio::test]
async fn a_server_without_ranges_begins_again() {
    let image = large_image();
    let (copy, layer) = (image.clone(), image.layers[0].clone());
    let registry = FakeRegistry::start(image.clone(), move |asked| {
        is_layer(&copy, asked).then(|| match asked.before {
            0 => broken_off(&layer[..1_200_000]),
            _ => layer.clone().into_response(),
        })
    })
    .await;
    let folder = tempfile::tempdir().unwrap();

    let pulled = pull(&open(folder.path()).await, &registry.name()).await.unwrap();

    assert_eq!(pulled.id, image.id());
}

#[tokio::test]
async fn a_server_that_fails_for_a_while_is_asked_again() {
    let image = small_image();
    let registry = FakeRegistry::start(image.clone(), |asked| {
        (asked.path != "/v2/" && asked.before < 2).then(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    })
    .await;
    let folder = tempfile::tempdir().unwrap();

    let pulled = pull(&open(folder.path()).await, &registry.name()).await.unwrap();

    assert_eq!(pulled.id, image.id());
    assert_eq!(registry.asked("/manifests/").len(), 3);
}

#[tokio::test]
async fn a_server_that_fails_for_ever_is_given_up() {
    let down = |asked: &Asked| (asked.path != "/v2/").then(|| StatusCode::BAD_GATEWAY.into_response());
    let registry = FakeRegistry::start(small_image(), down).await;

    let is_busy = |error: &ImageError| matches!(error, ImageError::Registry(RegistryError::Busy { .. }));
    assert_fails(&registry.name(), UnpackLimits::default(), is_busy).await;

    assert_eq!(registry.asked("/manifests/").len(), 3);
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let name = format!("{free}/app:1").parse().unwrap();

    let is_down = |error: &ImageError| matches!(error, ImageError::Registry(RegistryError::Unreachable { .. }));
    assert_fails(&name, UnpackLimits::default(), is_down).await;
}

#[tokio::test]
async fn silence_and_single_bytes_are_stalls() {
    let image = large_image();
    let copy = image.clone();
    let silent = FakeRegistry::start(image.clone(), move |asked| {
        let nothing = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        is_layer(&copy, asked).then(|| Body::from_stream(nothing).into_response())
    })
    .await;
    let copy = image.clone();
    let dripping = FakeRegistry::start(image, move |asked| {
        let drops = futures_util::stream::repeat(0u8).then(|byte| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok::<_, std::io::Error>(Bytes::copy_from_slice(&[byte]))
        });
        is_layer(&copy, asked).then(|| Body::from_stream(drops).into_response())
    })
    .await;
    let is_stall = |error: &ImageError| matches!(error, ImageError::Registry(RegistryError::Stalled { .. }));

    let (one, two) = (silent.name(), dripping.name());
    tokio::join!(
        assert_fails(&one, UnpackLimits::default(), is_stall),
        assert_fails(&two, UnpackLimits::default(), is_stall)
    );
}

#[tokio::test]
async fn lies_are_called_lies() {
    let image = small_image();
    let poison = gzipped(&archive([("a", &b"poison"[..])]));
    let same_length = vec![0; image.layers[0].len()];
    let too_long = [image.layers[0].clone(), poison.clone()].concat();
    let cases: [(&str, Vec<u8>); 2] = [("another layer", same_length), ("more than it says", too_long)];
    let is_lie = |error: &ImageError| matches!(error, ImageError::Registry(RegistryError::Lies { .. }));
    for (case, bytes) in cases {
        let copy = image.clone();
        let answer = move |asked: &Asked| is_layer(&copy, asked).then(|| bytes.clone().into_response());
        let registry = FakeRegistry::start(image.clone(), answer).await;

        assert_fails(&registry.name(), UnpackLimits::default(), is_lie).await;
        assert!(registry.asked("/blobs/").len() < 8, "{case} is asked for again and again");
    }
    let config = Digest::of(&image.config).to_string();
    let other_config = move |asked: &Asked| asked.path.ends_with(&config).then(|| "{}".into_response());
    let registry = FakeRegistry::start(image.clone(), other_config).await;
    assert_fails(&registry.name(), UnpackLimits::default(), is_lie).await;

    let copy = image.clone();
    let registry = FakeRegistry::start(image.clone(), move |asked| {
        let mut response = honest(&copy, asked);
        response.headers_mut().insert("docker-content-digest", Digest::of(b"x").to_string().parse().unwrap());
        asked.path.contains("/manifests/").then_some(response)
    })
    .await;
    assert_fails(&registry.name(), UnpackLimits::default(), is_lie).await;
    let by_digest = registry.name().at(Digest::of(b"y"));
    assert_fails(&by_digest, UnpackLimits::default(), is_lie).await;
}

#[tokio::test]
async fn what_is_too_long_to_be_a_manifest_is_not_read() {
    let registry = FakeRegistry::start(small_image(), |asked| {
        let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 16])));
        asked.path.contains("/manifests/").then(|| Body::from_stream(endless).into_response())
    })
    .await;

    let is_nonsense = |error: &ImageError| matches!(error, ImageError::Registry(RegistryError::Nonsense { .. }));
    assert_fails(&registry.name(), UnpackLimits::default(), is_nonsense).await;
}

#[tokio::test]
async fn bombs_escapes_and_contradictions_unpack_nothing() {
    let bomb = TestImage::of("bomb", &[archive([("zeros", &vec![0; 8 << 20][..])])], gzipped);
    let mut wrong_diff = small_image();
    wrong_diff.layers[1] = gzipped(&archive([("b", &b"not this"[..])]));
    let mut no_archive = small_image();
    no_archive.layers[0] = b"neither packed nor an archive".to_vec();
    let limits = UnpackLimits { bytes: 1 << 20, ..UnpackLimits::default() };
    let cases = [
        (bomb, "the layer is too large: more than 1048576 bytes"),
        (wrong_diff, "the layer unpacks to"),
        (no_archive, "the layer is no archive that can be unpacked"),
        (escape_image(), "the layer has an entry `../outside` that leads out of where it is unpacked"),
    ];
    for (image, expected) in cases {
        let registry = FakeRegistry::start(image, |_| None).await;

        let is_expected = |error: &ImageError| matches!(error, ImageError::Layer { source, .. } if source.to_string().starts_with(expected));
        assert_fails(&registry.name(), limits, is_expected).await;
    }
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_any_more_leaves_nothing() {
    let image =
        TestImage::of("many", &[0, 1, 2, 3, 4].map(|n| archive([(format!("f{n}").as_str(), &[n][..])])), gzipped);
    let last = Digest::of(&image.layers[4]).to_string();
    let registry = FakeRegistry::start(image, move |asked| {
        let nothing = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        asked.path.ends_with(&last).then(|| Body::from_stream(nothing).into_response())
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let layers = folder.path().join("layers");

    let name = registry.name();
    let pulling = pull(&store, &name);
    let some_are_there = async {
        while std::fs::read_dir(&layers).unwrap().count() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        outcome = pulling => panic!("the last layer never comes: {outcome:?}"),
        () = some_are_there => {}
    }

    assert_nothing_left(folder.path()).await;
}

#[tokio::test]
async fn two_pulls_of_one_image_share_the_downloads() {
    let image = large_image();
    let registry = FakeRegistry::start(image.clone(), |_| None).await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let name = registry.name();

    let (one, two) = tokio::join!(pull(&store, &name), pull(&store, &name));

    assert_eq!((one.unwrap().id, two.unwrap().id), (image.id(), image.id()));
    assert_eq!(registry.asked(&Digest::of(&image.layers[0]).to_string()).len(), 1);
}

#[tokio::test]
async fn tokens_are_got_where_the_registry_says_and_shown_to_it_alone() {
    let image = small_image();
    let copy = image.clone();
    let elsewhere = FakeRegistry::start(image.clone(), |_| None).await;
    let other = elsewhere.address.clone();
    let registry = FakeRegistry::start(image.clone(), move |asked| {
        let has = |value: &str| asked.headers.get(header::AUTHORIZATION).is_some_and(|found| found == value);
        if asked.path == "/token" {
            let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("me:secret"));
            return Some(if has(&basic) {
                json!({"token": "t0ken"}).to_string().into_response()
            } else {
                StatusCode::UNAUTHORIZED.into_response()
            });
        }
        if asked.path != "/v2/" && !has("Bearer t0ken") {
            let host = asked.headers[header::HOST].to_str().unwrap();
            let challenge = format!(r#"Bearer realm="http://{host}/token",service="s",scope="x""#);
            return Some((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response());
        }
        let target = format!("http://{other}{}", asked.path);
        is_layer(&copy, asked).then(|| (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response())
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let me = Credentials { username: "me".into(), password: model::Secret::new("secret"), ..Credentials::default() };

    let denied = pull(&store, &registry.name()).await.unwrap_err();
    let pulled = pull_with(&store, &registry.name(), None, &me).await.unwrap();

    assert!(matches!(denied, ImageError::Registry(RegistryError::Denied { .. })), "{denied:?}");
    assert_eq!(pulled.id, image.id());
    assert_eq!(registry.asked("/token")[1].query, "scope=repository%3Aapp%3Apull&service=s");
    let blobs = elsewhere.asked("/blobs/");
    assert_eq!(blobs.len(), 2);
    assert!(blobs.iter().all(|asked| !asked.headers.contains_key(header::AUTHORIZATION)));
}

#[tokio::test]
async fn the_image_for_the_machine_is_chosen_and_others_are_named() {
    let image = small_image();
    let manifest = image.manifest();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let index = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": kind, "digest": Digest::of(b"x"), "size": 1, "platform": {"os": "linux", "architecture": "s390x"}},
        {"mediaType": kind, "digest": Digest::of(&manifest), "size": manifest.len(),
            "platform": {"os": "linux", "architecture": architecture}},
    ]});
    let index = index.to_string();
    let digest = Digest::of(index.as_bytes());
    let answer = move |asked: &Asked| -> Option<Response> {
        let kind = [(header::CONTENT_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json")];
        asked.path.ends_with("/manifests/1").then(|| (kind, index.clone()).into_response())
    };
    let registry = FakeRegistry::start(image.clone(), answer).await;
    let single = FakeRegistry::start(image.clone(), |_| None).await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let nobody = Credentials::default();
    let client = RegistryClient::new(settings()).unwrap();

    let none = pull_with(&store, &registry.name(), Some("linux/mips64le"), &nobody).await.unwrap_err();
    let other = pull_with(&store, &single.name(), Some("linux/s390x"), &nobody).await.unwrap_err();
    let pulled = pull(&store, &registry.name()).await.unwrap();
    let resolved = client.resolve(&registry.name(), &nobody).await.unwrap();

    assert!(matches!(none, ImageError::Manifest { .. }), "{none:?}");
    assert!(matches!(other, ImageError::Registry(RegistryError::OtherPlatform { .. })), "{other:?}");
    assert_eq!((pulled.id, pulled.digest), (image.id(), digest));
    assert_eq!((resolved.descriptor.digest, resolved.platforms.len()), (digest, 2));
    assert!(store.blob(digest).await.unwrap().is_some());
    assert!(store.blob(Digest::of(b"x")).await.unwrap().is_none());
    // Another node, which knows the image by its index only, can have it from this one.
    let by_index = registry.name().at(digest).to_string();
    let (folder, saved) = (tempfile::tempdir().unwrap(), save(&store, &[&by_index]).await);
    let other = open(folder.path()).await;
    other.load(body(&saved)).await.unwrap();
    assert_eq!(other.find(&by_index).unwrap().id, image.id());
}
