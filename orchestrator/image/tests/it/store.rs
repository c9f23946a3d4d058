//! Names, removal by Docker's rules, holds, and what a killed process leaves.

use std::collections::BTreeSet;

use image::{Image, ImageError, ImageStore, PruneFilter, Removal, Removed, UnpackLimits};

use crate::fixture::{TestImage, body, files_below, load, open, open_with};

fn untagged(name: &str) -> Removed {
    Removed::Untagged(name.to_owned())
}

async fn remove(store: &ImageStore, name: &str) -> Result<Vec<Removed>, ImageError> {
    store.remove(name, Removal::default()).await
}

fn forced() -> Removal {
    Removal { is_forced: true, ..Removal::default() }
}

/// Ids of images, unpacked layers or names: an answer as text, for comparing.
fn deleted(image: &Image) -> Vec<Removed> {
    [image.id].into_iter().chain(image.chain.iter().rev().copied()).map(Removed::Deleted).collect()
}

#[tokio::test]
async fn an_image_is_found_by_name_by_id_and_by_its_ids_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let id = load(&store, &TestImage::new("a", &[("a", "1")]), &["a:1", "host:5000/b:2"]).await;
    let other = load(&store, &TestImage::new("b", &[("b", "1")]), &["latest-only"]).await;

    for name in [
        "a:1",
        "docker.io/library/a:1",
        "host:5000/b:2",
        &id.to_string(),
        &id.hex(),
        &id.hex()[..8],
        &id.to_string()[..20],
    ] {
        assert_eq!(store.find(name).unwrap().id, id, "{name}");
    }
    assert_eq!(store.find("latest-only").unwrap().id, other);
    for name in ["a", "a:2", "b:2", "c", &"0".repeat(64), "00"] {
        assert!(matches!(store.find(name), Err(ImageError::NoSuchImage(_))), "{name}");
    }
    assert!(matches!(store.find("sha256:"), Err(ImageError::InvalidReference(_))));
    assert!(matches!(store.find("Caps"), Err(ImageError::InvalidReference(_))));
    let image = store.find("a:1").unwrap();
    assert_eq!(image.repo_tags, ["a:1", "host:5000/b:2"]);
    assert_eq!(image.config.config.labels["name"], "a");
    assert_eq!((image.bytes, image.layers.len()), (1, 1));
}

#[tokio::test]
async fn a_beginning_that_several_ids_share_is_ambiguous() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    // Seventeen ids of sixteen possible first digits.
    for number in 0..17 {
        load(&store, &TestImage::new(&number.to_string(), &[]), &[]).await;
    }
    let ids: Vec<_> = store.list().iter().map(|image| image.id.hex()).collect();
    let shared = ids.iter().find(|id| ids.iter().filter(|other| other[..1] == id[..1]).count() > 1).unwrap();

    assert!(matches!(store.find(&shared[..1]), Err(ImageError::Ambiguous(_))));
    assert_eq!(store.find(&shared[..20]).unwrap().id.hex(), *shared);
}

