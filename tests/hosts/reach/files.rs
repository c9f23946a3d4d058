//! Files that go to a host and come back.

use super::*;

#[tokio::test]
async fn an_upload_is_compressed_on_the_way_and_verified_there() {
    let (hosts, session) = session("root").await;
    let bytes = noise(2_000_000);
    let upload = Upload::gzip("/opt/new folder/agent", 0o750, gzip(&bytes), sha256_hex(&bytes));

    let first = session.upload(&upload).await.unwrap();
    let second = session.upload(&upload).await.unwrap();

    assert_eq!((first, second), (Uploaded::SentCompressed, Uploaded::AlreadyThere));
    let listed = hosts.host(1).shell("cd '/opt/new folder'; ls -A; sha256sum <agent; stat -c %a agent").unwrap();
    assert_eq!(listed, format!("agent\n{}  -\n750\n", sha256_hex(&bytes)));
}

#[tokio::test]
async fn a_host_without_gzip_gets_the_bytes_as_they_are() {
    let (hosts, session) = session("root").await;
    hosts.host(1).shell("rm $(command -v gzip)").unwrap();
    let bytes = noise(500_000);

    let sent = session.upload(&Upload::gzip("/opt/new/agent", 0o755, gzip(&bytes), sha256_hex(&bytes))).await.unwrap();

    assert_eq!(sent, Uploaded::SentRaw);
    assert_eq!(fs::read(hosts.host(1).path("/opt/new/agent").unwrap()).unwrap(), bytes);
}

#[tokio::test]
async fn an_upload_that_arrives_damaged_leaves_the_old_file_and_nothing_else() {
    let (hosts, session) = session("root").await;
    session.upload(&Upload::raw("/opt/new/agent", 0o755, "old")).await.unwrap();
    let mut raw = Upload::raw("/opt/new/agent", 0o755, "new");
    raw.sha256 = sha256_hex(b"something else");
    let truncated = gzip(&noise(100_000));
    let truncated = Upload::gzip("/opt/new/agent", 0o755, truncated[..50_000].to_vec(), sha256_hex(b"x"));

    let differs = session.upload(&raw).await.unwrap_err();
    let broken = session.upload(&truncated).await.unwrap_err();

    assert!(matches!(differs, ReachError::Corrupted { .. }), "{differs}");
    assert!(matches!(broken, ReachError::Failed { .. }), "{broken}");
    assert_eq!(hosts.host(1).shell("ls -A /opt/new; cat /opt/new/agent").unwrap(), "agent\nold");
}

#[tokio::test]
async fn a_running_program_can_be_replaced() {
    let (hosts, session) = session("root").await;
    hosts
        .host(1)
        .shell("mkdir -p /opt/new; cp /bin/sleep /opt/new/agent; setsid /opt/new/agent 1000 >/dev/null 2>&1 &")
        .unwrap();

    let sent = session.upload(&Upload::raw("/opt/new/agent", 0o755, "new")).await.unwrap();

    assert_eq!(sent, Uploaded::SentRaw);
    assert_eq!(hosts.host(1).processes("agent").unwrap().len(), 1);
}

#[tokio::test]
async fn files_and_folders_are_copied_both_ways() {
    let (hosts, session) = session("ops").await;
    let local = hosts.scratch().join("mine");
    fs::create_dir_all(local.join("deep/er")).unwrap();
    fs::write(local.join("deep/er/file"), noise(300_000)).unwrap();
    fs::write(local.join("script"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(local.join("script"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("script", local.join("link")).unwrap();
    let back = hosts.scratch().join("back");
    let all = CopyOptions { is_recursive: true, is_as_root: false };

    session.send(&local, "copy", all).await.unwrap();
    session.send(&local, "copy", all).await.unwrap();
    session.fetch("copy/mine", &back, all).await.unwrap();

    assert_eq!(
        hosts.host(1).shell("ls -A /home/ops/copy; stat -c %U /home/ops/copy/script").unwrap(),
        "deep\nlink\nmine\nscript\nops\n"
    );
    assert_eq!(fs::read(back.join("deep/er/file")).unwrap(), noise(300_000));
    assert_eq!(fs::read_link(back.join("link")).unwrap(), Path::new("script"));
    assert_eq!(mode_of(&back.join("script")), 0o755);
}

#[tokio::test]
async fn single_files_go_under_a_name_or_into_a_folder() {
    let (hosts, session) = session("ops").await;
    let local = hosts.scratch().join("a file");
    fs::write(&local, noise(100_000)).unwrap();
    let back = hosts.scratch().join("back");
    fs::create_dir(&back).unwrap();
    let plain = CopyOptions::default();
    let as_root = CopyOptions { is_as_root: true, ..plain };

    session.send(&local, "/tmp/named", plain).await.unwrap();
    session.send(&local, "/srv", as_root).await.unwrap();
    session.fetch("/srv/a file", &back, plain).await.unwrap();
    let denied = session.send(&local, "/srv/denied", plain).await.unwrap_err();
    let missing = session.fetch("/srv/missing", &back, plain).await.unwrap_err();
    let folder = session.fetch("/srv", &back, plain).await.unwrap_err();

    assert!(hosts.host(1).has("/tmp/named").unwrap());
    assert_eq!(fs::read(back.join("a file")).unwrap(), noise(100_000));
    assert!(denied.to_string().contains("Permission denied"), "{denied}");
    assert!(missing.to_string().contains("there is no /srv/missing"), "{missing}");
    assert!(folder.to_string().contains("-r"), "{folder}");
    assert_eq!(fs::read_dir(&back).unwrap().count(), 1);
}
