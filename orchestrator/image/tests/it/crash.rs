//! Processes that are killed while they load and remove, and a disk that is full.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use image::{ImageError, Removal};
use rustix::mount::{MountFlags, UnmountFlags};

use crate::fixture::{TestImage, archive, body, files_below, gzipped, open};

/// Set for the process that is to be killed: where its store is.
const STORE: &str = "IMAGE_TEST_STORE";
/// How often it is killed, each time a little later.
const KILLS: u32 = 12;

fn image(number: u32) -> TestImage {
    let noise: Vec<u8> =
        (0..50_000u32).flat_map(|at| (at * (number + 1)).wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let shared = archive([("shared", &b"shared"[..]), ("folder/", b"")]);
    let own: Vec<_> = (0..20).map(|file| format!("folder/{file}")).collect();
    let own = archive(own.iter().map(|path| (path.as_str(), &noise[..10_000])).chain([("noise", &noise[..])]));
    TestImage::of(&number.to_string(), &[shared, own], gzipped)
}

/// Kills a process with the value.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What the process does until it is killed.
async fn load_and_remove_for_ever(root: &Path) {
    let store = open(root).await;
    for number in (0..4).cycle() {
        let name = format!("i:{number}");
        store.load(body(&image(number).docker_archive(&[&name]))).await.unwrap();
        if number % 2 == 1 {
            store.remove(&name, Removal::default()).await.unwrap();
        }
        if number == 3 {
            store.settle().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_process_killed_at_any_moment_leaves_every_image_whole_or_gone() {
    if let Some(root) = std::env::var_os(STORE) {
        return load_and_remove_for_ever(&PathBuf::from(root)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for kill in 1..=KILLS {
        let test = "crash::a_process_killed_at_any_moment_leaves_every_image_whole_or_gone";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).env(STORE, folder.path()).stdout(Stdio::null());
        let victim = Victim(command.spawn().unwrap());
        // A different moment each time; any moment will do.
        tokio::time::sleep(Duration::from_millis(60 + u64::from(kill) * 17)).await;
        drop(victim);

        let store = open(folder.path()).await;
        for found in store.list() {
            seen += 1;
            let (_, rootfs) = store.hold("c", found.id).await.unwrap();
            let lower = &rootfs.lower_folders()[0];
            let number: u32 = found.config.config.labels["name"].parse().unwrap();
            assert_eq!(std::fs::metadata(lower.join("noise")).unwrap().len(), 200_000);
            assert_eq!(std::fs::read_dir(lower.join("folder")).unwrap().count(), 20);
            assert_eq!(found.id, image(number).id());
            for layer in &found.layers {
                let (mut file, size) = store.blob(layer.digest).await.unwrap().unwrap();
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
                assert_eq!((image::Digest::of(&bytes), size), (layer.digest, layer.size));
            }
            store.release("c").await.unwrap();
        }
        let images = store.list().len();
        let layers = std::fs::read_dir(folder.path().join("layers")).unwrap().count();
        assert_eq!(layers, if images == 0 { 0 } else { images + 1 });
        assert_eq!(std::fs::read_dir(folder.path().join("work")).unwrap().count(), 0);
        assert_eq!(
            std::fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count(),
            if images == 0 { 0 } else { 3 * images + 1 }
        );
    }
    assert!(seen > 0, "the process was always killed before it had done anything");
}

/// A file system of a few megabytes, unmounted with the value.
pub(crate) struct SmallDisk(pub(crate) tempfile::TempDir);

impl SmallDisk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        rustix::mount::mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), Some(c"size=3m")).unwrap();
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn a_full_disk_is_said_so_and_the_store_goes_on() {
    let disk = SmallDisk::new();
    let root = disk.0.path().join("store");
    let store = open(&root).await;
    let small = TestImage::new("small", &[("a", "1")]);
    let zeros = vec![0; 8 << 20];
    // One does not fit as it comes, the other does not when it is unpacked.
    let packed = TestImage::of("packed", &[archive([("zeros", &zeros[..])])], gzipped);
    let plain = TestImage::of("plain", &[archive([("zeros", &zeros[..])])], <[u8]>::to_vec);

    for image in [packed, plain] {
        let error = store.load(body(&image.docker_archive(&["large"]))).await.unwrap_err();
        assert!(matches!(error, ImageError::NoSpace(_)), "{error:?}");
        assert_eq!(files_below(&root), Vec::<String>::new());
    }

    store.load(body(&small.docker_archive(&["small"]))).await.unwrap();
    assert_eq!(store.find("small").unwrap().id, small.id());
}
