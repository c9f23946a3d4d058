//! Loading, saving and importing.

use std::path::Path;

use image::{Digest, Export, ImageError, ImageStore, Import, RunConfig};
use serde_json::json;
use tokio::sync::mpsc;

use crate::fixture::{TestImage, archive, body, escaping_layer, files_below, gzipped, load, open};

pub(crate) async fn save(store: &ImageStore, names: &[&str]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    receive(store.export(&names).unwrap()).await
}

async fn receive(export: Export) -> Vec<u8> {
    let (sender, mut receiver) = mpsc::channel(2);
    let receive = async {
        let mut bytes = Vec::new();
        while let Some(piece) = receiver.recv().await {
            bytes.extend(piece);
        }
        bytes
    };
    let (outcome, bytes) = tokio::join!(export.write(sender), receive);
    outcome.unwrap();
    bytes
}

async fn file_in(store: &ImageStore, name: &str, path: &str) -> Vec<u8> {
    let (_, rootfs) = store.hold("test", store.find(name).unwrap().id).await.unwrap();
    let found = rootfs.lower_folders().iter().find_map(|lower| std::fs::read(lower.join(path)).ok());
    found.unwrap_or_else(|| panic!("{path} is in no layer"))
}

fn oci_index(image: &TestImage, annotations: &serde_json::Value) -> serde_json::Value {
    let manifest = image.manifest();
    json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(&manifest),
        "size": manifest.len(),
        "annotations": annotations,
    }]})
}

#[tokio::test]
async fn archives_of_every_form_and_packing_are_loaded() {
    let plain = vec![archive([("bin/", &b""[..]), ("bin/tool", b"tool")])];
    let zstd = |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let images = [
        TestImage::of("a", &plain, <[u8]>::to_vec),
        TestImage::of("a", &plain, gzipped),
        TestImage::of("a", &plain, zstd),
    ];
    for (number, image) in images.iter().enumerate() {
        let name = json!({"io.containerd.image.name": "docker.io/library/a:1"});
        let docker = image.docker_archive(&["a:1"]);
        let oci = image.oci_archive(&oci_index(image, &name), &[]);
        for (form, bytes) in [("docker", &docker), ("packed", &gzipped(&docker)), ("oci", &oci), ("zstd", &zstd(&oci))]
        {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path()).await;

            let loaded = store.load(body(bytes)).await.unwrap();

            assert_eq!(loaded[0].id, image.id(), "{form} {number}");
            assert_eq!(loaded[0].names, ["a:1"], "{form} {number}");
            assert_eq!(file_in(&store, "a:1", "bin/tool").await, b"tool", "{form} {number}");
        }
    }
}

#[tokio::test]
async fn what_is_saved_loads_as_the_same_images_with_the_same_manifests() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, other) = (open(one.path()).await, open(two.path()).await);
    load(&store, &TestImage::new("a", &[("base", "1"), ("a", "2")]), &["a:1", "a:2"]).await;
    load(&store, &TestImage::new("b", &[("base", "1"), ("b", "3")]), &["host:5000/b:1"]).await;
    let unnamed = load(&store, &TestImage::new("c", &[]), &[]).await;

    let bytes = save(&store, &["a", "host:5000/b:1", &unnamed.to_string()]).await;
    let mut loaded = other.load(body(&bytes)).await.unwrap();
    let again = other.load(body(&bytes)).await.unwrap();

    loaded.sort_by_key(|image| image.id);
    assert_eq!(loaded, again);
    assert_eq!(other.list().len(), 3);
    for image in store.list() {
        let copy = other.find(&image.id.to_string()).unwrap();
        assert_eq!((copy.manifest.digest, &copy.repo_tags), (image.manifest.digest, &image.repo_tags));
        assert_eq!(copy.layers, image.layers);
    }
    assert_eq!(file_in(&other, "host:5000/b:1", "b").await, b"3");
    assert_eq!(save(&other, &["a", "host:5000/b:1", &unnamed.to_string()]).await, bytes);
    assert_eq!(store.export(&["a".to_owned(), "none".to_owned()]).unwrap_err().to_string(), "no such image: none");
}

