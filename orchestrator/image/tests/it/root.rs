//! Containers' roots: mounting, what changed, images made of it.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use image::ChangeKind::{Added, Deleted, Modified};
use image::{
    Change, ChangeKind, Commit, ContainerRoot, Durability, ImageError, ImageStore, Import, PruneFilter, Removal,
    Rootfs, RunConfig,
};
use tokio::sync::mpsc;

use crate::fixture::{TestImage, archive, body, files_below, gzipped, load, open};

/// A container's root that is gone with this value, whatever becomes of the test.
struct Container {
    root: ContainerRoot,
    rootfs: Rootfs,
}

impl Container {
    async fn mount(store: &ImageStore, image: &str, folder: &Path) -> Self {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let (_, rootfs) = store.hold(name, store.find(image).unwrap().id).await.unwrap();
        let container = Self { root: ContainerRoot::new(folder), rootfs };
        container.root.mount(&container.rootfs, Durability::Volatile).unwrap();
        container
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.merged().join(path)
    }

    fn changes(&self) -> Vec<(String, ChangeKind)> {
        let changes = self.root.changes(&self.rootfs).unwrap();
        changes.into_iter().map(|Change { path, kind }| (path.display().to_string(), kind)).collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.root.remove());
    }
}

/// An image with a folder, files in it, and a layer that hides some.
fn image_with_layers() -> TestImage {
    let base = archive([
        ("./", &b""[..]),
        ("etc/", b""),
        ("etc/one", b"1"),
        ("etc/two", b"2"),
        ("old/", b""),
        ("old/file", b"x"),
        ("gone/", b""),
        ("gone/file", b"x"),
    ]);
    let middle = archive([("etc/.wh.one", &b""[..]), ("old/.wh..wh..opq", b""), (".wh.gone", b"")]);
    let top = archive([("etc/three", &b"3"[..])]);
    TestImage::of("layers", &[base, middle, top], gzipped)
}

fn mounts_below(folder: &Path) -> usize {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().filter(|line| line.contains(folder.to_str().unwrap())).count()
}