#[tokio::test]
async fn the_last_name_takes_the_image_along_and_layers_of_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    load(&store, &TestImage::new("base", &[("base", "1")]), &["base"]).await;
    load(&store, &TestImage::new("top", &[("base", "1"), ("top", "2")]), &["top:1", "top:2"]).await;
    let top = store.find("top:1").unwrap();

    let first = remove(&store, "top:1").await.unwrap();
    let second = remove(&store, "top:2").await.unwrap();

    assert_eq!(first, [untagged("top:1")]);
    assert_eq!(second, [untagged("top:2"), Removed::Deleted(top.id), Removed::Deleted(top.chain[1])]);
    assert!(store.find(&top.id.to_string()).is_err());
    let base = store.find("base").unwrap();
    assert_eq!(remove(&store, "base").await.unwrap(), [vec![untagged("base:latest")], deleted(&base)].concat());
    assert_eq!(files_below(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn an_id_takes_its_one_name_along_and_several_names_need_force() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let image = TestImage::new("a", &[("a", "1")]);
    let id = load(&store, &image, &["one", "two"]).await.to_string();

    let refused = remove(&store, &id).await.unwrap_err().to_string();
    remove(&store, "two").await.unwrap();
    let removed = remove(&store, &id).await.unwrap();
    load(&store, &image, &["one", "two"]).await;
    let all = store.remove(&id, forced()).await.unwrap();

    assert!(refused.ends_with("(must be forced) - image is referenced in multiple repositories"), "{refused}");
    assert_eq!(removed[0], untagged("one:latest"));
    assert_eq!(all[..2], [untagged("one:latest"), untagged("two:latest")]);
}

#[tokio::test]
async fn what_a_container_stands_on_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let id = load(&store, &TestImage::new("a", &[("a", "1")]), &["a"]).await;
    let (hold, rootfs) = store.hold("0123456789abcdef", id).await.unwrap();
    let running = BTreeSet::from(["0123456789abcdef".to_owned()]);

    let by_name = remove(&store, "a").await.unwrap_err().to_string();
    let by_id = remove(&store, &id.to_string()).await.unwrap_err().to_string();
    let while_running = Removal { running, ..forced() };
    let hard = store.remove(&id.to_string(), while_running).await.unwrap_err().to_string();
    let pruned = store.prune(PruneFilter { is_all: true, ..PruneFilter::default() }).await.unwrap();
    let removed = store.remove(&id.to_string(), forced()).await.unwrap();

    let image = format!("{} (must", id.short());
    assert_eq!(
        by_name,
        format!(
            "conflict: unable to remove repository reference \"a:latest\" (must force) - container 0123456789ab is using its referenced image {}",
            id.short()
        )
    );
    assert!(by_id.contains(&image) && by_id.contains("stopped container 0123456789ab"), "{by_id}");
    assert!(hard.contains("(cannot be forced) - image is being used by running container"), "{hard}");
    assert_eq!(pruned.removed, []);
    // The image went, and the container still stands.
    assert_eq!(removed, [untagged("a:latest"), Removed::Deleted(id)]);
    assert_eq!(std::fs::read(rootfs.lower_folders()[0].join("a")).unwrap(), b"1");

    drop(store);
    let store = open_with(folder.path(), vec![hold.clone()]).await;
    let rootfs = store.rootfs_of(&hold).await.unwrap();
    assert_eq!(std::fs::read(rootfs.lower_folders()[0].join("a")).unwrap(), b"1");
    store.release("0123456789abcdef").await.unwrap();
    store.release("0123456789abcdef").await.unwrap();
    assert_eq!(files_below(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn pruning_takes_what_nobody_uses_and_the_filter_allows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    load(&store, &TestImage::new("dangling", &[("a", "1")]), &["x"]).await;
    load(&store, &TestImage::new("named", &[("b", "2")]), &["x"]).await;
    load(&store, &TestImage::new("labelled", &[("c", "3")]), &["y"]).await;
    let labels = vec![("name".to_owned(), Some("labelled".to_owned()))];

    let early = PruneFilter { until: "2023-01-01T00:00:00Z".parse().ok(), is_all: true, ..PruneFilter::default() };
    let nothing = store.prune(early).await.unwrap();
    let dangling = store.prune(PruneFilter::default()).await.unwrap();
    let spared = PruneFilter { is_all: true, not_labels: labels.clone(), ..PruneFilter::default() };
    let named = store.prune(spared).await.unwrap();
    let labelled = store.prune(PruneFilter { is_all: true, labels, ..PruneFilter::default() }).await.unwrap();

    assert_eq!(nothing.removed, []);
    assert_eq!((dangling.removed.len(), dangling.bytes > 0), (2, true), "{dangling:?}");
    assert_eq!(named.removed[0], untagged("x:latest"));
    assert_eq!(labelled.removed[0], untagged("y:latest"));
    assert_eq!(files_below(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_killed_process_left_is_collected_and_the_rest_believed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let store = open(root).await;
    let id = load(&store, &TestImage::new("a", &[("a", "1"), ("b", "2")]), &["a"]).await;
    drop(store);
    let whole = files_below(root);
    // Half a download, a layer in the making, a blob without an image, a layer without one, a layer without its note,
    // a link to nothing, and a half-written catalog.
    std::fs::write(root.join("work/3"), "half").unwrap();
    std::fs::create_dir_all(root.join("work/4/diff/usr/bin")).unwrap();
    std::fs::write(root.join("blobs/sha256").join("0".repeat(64)), "orphan").unwrap();
    std::fs::write(root.join("blobs/sha256/odd"), "orphan").unwrap();
    std::fs::create_dir_all(root.join("layers").join("1".repeat(64)).join("diff/usr")).unwrap();
    std::os::unix::fs::symlink("../layers/none/diff", root.join("l/99")).unwrap();
    std::fs::write(root.join("catalog.new"), "{\"form").unwrap();

    let store = open(root).await;

    assert_eq!(store.find("a").unwrap().id, id);
    let mut left = files_below(root);
    left.retain(|path| path != "catalog.new" && path != "blobs/sha256/odd");
    assert_eq!(left, whole);
    store.tag("a", &"b".parse().unwrap()).await.unwrap();
    assert!(!root.join("catalog.new").exists());
}

#[tokio::test]
async fn a_layer_of_another_boot_that_was_never_synced_is_unpacked_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let id = load(&store, &TestImage::new("a", &[("a", "1")]), &["a"]).await;
    let layer = folder.path().join("layers").join(store.find("a").unwrap().chain[0].hex());
    drop(store);
    let note = std::fs::read_to_string(layer.join("layer.json")).unwrap();
    assert!(note.contains("\"is_synced\":false"), "{note}");
    std::fs::write(layer.join("layer.json"), note.replace("\"boot\":\"", "\"boot\":\"another")).unwrap();
    std::fs::write(layer.join("diff/a"), "lost by the power failure").unwrap();

    let store = open(folder.path()).await;
    let (_, rootfs) = store.hold("c", id).await.unwrap();

    assert_eq!(std::fs::read(rootfs.lower_folders()[0].join("a")).unwrap(), b"1");
    store.settle().await.unwrap();
    assert!(std::fs::read_to_string(layer.join("layer.json")).unwrap().contains("\"is_synced\":true"));
}

#[tokio::test]
async fn an_image_that_rotted_is_let_go_and_can_be_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let (rotten, sound) = (TestImage::new("rotten", &[("a", "1")]), TestImage::new("sound", &[("b", "1")]));
    load(&store, &rotten, &["rotten"]).await;
    load(&store, &sound, &["sound"]).await;
    drop(store);
    std::fs::write(folder.path().join("blobs/sha256").join(rotten.id().hex()), "{}").unwrap();

    let store = open(folder.path()).await;

    assert!(matches!(store.find("rotten"), Err(ImageError::NoSuchImage(_))));
    assert_eq!(store.find("sound").unwrap().id, sound.id());
    assert_eq!(load(&store, &rotten, &["rotten"]).await, rotten.id());
}

#[tokio::test]
async fn a_catalog_that_cannot_be_read_is_an_error_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).await);
    for text in ["{\"form", "{\"format\":2,\"images\":{},\"references\":{}}"] {
        std::fs::write(folder.path().join("catalog.json"), text).unwrap();

        let outcome = ImageStore::open(folder.path(), Vec::new(), UnpackLimits::default()).await;

        assert!(matches!(outcome, Err(ImageError::Damaged { .. })), "{text}");
        assert_eq!(std::fs::read_to_string(folder.path().join("catalog.json")).unwrap(), text);
    }
}

