//! Files in and out of containers, over raw HTTP.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tar::{Archive, Builder, EntryType, Header};

use super::lab::{Lab, next_event, script, sleeper};
use crate::served::{PATIENCE, open, request};

/// An archive of entries: path, kind, mode, contents or the target of a link.
fn archive(entries: &[(&str, EntryType, u32, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, mode, text) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(12);
        header.set_gid(34);
        header.set_mtime(1_600_000_000);
        let is_file = *kind == EntryType::Regular;
        header.set_size(if is_file { text.len() as u64 } else { 0 });
        // Written as they are: what a client that means harm sends.
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        if !is_file {
            gnu.linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, if is_file { text.as_bytes() } else { b"" }).unwrap();
    }
    builder.into_inner().unwrap()
}

async fn put(lab: &Lab, query: &str, body: Vec<u8>) -> crate::served::Answer {
    lab.request(request("PUT", &format!("/containers/one/archive?{query}"), Body::from(body))).await
}

async fn body_of(body: Incoming) -> Result<Bytes, String> {
    let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the archive ends");
    body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
}

/// What lies at a path: names and contents.
async fn get(lab: &Lab, path: &str) -> BTreeMap<String, String> {
    let asked = request("GET", &format!("/containers/one/archive?path={path}"), Body::empty());
    let (answer, _connection) = open(&lab.socket(), asked).await;
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    let bytes = body_of(answer.into_body()).await.unwrap();
    let mut files = BTreeMap::new();
    for entry in Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut text =
            entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned()).unwrap_or_default();
        entry.read_to_string(&mut text).unwrap();
        files.insert(name, text);
    }
    files
}