#[tokio::test]
async fn a_container_sees_its_layers_as_one_and_writes_into_its_own() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    load(&store, &image_with_layers(), &["x"]).await;

    let container = Container::mount(&store, "x", &own.path().join("c1")).await;
    let other = Container::mount(&store, "x", &own.path().join("c2")).await;
    fs::write(container.path("etc/two"), "changed").unwrap();
    container.root.mount(&container.rootfs, Durability::Volatile).unwrap();

    assert_eq!(fs::read(container.path("etc/three")).unwrap(), b"3");
    assert!(!container.path("etc/one").exists() && !container.path("gone").exists());
    assert_eq!(fs::read_dir(container.path("old")).unwrap().count(), 0);
    assert_eq!(fs::metadata(container.path("")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(fs::read(other.path("etc/two")).unwrap(), b"2");
    assert_eq!(fs::read(container.root.upper().join("etc/two")).unwrap(), b"changed");
    assert_eq!(mounts_below(own.path()), 2);

    container.root.unmount().unwrap();
    container.root.unmount().unwrap();
    assert_eq!(mounts_below(own.path()), 1);
    container.root.mount(&container.rootfs, Durability::Volatile).unwrap();
    assert_eq!(fs::read(container.path("etc/two")).unwrap(), b"changed");
    container.root.remove().unwrap();
    container.root.remove().unwrap();
    drop((container, other));
    assert_eq!((mounts_below(own.path()), files_below(own.path())), (0, Vec::new()));
}

#[tokio::test]
async fn as_many_layers_as_an_image_may_have_are_mounted() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    let layers: Vec<_> = (0..127).map(|n| archive([(format!("f{n}").as_str(), n.to_string().as_bytes())])).collect();
    load(&store, &TestImage::of("deep", &layers, <[u8]>::to_vec), &["deep"]).await;
    load(&store, &TestImage::new("empty", &[]), &["empty"]).await;
    // A container's folder as deep as one is below /var/lib.
    let deep = own.path().join("swarmup").join("containers").join("c".repeat(64));

    let container = Container::mount(&store, "deep", &deep).await;
    let empty = Container::mount(&store, "empty", &own.path().join("empty")).await;

    assert_eq!(fs::read(container.path("f0")).unwrap(), b"0");
    assert_eq!(fs::read_dir(container.path("")).unwrap().count(), 127);
    assert_eq!(fs::read_dir(empty.path("")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_container_changed_is_told_as_docker_tells_it() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    load(&store, &image_with_layers(), &["x"]).await;
    let container = Container::mount(&store, "x", &own.path().join("c")).await;
    let nothing = container.changes();

    fs::write(container.path("etc/two"), "changed").unwrap();
    fs::write(container.path("etc/one"), "new, as the image hides it").unwrap();
    fs::remove_file(container.path("etc/three")).unwrap();
    fs::create_dir(container.path("gone")).unwrap();
    fs::create_dir_all(container.path("new/folder")).unwrap();
    symlink("/", container.path("new/link")).unwrap();
    fs::remove_dir(container.path("old")).unwrap();

    let expected = [
        ("/etc", Modified),
        ("/etc/one", Added),
        ("/etc/three", Deleted),
        ("/etc/two", Modified),
        ("/gone", Added),
        ("/new", Added),
        ("/new/folder", Added),
        ("/new/link", Added),
        ("/old", Deleted),
    ];
    assert_eq!(nothing, []);
    assert_eq!(container.changes(), expected.map(|(path, kind)| (path.to_owned(), kind)));
}

#[tokio::test]
async fn files_that_did_not_reach_the_disk_before_the_power_failed_are_not_believed() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    load(&store, &image_with_layers(), &["x"]).await;
    let volatile = Container::mount(&store, "x", &own.path().join("volatile")).await;
    volatile.root.unmount().unwrap();
    let synced = Container::mount(&store, "x", &own.path().join("synced")).await;
    synced.root.unmount().unwrap();
    synced.root.mount(&synced.rootfs, Durability::Synced).unwrap();
    synced.root.unmount().unwrap();
    for container in ["volatile", "synced"] {
        fs::write(own.path().join(container).join("boot"), "another").unwrap();
    }

    let refused = volatile.root.mount(&volatile.rootfs, Durability::Synced).unwrap_err();
    synced.root.mount(&synced.rootfs, Durability::Synced).unwrap();

    assert!(refused.to_string().starts_with("failed to mount again"), "{refused}");
}

fn commit_of(store: &ImageStore, base: &str, name: &str) -> Commit {
    Commit {
        base: store.find(base).unwrap().id,
        name: name.parse().ok(),
        config: RunConfig { cmd: Some(vec!["new".to_owned()]), ..RunConfig::default() },
        author: "me".to_owned(),
        comment: "why".to_owned(),
        created_by: "sh".to_owned(),
    }
}

/// Everything about a file that must survive.
fn facts(path: &Path) -> (u32, u32, u32, i64, Vec<u8>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let contents = if metadata.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    (metadata.mode(), metadata.uid(), metadata.gid(), metadata.mtime(), contents)
}

/// One of everything, below a folder.
fn write_one_of_everything(folder: &Path) {
    let path = |name: &str| folder.join(name);
    fs::write(path("tool"), "#!").unwrap();
    std::os::unix::fs::chown(path("tool"), Some(1000), Some(100_000)).unwrap();
    fs::set_permissions(path("tool"), fs::Permissions::from_mode(0o4711)).unwrap();
    rustix::fs::setxattr(path("tool"), "user.note", b"kept", rustix::fs::XattrFlags::empty()).unwrap();
    fs::hard_link(path("tool"), path("tool-too")).unwrap();
    symlink("../nowhere/".repeat(30), path("link")).unwrap();
    fs::create_dir(path("n".repeat(200).as_str())).unwrap();
    fs::write(path("n".repeat(200).as_str()).join("f".repeat(200)), "deep").unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let null = rustix::fs::makedev(1, 3);
    let device = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, path("null"), device, rustix::fs::Mode::RWXU, null).unwrap();
    drop(std::os::unix::net::UnixListener::bind(path("socket")).unwrap());
}

fn assert_one_of_everything(one: &Path, other: &Path) {
    let long = "n".repeat(200);
    let deep = format!("{long}/{}", "f".repeat(200));
    for name in ["tool", "tool-too", "link", long.as_str(), deep.as_str(), "fifo", "null"] {
        assert_eq!(facts(&one.join(name)), facts(&other.join(name)), "{name}");
    }
    let tool = fs::metadata(other.join("tool")).unwrap();
    assert_eq!(tool.ino(), fs::metadata(other.join("tool-too")).unwrap().ino());
    assert_eq!(fs::read_link(one.join("link")).unwrap(), fs::read_link(other.join("link")).unwrap());
    assert!(fs::symlink_metadata(other.join("null")).unwrap().file_type().is_char_device());
    let mut note = [0; 4];
    rustix::fs::getxattr(other.join("tool"), "user.note", &mut note).unwrap();
    assert_eq!(&note, b"kept");
    assert!(!other.join("socket").exists());
}

