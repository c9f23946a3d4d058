//! Archives that are none: images that are loaded or imported, and files that are copied into a container.

use axum::body::Body;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::drawing::{CASES, Drawing, check, check_refused, spoilt};
use super::scene::Scene;
use crate::busybox;
use crate::served::request;
use crate::test_image::{TestImage, archive};

/// The calls that take an archive.
const TAKERS: [&str; 3] = [
    "POST /images/load?quiet=1",
    "POST /images/create?fromSrc=-&repo=imported",
    "PUT /containers/run/archive?path=/tmp",
];

/// One entry, with a header that is spoilt before it is summed up.
fn entry(spoil: impl FnOnce(&mut Header), contents: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..4].copy_from_slice(b"file");
    header.set_entry_type(EntryType::Regular);
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    spoil(&mut header);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(contents);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

/// An entry of a kind, under a name, that points somewhere.
fn named(kind: EntryType, name: &[u8], target: &[u8]) -> Vec<u8> {
    entry(
        |header| {
            header.set_entry_type(kind);
            let header = header.as_gnu_mut().unwrap();
            header.name = [0; 100];
            header.name[..name.len()].copy_from_slice(name);
            header.linkname[..target.len()].copy_from_slice(target);
        },
        b"",
    )
}

/// What no reader of archives can take.
fn no_archives() -> Vec<Vec<u8>> {
    let (mut drawing, whole) = (Drawing::default(), TestImage::new("app", 1, &[("a", &[7; 2_000])]).archive(&["app"]));
    let mut bodies: Vec<Vec<u8>> = (0..CASES / 3).map(|_| [drawing.bytes(), vec![1; 600]].concat()).collect();
    // The last two blocks only say that it ends.
    bodies.extend((1..whole.len() - 1024).step_by(701).map(|end| whole[..end].to_vec()));
    bodies.extend([
        [b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), vec![0xff; 600]].concat(),
        [b"\x28\xb5\x2f\xfd".to_vec(), vec![0xff; 600]].concat(),
        [b"BZh9".to_vec(), vec![0xff; 600]].concat(),
        [b"\xfd7zXZ\0".to_vec(), vec![0xff; 600]].concat(),
        entry(|header| header.as_gnu_mut().unwrap().size = *b"77777777777\0", b""),
        entry(|header| header.as_gnu_mut().unwrap().size = *b"-0000000001\0", b""),
        entry(|header| header.as_gnu_mut().unwrap().size = *b"what??size?\0", b""),
        entry(|header| header.as_gnu_mut().unwrap().size = [0xff; 12], b""),
        entry(
            |header| {
                header.as_gnu_mut().unwrap().size = [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
            },
            b"",
        ),
        entry(|header| header.set_entry_type(EntryType::XHeader), b"xx path=a\n"),
    ]);
    bodies
}

/// What an archive may hold, and no reader should follow or make.
fn odd_archives() -> Vec<Vec<u8>> {
    let deep = format!("{}x", "a/".repeat(49));
    vec![
        named(EntryType::Regular, b"../../../../x", b""),
        named(EntryType::Regular, b"/etc/x", b""),
        named(EntryType::Regular, b"", b""),
        named(EntryType::Regular, b".", b""),
        named(EntryType::Regular, b"..", b""),
        named(EntryType::Regular, b"\xff\xfe", b""),
        named(EntryType::Regular, b"a//b/./c", b""),
        named(EntryType::Regular, deep.as_bytes(), b""),
        named(EntryType::Directory, b"a\nb", b""),
        named(EntryType::Link, b"hard", b"/etc/shadow"),
        named(EntryType::Link, b"hard", b"nothing"),
        named(EntryType::Link, b"hard", b""),
        named(EntryType::Symlink, b"soft", b""),
        named(EntryType::Symlink, b"soft", b"../../../.."),
        named(EntryType::Char, b"device", b""),
        named(EntryType::Fifo, b"pipe", b""),
        named(EntryType::Continuous, b"odd", b""),
        named(EntryType::new(b'Z'), b"odd", b""),
        entry(|header| header.as_gnu_mut().unwrap().mtime = [0xff; 12], b""),
        entry(|header| header.as_gnu_mut().unwrap().uid = [0xff; 8], b""),
        entry(|header| header.as_gnu_mut().unwrap().mode = *b"7777777\0", b""),
        entry(|header| header.as_gnu_mut().unwrap().mtime = *b"77777777777\0", b""),
        // A long name of nothing, and a length of nothing that is known.
        entry(|header| header.set_entry_type(EntryType::GNULongName), &[0xff; 9_000]),
        entry(|header| header.set_entry_type(EntryType::XHeader), b"99999999999999999999 path=a\n"),
        long_name(300),
        long_name(6_000),
    ]
}

