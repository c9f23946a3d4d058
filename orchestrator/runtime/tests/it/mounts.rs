//! What is mounted in a container, and that nothing leads out of its root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use runtime::{Mount, MountSource, Propagation};

use crate::lab::Lab;

fn bind(path: &Path, destination: &str, read_only: bool) -> Mount {
    let source = MountSource::Bind { path: path.to_owned(), propagation: Propagation::default(), recursive: true };
    Mount { destination: destination.into(), source, read_only }
}

#[tokio::test]
async fn folders_and_files_of_the_host_appear_as_asked() {
    let lab = Lab::new();
    let shared = lab.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("note"), "from outside\n").unwrap();
    let script = "cat /data/note; echo inside > /data/answer; cat /etc/file; (echo x > /ro/x) 2>&1; \
                  (echo x > /mem/x) && stat -c %a /mem; stat -c %a /dev/shm";
    let mut bundle = lab.script("a", script);
    let tmpfs = MountSource::Tmpfs { size: Some(1 << 20), mode: Some(0o711), options: vec![] };
    bundle.mounts = vec![
        bind(&shared, "/data", false),
        bind(&shared, "/ro", true),
        bind(&shared.join("note"), "/etc/file", true),
        Mount { destination: "/mem".into(), source: tmpfs, read_only: false },
    ];

    let text = lab.output(&bundle).await;

    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[1]), ("from outside", "from outside"));
    assert!(lines[2].to_lowercase().contains("read-only"), "{text}");
    assert_eq!(&lines[3..], ["711", "1777"]);
    assert_eq!(fs::read_to_string(shared.join("answer")).unwrap(), "inside\n");
}

#[tokio::test]
async fn a_read_only_root_cannot_be_written_but_what_is_mounted_can() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "(touch /x) 2>&1; touch /dev/shm/y && echo shm");
    bundle.read_only_root = true;

    let text = lab.output(&bundle).await;

    assert!(text.contains("Read-only file system") && text.contains("shm"), "{text}");
}

#[tokio::test]
async fn a_link_in_the_image_does_not_lead_a_mount_out_of_the_root() {
    let lab = Lab::new();
    let outside = lab.path("outside");
    fs::create_dir(&outside).unwrap();
    let source = lab.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("marker"), "").unwrap();
    let root = lab.path("rootfs");
    fs::create_dir_all(root.join(outside.strip_prefix("/").unwrap())).unwrap();
    symlink(&outside, root.join("absolute")).unwrap();
    symlink("../../../../../../../../..", root.join("upward")).unwrap();
    let target = format!("/upward{}", outside.display());
    let mut bundle = lab.script("a", &format!("ls {}/in /absolute/in {}/in2", outside.display(), target));
    bundle.mounts = vec![bind(&source, "/absolute/in", false), bind(&source, &format!("{target}/in2"), false)];

    let (exit, text) = lab.run(&bundle).await;

    assert_eq!(exit.code, 0, "{text}");
    assert_eq!(text.matches("marker").count(), 3, "{text}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "something was made outside of the root");
}

#[tokio::test]
async fn a_mount_whose_place_or_source_does_not_exist_is_refused() {
    let lab = Lab::new();
    let outside = lab.path("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, lab.path("rootfs").join("dangling")).unwrap();
    let mut nowhere = lab.bundle("a", &["true"]);
    nowhere.mounts = vec![bind(&lab.path("rootfs"), "/dangling/in", false)];
    let mut nothing = lab.bundle("b", &["true"]);
    nothing.mounts = vec![bind(&lab.path("absent"), "/in", false)];

    let first = lab.runtime.create(&nowhere).await.unwrap_err();
    let second = lab.runtime.create(&nothing).await.unwrap_err();

    assert!(first.to_string().contains("dangling"), "{first}");
    assert!(second.to_string().contains("bind source path does not exist"), "{second}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "something was made outside of the root");
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn a_link_in_the_place_of_the_users_list_does_not_lead_out() {
    let lab = Lab::new();
    let outside = lab.path("passwd");
    fs::write(&outside, "spy:x:7:7::/:/bin/sh\n").unwrap();
    let list = lab.path("rootfs").join("etc/passwd");
    fs::remove_file(&list).unwrap();
    symlink(&outside, &list).unwrap();
    let mut bundle = lab.bundle("a", &["true"]);
    bundle.process.user = Some("spy".to_owned());

    let refused = lab.runtime.create(&bundle).await.unwrap_err();

    assert!(refused.to_string().contains("unable to find user spy"), "{refused}");
}

#[tokio::test]
async fn no_descriptor_of_ours_leads_out_of_the_root() {
    let lab = Lab::new();
    let upward = "../../../../../../..";

    for number in 3..20 {
        let program = format!("/proc/self/fd/{number}/{upward}/usr/bin/busybox");
        let container = lab.runtime.create(&lab.bundle("program", &[&program, "true"])).await.unwrap();
        let refused = container.start().await;
        container.delete(true).await.unwrap();
        let mut bundle = lab.bundle("folder", &["true"]);
        bundle.process.cwd = Some(format!("/proc/self/fd/{number}").into());
        let outcome = lab.runtime.create(&bundle).await;

        assert!(refused.is_err(), "descriptor {number} leads to the host's program");
        assert!(outcome.is_err(), "descriptor {number} leads to a folder of the host");
    }
}

#[tokio::test]
async fn proc_in_the_place_of_a_link_is_refused() {
    let lab = Lab::new();
    let root = lab.path("rootfs");
    fs::remove_dir(root.join("proc")).unwrap();
    symlink("/tmp", root.join("proc")).unwrap();

    let outcome = lab.runtime.create(&lab.bundle("a", &["true"])).await;

    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(lab.left(), (vec![], 0));
}