#[tokio::test]
async fn an_image_made_of_a_container_has_all_that_the_container_saw() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    load(&store, &image_with_layers(), &["x"]).await;
    let container = Container::mount(&store, "x", &own.path().join("c")).await;
    write_one_of_everything(&container.path("etc"));
    fs::remove_file(container.path("etc/three")).unwrap();
    fs::remove_dir(container.path("old")).unwrap();
    fs::create_dir(container.path("old")).unwrap();
    fs::write(container.path("old/.wh.odd"), "no layer can say this").unwrap();

    let id = store.commit(&container.root, commit_of(&store, "x", "y:1")).await.unwrap();
    let copy = Container::mount(&store, "y:1", &own.path().join("copy")).await;

    assert_one_of_everything(&container.path("etc"), &copy.path("etc"));
    assert!(!copy.path("etc/three").exists() && copy.path("etc/two").exists());
    assert_eq!(fs::read_dir(copy.path("old")).unwrap().count(), 0);
    let (base, image) = (store.find("x").unwrap(), store.find("y:1").unwrap());
    assert_eq!((image.id, image.parent, image.layers.len()), (id, Some(base.id), 4));
    assert_eq!(image.config.config.cmd.as_deref(), Some(&["new".to_owned()][..]));
    let history = store.history(&image);
    assert_eq!((history[0].comment.as_str(), history[0].id, history[1].id), ("why", Some(id), Some(base.id)));
    assert_eq!(history.len(), 4);

    // The parent stays for its child, and goes with it where it has no name.
    let forced = Removal { is_forced: true, ..Removal::default() };
    let refused = store.remove(&base.id.to_string(), forced.clone()).await.unwrap_err();
    assert!(matches!(&refused, ImageError::Conflict(what) if what.contains("dependent child images")), "{refused:?}");
    store.remove("x", forced.clone()).await.unwrap();
    drop((container, copy));
    store.release("c").await.unwrap();
    store.release("copy").await.unwrap();
    store.remove("y:1", forced).await.unwrap();
    assert_eq!(files_below(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn images_that_were_made_of_one_another_are_pruned_together() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    load(&store, &image_with_layers(), &["x"]).await;
    let container = Container::mount(&store, "x", &own.path().join("c")).await;
    for [base, name] in [["x", "a"], ["a", "b"], ["b", "c"], ["c", "d"], ["d", "e"]] {
        store.commit(&container.root, commit_of(&store, base, name)).await.unwrap();
    }
    drop(container);
    store.release("c").await.unwrap();

    store.prune(PruneFilter { is_all: true, ..PruneFilter::default() }).await.unwrap();

    assert_eq!(store.list(), []);
    assert_eq!(files_below(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_container_that_changed_nothing_gives_an_image_without_a_layer_more() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    load(&store, &image_with_layers(), &["x"]).await;
    let container = Container::mount(&store, "x", &own.path().join("c")).await;

    store.commit(&container.root, commit_of(&store, "x", "y")).await.unwrap();

    let image = store.find("y").unwrap();
    assert_eq!(image.layers.len(), 3);
    assert!(image.config.history.last().unwrap().empty_layer);
}

#[tokio::test]
async fn an_exported_container_is_imported_as_it_was() {
    let (folder, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    load(&store, &image_with_layers(), &["x"]).await;
    let container = Container::mount(&store, "x", &own.path().join("c")).await;
    write_one_of_everything(&container.path("etc"));

    let (sender, mut receiver) = mpsc::channel(2);
    let receive = async {
        let mut bytes = Vec::new();
        while let Some(piece) = receiver.recv().await {
            bytes.extend(piece);
        }
        bytes
    };
    let (outcome, bytes) = tokio::join!(container.root.export(sender), receive);
    outcome.unwrap();
    let import = Import { name: "flat".parse().ok(), ..Import::default() };
    store.import(body(&bytes), import).await.unwrap();
    let copy = Container::mount(&store, "flat", &own.path().join("copy")).await;

    assert_one_of_everything(&container.path("etc"), &copy.path("etc"));
    assert_eq!(fs::read(copy.path("etc/three")).unwrap(), b"3");
    assert!(!copy.path("etc/one").exists());
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    assert!(container.root.export(sender).await.is_err());
}