#[tokio::test]
async fn the_image_of_this_machine_is_chosen_from_an_index_in_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let image = TestImage::new("a", &[("a", "1")]);
    let manifest = image.manifest();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let inner = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": kind, "digest": Digest::of(b"x"), "size": 1, "platform": {"os": "linux", "architecture": "s390x"}},
        {"mediaType": kind, "digest": Digest::of(&manifest), "size": manifest.len(),
            "platform": {"os": "linux", "architecture": std::env::consts::ARCH}},
    ]});
    let inner = inner.to_string().into_bytes();
    let outer = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": Digest::of(&inner), "size": inner.len(),
        "annotations": {"org.opencontainers.image.ref.name": "1.0"},
    }]});

    let loaded = store.load(body(&image.oci_archive(&outer, &[inner]))).await.unwrap();

    assert_eq!((loaded[0].id, loaded[0].names.len()), (image.id(), 0));
}

#[tokio::test]
async fn archives_that_lie_load_nothing_and_leave_nothing() {
    let image = TestImage::new("a", &[("a", "1")]);
    let truncated = &image.docker_archive(&["a"])[..2000];
    let manifest =
        |text: &str| archive([("manifest.json", text.as_bytes()), ("c.json", &image.config), ("l", &image.layers[0])]);
    let lie = format!("blobs/sha256/{}", Digest::of(b"something else").hex());
    let mut swapped = TestImage::new("a", &[("a", "1"), ("b", "2")]);
    swapped.layers.swap(0, 1);
    let escape = TestImage::of("a", &[escaping_layer()], <[u8]>::to_vec);
    let cases: [(&str, Vec<u8>); 12] = [
        ("nothing", Vec::new()),
        ("noise", vec![7; 4096]),
        ("cut short", truncated.to_vec()),
        ("no lists", archive([("a", &b"b"[..])])),
        ("a list that is none", manifest("{}")),
        ("a missing layer", manifest(r#"[{"Config": "c.json", "Layers": ["none"]}]"#)),
        ("a missing configuration", manifest(r#"[{"Config": "none", "Layers": ["l"]}]"#)),
        ("too few layers", manifest(r#"[{"Config": "c.json", "Layers": []}]"#)),
        ("a name that is none", manifest(r#"[{"Config": "c.json", "Layers": ["l"], "RepoTags": ["A B"]}]"#)),
        ("a blob of another name", archive([(&lie[..], &b"content"[..])])),
        ("layers in another order", swapped.docker_archive(&["a"])),
        ("a layer that leads out", escape.docker_archive(&["a"])),
    ];
    for (name, bytes) in cases {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;

        let outcome = store.load(body(&bytes)).await;

        assert!(outcome.is_err(), "{name}");
        assert_eq!(store.list(), [], "{name}");
        assert_eq!(files_below(folder.path()), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_known_layer_in_another_packing_must_still_be_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    load(&store, &TestImage::new("a", &[("a", "1")]), &["a"]).await;
    // The same configuration, so the layer counts as unpacked; and something else in its place.
    let mut lie = TestImage::new("a", &[("a", "1")]);
    lie.layers[0] = gzipped(&archive([("a", &b"poison"[..])]));
    lie.config.push(b' ');

    let outcome = store.load(body(&lie.docker_archive(&["b"]))).await;

    assert!(matches!(outcome, Err(ImageError::Layer { .. })), "{outcome:?}");
    assert!(store.find("b").is_err());
}

#[tokio::test]
async fn an_archive_of_files_becomes_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let files = gzipped(&archive([("etc/", &b""[..]), ("etc/motd", b"hello")]));
    let config = RunConfig { cmd: Some(vec!["/bin/sh".to_owned()]), ..RunConfig::default() };
    let import = Import { name: "mine:1".parse().ok(), message: "Imported from -".to_owned(), config, platform: None };

    let id = store.import(body(&files), import).await.unwrap();

    let image = store.find("mine:1").unwrap();
    assert_eq!(image.id, id);
    assert_eq!(image.config.config.cmd.as_deref(), Some(&["/bin/sh".to_owned()][..]));
    assert_eq!(file_in(&store, "mine:1", "etc/motd").await, b"hello");
    let history = store.history(&image);
    assert_eq!((history[0].comment.as_str(), history[0].bytes, history[0].id), ("Imported from -", 5, Some(id)));
    assert_eq!(history[0].tags, ["mine:1"]);
    assert!(store.import(body(b"no archive"), Import::default()).await.is_err());
}

#[tokio::test]
async fn a_body_that_its_sender_gives_up_is_not_taken_for_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let files = archive([("a", &vec![1; 100_000][..])]);
    let broken = futures_util::stream::iter([
        Ok(bytes::Bytes::copy_from_slice(&files[..512])),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ]);

    let outcome = store.import(broken, Import::default()).await;

    assert!(matches!(outcome, Err(ImageError::Archive(_))), "{outcome:?}");
    assert!(Path::new(&folder.path().join("work")).read_dir().unwrap().next().is_none());
}

#[tokio::test]
async fn layers_that_the_other_side_has_are_left_out() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, other) = (open(one.path()).await, open(two.path()).await);
    load(&store, &TestImage::new("new", &[("base", "1"), ("own", "2")]), &["new"]).await;
    load(&other, &TestImage::new("old", &[("base", "1")]), &["old"]).await;
    let names = ["new".to_owned()];
    let export = store.export(&names).unwrap();
    let layers: Vec<_> = export.layers().iter().map(|layer| layer.digest).collect();

    let lacking = other.lacking(&layers);
    let known: Vec<_> = layers.iter().copied().filter(|layer| !lacking.contains(layer)).collect();
    let part = receive(export.without(&known)).await;
    let nothing = receive(store.export(&names).unwrap().without(&layers)).await;
    let refused = other.load(body(&nothing)).await.unwrap_err();
    other.load(body(&part)).await.unwrap();

    assert_eq!((layers.len(), lacking.len(), known.len()), (2, 1, 1));
    assert!(matches!(&refused, ImageError::Archive(what) if what.contains("is not known here")), "{refused:?}");
    assert_eq!(file_in(&other, "new", "own").await, b"2");
    assert_eq!(file_in(&other, "new", "base").await, b"1");
}

#[tokio::test]
async fn names_with_a_digest_are_believed_where_they_prove_themselves() {
    let image = TestImage::new("a", &[("a", "1")]);
    let digest = Digest::of(&image.manifest());
    let named = |digest: Digest| json!({"io.containerd.image.name": format!("docker.io/library/a@{digest}")});
    let honest = image.oci_archive(&oci_index(&image, &named(digest)), &[]);
    let lie = image.oci_archive(&oci_index(&image, &named(Digest::of(b"x"))), &[]);
    let tag = image.docker_archive(&[&format!("a@{}", Digest::of(b"x"))]);
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;

    let refused = [store.load(body(&lie)).await, store.load(body(&tag)).await];
    store.load(body(&honest)).await.unwrap();

    assert!(matches!(refused[0], Err(ImageError::WrongContent { .. })), "{refused:?}");
    assert!(matches!(refused[1], Err(ImageError::Archive(_))), "{refused:?}");
    assert_eq!(store.find(&format!("a@{digest}")).unwrap().id, image.id());
    // And they go on so to the next.
    let (two, saved) = (tempfile::tempdir().unwrap(), save(&store, &[&format!("a@{digest}")]).await);
    let other = open(two.path()).await;
    other.load(body(&saved)).await.unwrap();
    assert_eq!(other.find(&format!("a@{digest}")).unwrap().repo_digests, [format!("a@{digest}")]);
}