fn long_name(length: usize) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    builder.append_data(&mut header, "x".repeat(length), &b""[..]).unwrap();
    builder.into_inner().unwrap()
}

/// Sends an archive; images that are made of it by chance go again.
async fn send(scene: &Scene, call: &str, body: Vec<u8>, what: &str, check: impl Fn(&crate::served::Answer, &str)) {
    let (method, path) = call.split_once(' ').unwrap();
    check(&scene.request(request(method, path, Body::from(body))).await, what);
    for image in scene.send("GET", "/images/json").await.json().as_array().unwrap() {
        if image["RepoTags"] != json!([busybox::BUSYBOX]) {
            let path = format!("/images/{}?force=1", image["Id"].as_str().unwrap());
            assert_eq!(scene.send("DELETE", &path).await.status.as_u16(), 200, "{what}");
        }
    }
}

#[tokio::test]
async fn what_is_no_archive_is_refused() {
    let scene = Scene::start().await;
    let before = scene.state().await;

    for call in TAKERS {
        for (at, body) in no_archives().into_iter().enumerate() {
            let what = format!("{call}: {at}: {:?}", &body[..body.len().min(64)]);
            send(&scene, call, body, &what, check_refused).await;
        }
    }

    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn odd_archives_are_refused_or_taken() {
    let scene = Scene::start().await;
    let before = scene.state().await;

    for call in TAKERS {
        for (at, body) in odd_archives().into_iter().enumerate() {
            send(&scene, call, body, &format!("{call}: {at}"), check).await;
        }
    }

    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn images_whose_documents_are_spoilt_are_refused_or_taken() {
    let scene = Scene::start().await;
    let before = scene.state().await;
    let layer = archive([("a", &b"1"[..])]);
    let manifest = json!([{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"], "Parent": ""}]);
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
        "created": "2024-01-01T00:00:00Z", "author": "a", "config": {"Cmd": ["x"], "Env": ["A=b"], "Labels": {"a": "b"}},
        "rootfs": {"type": "layers", "diff_ids": [image::Digest::of(&layer)]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "x", "empty_layer": false}],
    });
    let pack = |manifest: &Value, config: &Value| {
        let (manifest, config) = (manifest.to_string(), config.to_string());
        archive([("layer.tar", &layer[..]), ("config.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())])
    };

    for spoilt in spoilt(&manifest) {
        send(&scene, TAKERS[0], pack(&spoilt, &config), &spoilt.to_string(), check).await;
    }
    for spoilt in spoilt(&config) {
        send(&scene, TAKERS[0], pack(&manifest, &spoilt), &spoilt.to_string(), check).await;
    }
    let deep = "[".repeat(100_000);
    for name in ["manifest.json", "index.json", "oci-layout", "repositories"] {
        let body = archive([("oci-layout", &b"{\"imageLayoutVersion\":\"1.0.0\"}"[..]), (name, deep.as_bytes())]);
        send(&scene, TAKERS[0], body, name, check_refused).await;
    }

    assert_eq!(scene.state().await, before);
}