async fn stat(lab: &Lab, path: &str) -> Value {
    let answer = lab.expect("HEAD", &format!("/containers/one/archive?path={path}"), 200).await;
    let text = STANDARD.decode(answer.headers["x-docker-container-path-stat"].as_bytes()).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// What a program in the container sees.
async fn seen(lab: &Lab, text: &str) -> String {
    let body = json!({"Cmd": ["sh", "-c", text], "AttachStdout": true, "AttachStderr": true});
    let id = lab.post("/containers/one/exec", &body).await.json()["Id"].as_str().unwrap().to_owned();
    let [_, stdout, stderr, _] = lab.hijack(&format!("/exec/{id}/start"), "{}").await.frames().await;
    stdout + &stderr
}

#[tokio::test]
async fn files_go_into_a_container_that_runs_and_come_out_again() {
    let lab = Lab::start().await;
    lab.run("one", sleeper()).await;
    let mut events = lab.events();
    let files = archive(&[
        ("folder/", EntryType::Directory, 0o750, ""),
        ("folder/file", EntryType::Regular, 0o4711, "text\n"),
        ("folder/link", EntryType::Symlink, 0o777, "file"),
        ("folder/deep/er/file", EntryType::Regular, 0o600, "deep"),
        ("folder/same", EntryType::Link, 0o600, "folder/file"),
    ]);

    let copied = put(&lab, "path=/tmp", files).await;
    let text = "cat /tmp/folder/link; stat -c '%a %u %g %h %Y' /tmp/folder/file; stat -c '%a %u %g %Y' /tmp/folder";
    let inside = seen(&lab, text).await;
    let out = get(&lab, "/tmp/folder").await;
    let contents = get(&lab, "/tmp/folder/.").await;
    let one = get(&lab, "/tmp/folder/file").await;

    assert_eq!((copied.status.as_u16(), copied.body.as_str()), (200, ""));
    assert_eq!(inside, "text\n4711 12 34 2 1600000000\n750 12 34 1600000000\n");
    let expected = [
        ("folder/", ""),
        ("folder/file", "text\n"),
        ("folder/link", "file"),
        ("folder/deep/", ""),
        ("folder/deep/er/", ""),
        ("folder/deep/er/file", "deep"),
        ("folder/same", "folder/file"),
    ];
    assert_eq!(out, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    assert_eq!(contents.keys().next().unwrap(), "./");
    assert_eq!(contents["./deep/er/file"], "deep");
    assert_eq!(one, BTreeMap::from([("file".to_owned(), "text\n".to_owned())]));
    next_event(&mut events, "extract-to-dir").await;
    next_event(&mut events, "archive-path").await;
}

#[tokio::test]
async fn a_container_that_never_ran_has_files_and_volumes_too() {
    let lab = Lab::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ours"), "of the host").unwrap();
    let mut wanted = script("cat /etc/new /kept/new");
    let mounts = [format!("{}:/host:ro", folder.path().display()), "kept:/kept".to_owned()];
    wanted.host_config.binds = Some(mounts.to_vec());
    lab.create("one", wanted).await;
    let file = |text| archive(&[("new", EntryType::Regular, 0o644, text)]);

    assert_eq!(put(&lab, "path=/etc", file("1\n")).await.status.as_u16(), 200);
    assert_eq!(put(&lab, "path=/kept", file("2\n")).await.status.as_u16(), 200);
    let refused = put(&lab, "path=/host", file("3")).await.refusal();
    let host = get(&lab, "/host/ours").await;
    let volume = lab.engine.containers().volumes().find("kept").unwrap();
    lab.engine.containers().start("one").await.unwrap();

    assert_eq!(lab.wait("one").await, 0);
    assert_eq!(std::fs::read_to_string(volume.path.join("new")).unwrap(), "2\n");
    assert_eq!((refused.0, refused.1.contains("read-only")), (403, true), "{refused:?}");
    assert_eq!(host["ours"], "of the host");
    assert_eq!(get(&lab, "/etc/new").await["new"], "1\n");
    lab.engine.containers().remove("one", false, true).await.unwrap();
    assert!(!mounted(&lab));
}

/// Whether anything is mounted for containers of the engine.
fn mounted(lab: &Lab) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .any(|place| Path::new(place).starts_with(lab.folder.path()))
}

#[tokio::test]
async fn the_root_is_unmounted_once_nobody_reads_it() {
    let lab = Lab::start().await;
    lab.create("one", sleeper()).await;

    assert_eq!(stat(&lab, "/etc").await["name"], "etc");

    let unmounted = async {
        while mounted(&lab) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, unmounted).await.expect("the root stays mounted");
}

#[tokio::test]
async fn what_lies_at_a_path_is_told_in_gos_words() {
    let lab = Lab::start().await;
    lab.create("one", sleeper()).await;
    let links = archive(&[
        ("inside", EntryType::Symlink, 0o777, "../etc/./passwd"),
        ("out", EntryType::Symlink, 0o777, "../../../../etc"),
        ("nowhere", EntryType::Symlink, 0o777, "a/../b"),
    ]);
    assert_eq!(put(&lab, "path=/tmp", links).await.status.as_u16(), 200);
    let check = async |path: &str, name: &str, mode: u64, target: &str| {
        let stat = stat(&lab, path).await;
        assert_eq!((&stat["name"], &stat["mode"], &stat["linkTarget"]), (&json!(name), &json!(mode), &json!(target)));
    };

    check("/etc/passwd", "passwd", 0o644, "").await;
    check("/", "/", 0x8000_01ed, "").await;
    check("/etc/", "etc", 0x8000_01ed, "").await;
    check("/etc/.", ".", 0x8000_01ed, "").await;
    check("/tmp/inside", "inside", 0x0800_01ff, "/etc/passwd").await;
    check("/tmp/out", "out", 0x0800_01ff, "/etc").await;
    check("/tmp/out/", "out", 0x8000_01ed, "").await;
    check("/tmp/nowhere", "nowhere", 0x0800_01ff, "/tmp/b").await;
    assert_eq!(stat(&lab, "/etc/passwd").await["mtime"], "2020-09-13T12:26:40Z");
    let missing = lab.send("GET", "/containers/one/archive?path=/no/thing").await.refusal();
    assert_eq!(missing, (404, "Could not find the file /no/thing in container one".to_owned()));
    assert_eq!(lab.send("GET", "/containers/one/archive").await.refusal(), (400, "bad parameter: path".to_owned()));
    assert_eq!(lab.send("HEAD", "/containers/none/archive?path=/").await.status.as_u16(), 404);
    let file = lab.send("GET", "/containers/one/archive?path=/etc/passwd/").await.refusal();
    assert_eq!(file.0, 400, "{file:?}");
}

#[tokio::test]
async fn no_link_leads_out_of_a_container() {
    let lab = Lab::start().await;
    lab.create("one", sleeper()).await;
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().display().to_string();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    let up = format!("../../../../../../../../../..{path}");
    let links = archive(&[
        ("absolute", EntryType::Symlink, 0o777, &path),
        ("relative", EntryType::Symlink, 0o777, &up),
        ("process", EntryType::Symlink, 0o777, "/proc/self/root"),
    ]);
    assert_eq!(put(&lab, "path=/tmp", links).await.status.as_u16(), 200);

    for link in ["absolute", "relative", "process"] {
        let planted = |name: &str| archive(&[(name, EntryType::Regular, 0o644, "planted")]);
        let through = put(&lab, "path=/tmp", planted(&format!("{link}/planted"))).await;
        let into = put(&lab, &format!("path=/tmp/{link}"), planted("planted")).await;
        let read = lab.send("GET", &format!("/containers/one/archive?path=/tmp/{link}/secret")).await;
        // Within the container they lead to what is not there.
        assert_eq!([through, into, read].map(|answer| answer.status.as_u16()), [404; 3], "{link}");
    }
    for (name, kind, target) in [
        ("../planted", EntryType::Regular, "planted"),
        ("a/../../planted", EntryType::Regular, "planted"),
        ("hard", EntryType::Link, "../../etc/passwd"),
    ] {
        let refused = put(&lab, "path=/tmp", archive(&[(name, kind, 0o644, target)])).await.refusal();
        assert_eq!((refused.0, refused.1.contains("leads out")), (400, true), "{refused:?}");
    }

    let left: Vec<_> = std::fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["secret"]);
}