#[tokio::test]
async fn one_process_at_a_time_has_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;

    let second = ImageStore::open(folder.path(), Vec::new(), UnpackLimits::default()).await;

    assert!(matches!(second, Err(ImageError::Locked(_))));
    drop(store);
    open(folder.path()).await;
}

#[tokio::test]
async fn names_move_and_images_without_one_stay_until_they_are_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let old = load(&store, &TestImage::new("old", &[("a", "1")]), &["x"]).await;
    let new = load(&store, &TestImage::new("new", &[("a", "2")]), &["x"]).await;

    store.tag(&old.to_string(), &"y:1".parse().unwrap()).await.unwrap();

    assert_eq!(store.find("x").unwrap().id, new);
    assert_eq!(store.find("y:1").unwrap().id, old);
    let digest = format!("x@{new}").parse().unwrap();
    assert!(store.tag("x", &digest).await.is_err());
    assert!(matches!(store.tag("z", &"w".parse().unwrap()).await, Err(ImageError::NoSuchImage(_))));
}

#[tokio::test]
async fn loads_and_removals_at_once_leave_every_image_whole_or_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let images: Vec<_> =
        (0..4).map(|n| TestImage::new(&n.to_string(), &[("base", "shared"), ("own", &n.to_string())])).collect();

    let rounds = (0..6).flat_map(|round| images.iter().map(move |image| (round, image))).map(|(round, image)| {
        let store = store.clone();
        async move {
            store.load(body(&image.docker_archive(&[&format!("i:{round}")]))).await.unwrap();
            drop(store.remove(&format!("i:{round}"), forced()).await);
        }
    });
    futures_util::future::join_all(rounds).await;

    for image in store.list() {
        let (_, rootfs) = store.hold("c", image.id).await.unwrap();
        assert!(rootfs.lower_folders()[0].join("own").exists());
        store.release("c").await.unwrap();
        store.remove(&image.id.to_string(), forced()).await.unwrap();
    }
    assert_eq!(files_below(folder.path()), Vec::<String>::new());
}