#[tokio::test]
async fn folders_and_files_take_each_others_place_unless_that_is_refused() {
    let lab = Lab::start().await;
    let mut wanted = sleeper();
    wanted.config.user = "33:44".to_owned();
    lab.run("one", wanted).await;
    let folder = || archive(&[("x/", EntryType::Directory, 0o755, ""), ("x/y", EntryType::Regular, 0o644, "y")]);
    let file = || archive(&[("x", EntryType::Regular, 0o644, "x")]);

    assert_eq!(put(&lab, "path=/tmp", folder()).await.status.as_u16(), 200);
    let kept = put(&lab, "path=/tmp&noOverwriteDirNonDir=1", file()).await.refusal();
    assert_eq!(put(&lab, "path=/tmp", file()).await.status.as_u16(), 200);
    let kept_too = put(&lab, "path=/tmp&noOverwriteDirNonDir=true", folder()).await.refusal();
    assert_eq!(put(&lab, "path=/tmp&copyUIDGID=1", file()).await.status.as_u16(), 200);

    assert_eq!(kept, (400, "cannot overwrite directory \"/tmp/x\" with non-directory \"/tmp\"".to_owned()));
    assert_eq!(kept_too, (400, "cannot overwrite non-directory \"/tmp/x\" with directory \"/tmp\"".to_owned()));
    assert_eq!(seen(&lab, "stat -c '%u %g' /tmp/x").await, "33 44\n");
    let no_folder = put(&lab, "path=/etc/passwd", file()).await.refusal();
    assert_eq!(no_folder, (400, "extraction point is not a directory".to_owned()));
    let no_archive = put(&lab, "path=/tmp", vec![7; 2000]).await.refusal();
    assert_eq!(no_archive.0, 400, "{no_archive:?}");
}

#[tokio::test]
async fn changes_are_told_and_all_files_exported() {
    let lab = Lab::start().await;
    lab.run("one", script("echo new > /etc/new; mkdir /made; echo x > /made/x")).await;
    lab.wait("one").await;

    let changes = lab.expect("GET", "/containers/one/changes", 200).await.json();
    let (answer, _connection) = open(&lab.socket(), request("GET", "/containers/one/export", Body::empty())).await;
    let bytes = body_of(answer.into_body()).await.unwrap();
    let mut names = Vec::new();
    for entry in Archive::new(&bytes[..]).entries().unwrap() {
        names.push(String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap());
    }

    for change in [
        json!({"Path": "/etc", "Kind": 0}),
        json!({"Path": "/etc/new", "Kind": 1}),
        json!({"Path": "/made", "Kind": 1}),
        json!({"Path": "/made/x", "Kind": 1}),
    ] {
        assert!(changes.as_array().unwrap().contains(&change), "{change} in {changes}");
    }
    for name in ["bin/busybox", "etc/new", "made/", "made/x"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
}

#[tokio::test]
async fn a_container_becomes_an_image() {
    let lab = Lab::start().await;
    lab.run("one", script("echo new > /etc/new; sleep 1000")).await;
    while seen(&lab, "cat /etc/new").await != "new\n" {}
    let mut events = lab.events();

    let query = "container=one&repo=team/app&tag=2&author=me&comment=why&changes=LABEL+a%3Db&changes=ENV+X%3D1";
    let made = lab.post(&format!("/commit?{query}"), &Value::Null).await;
    let paused = next_event(&mut events, "pause").await;
    let resumed = next_event(&mut events, "unpause").await;
    let committed = next_event(&mut events, "commit").await;
    let image = lab.expect("GET", "/images/team/app:2/json", 200).await.json();
    let mut wanted = script("cat /etc/new; test \"$X\" = 1");
    wanted.config.image = "team/app:2".to_owned();
    lab.run("two", wanted).await;

    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    assert_eq!(image["Id"], made.json()["Id"]);
    assert_eq!((&image["Author"], &image["Comment"]), (&json!("me"), &json!("why")));
    assert_eq!((&image["Config"]["Labels"]["a"], &image["Config"]["Cmd"][1]), (&json!("b"), &json!("-c")));
    assert_eq!(paused.actor.id, resumed.actor.id);
    let told = &committed.actor.attributes;
    assert_eq!((told["imageRef"].as_str(), told["comment"].as_str()), ("team/app:2", "why"));
    assert_eq!(lab.wait("two").await, 0);
}

#[tokio::test]
async fn a_removal_ends_what_reads_and_writes_the_files() {
    let lab = Lab::start().await;
    lab.run("one", script("dd if=/dev/zero of=/large bs=1000000 count=30; sleep 1000")).await;
    while seen(&lab, "stat -c %s /large").await != "30000000\n" {}
    let read = request("GET", "/containers/one/archive?path=/large", Body::empty());
    let (answer, _connection) = open(&lab.socket(), read).await;
    let pieces = stream::unfold(0, |sent| async move {
        // The head of an archive, and then nothing for ever.
        if sent > 0 {
            std::future::pending::<()>().await;
        }
        let head = archive(&[("x", EntryType::Regular, 0o644, "x")]);
        Some((Ok::<_, std::io::Error>(Bytes::from(head[..512].to_vec())), 1))
    });
    let mut events = lab.events();
    let write = request("PUT", "/containers/one/archive?path=/tmp", Body::from_stream(pieces));

    let (written, removed) = tokio::join!(lab.request(write), async {
        // Both are under way: one has its head, the other is let begin.
        tokio::task::yield_now().await;
        tokio::time::timeout(PATIENCE, lab.engine.containers().remove("one", true, true)).await
    });
    next_event(&mut events, "destroy").await;
    let read = body_of(answer.into_body()).await;

    removed.expect("the removal waits for nobody").unwrap();
    assert!(read.is_err(), "an archive that is cut short is no archive");
    assert!(matches!(written.status.as_u16(), 404 | 409), "{}", written.body);
    assert!(!mounted(&lab));
}
