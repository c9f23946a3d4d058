//! Images from one store to another, past sources that lie, break off and never end.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use image::{BlobSource, Digest, FetchError, ImageError, ImageStore, Reference, UnpackLimits};
use serde_json::json;
use tokio_util::io::ReaderStream;

use crate::crash::SmallDisk;
use crate::fixture::{TestImage, archive, body, load, open};
use crate::hostile::assert_nothing_left;

/// A store as a source, and what it was asked for.
#[derive(Debug)]
struct Honest {
    store: ImageStore,
    asked: Mutex<Vec<Digest>>,
}

impl Honest {
    fn new(store: &ImageStore) -> Arc<Self> {
        Arc::new(Self { store: store.clone(), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<Digest> {
        self.asked.lock().unwrap().clone()
    }
}

impl BlobSource for Honest {
    fn read(&self, digest: Digest) -> BoxStream<'static, io::Result<Bytes>> {
        self.asked.lock().unwrap().push(digest);
        let store = self.store.clone();
        let opened = async move {
            let (file, _) = store.blob(digest).await.map_err(io::Error::other)?.ok_or(io::ErrorKind::NotFound)?;
            Ok::<_, io::Error>(ReaderStream::new(tokio::fs::File::from_std(file)))
        };
        stream::once(opened).try_flatten().boxed()
    }
}

/// How a source cheats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cheat {
    OtherBytes,
    Endless,
    TooShort,
    BreaksOff,
}

/// A source that is honest about documents, if it is let, and cheats about the rest.
#[derive(Debug)]
struct Cheating {
    honest: Arc<Honest>,
    /// The blob that it cheats about.
    about: Digest,
    cheat: Cheat,
    cheated: AtomicUsize,
}

impl BlobSource for Cheating {
    fn read(&self, digest: Digest) -> BoxStream<'static, io::Result<Bytes>> {
        if digest != self.about {
            return self.honest.read(digest);
        }
        self.cheated.fetch_add(1, Ordering::Relaxed);
        let noise = || stream::repeat_with(|| Ok(Bytes::from(vec![7; 100_000])));
        match self.cheat {
            Cheat::OtherBytes => {
                let other = |piece: io::Result<Bytes>| {
                    piece.map(|bytes| Bytes::from(bytes.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()))
                };
                self.honest.read(digest).map(other).boxed()
            }
            Cheat::Endless => noise().boxed(),
            Cheat::TooShort => self.honest.read(digest).map_ok(|bytes| bytes.slice(..bytes.len() / 2)).take(1).boxed(),
            Cheat::BreaksOff => {
                stream::iter([Ok(Bytes::from_static(b"x")), Err(io::ErrorKind::ConnectionReset.into())]).boxed()
            }
        }
    }
}

fn two_layers() -> TestImage {
    TestImage::new("web", &[("a", "1"), ("b", "2")])
}

fn reference(name: &str) -> Reference {
    name.parse().unwrap()
}

/// Two stores, and an image in the first.
struct Pair {
    here: tempfile::TempDir,
    store: ImageStore,
    _there: tempfile::TempDir,
    other: ImageStore,
}

async fn pair(image: &TestImage) -> Pair {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, other) = (open(here.path()).await, open(there.path()).await);
    load(&other, image, &["web:1"]).await;
    Pair { here, store, _there: there, other }
}

#[tokio::test]
async fn an_image_comes_from_another_store_under_its_name_and_only_what_is_missing_is_asked_for() {
    let image = two_layers();
    let pair = pair(&image).await;
    let store = &pair.store;
    let other = &pair.other;
    let base = TestImage::new("base", &[("a", "1")]);
    load(store, &base, &["base:1"]).await;
    let source = Honest::new(other);
    let sources: [Arc<dyn BlobSource>; 1] = [source.clone()];
    let offer = other.offer("web:1").unwrap();

    let fetched = store.fetch(&sources, &offer.document, Some(reference("web:1"))).await.unwrap();
    let again = store.fetch(&sources, &offer.document, Some(reference("web:1"))).await.unwrap();

    assert_eq!((fetched.id, fetched.spoiled, again.received), (image.id(), 0, 0));
    assert_eq!(store.find("web:1").unwrap().id, image.id());
    assert_eq!(store.offer("web:1").unwrap(), offer);
    let upper = Digest::of(&image.layers[1]);
    assert_eq!(source.asked(), [offer.document.digest, image.id(), upper]);
}

#[tokio::test]
async fn an_index_leads_to_the_image_for_this_machine_and_is_kept_with_it() {
    let image = two_layers();
    let manifest = image.manifest();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let entry = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": Digest::of(&manifest),
        "size": manifest.len(), "platform": {"os": "linux", "architecture": architecture},
    });
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry]})
    .to_string()
    .into_bytes();
    let digest = Digest::of(&index);
    let listed = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": index.len(),
        "annotations": {"io.containerd.image.name": format!("docker.io/library/web@{digest}")},
    }]});
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, other) = (open(here.path()).await, open(there.path()).await);
    other.load(body(&image.oci_archive(&listed, &[index]))).await.unwrap();
    let name = format!("web:1@{digest}");
    let offer = other.offer(&name).unwrap();

    let name: Reference = name.parse().unwrap();
    let fetched = store.fetch(&[Honest::new(&other)], &offer.document, Some(name.at(digest))).await.unwrap();

    assert_eq!((offer.document.digest, fetched.id), (digest, image.id()));
    assert_eq!(store.find(&name.to_string()).unwrap().id, image.id());
    assert_eq!(store.offer(&name.to_string()).unwrap(), offer);
}

#[tokio::test]
async fn whoever_cheats_is_asked_for_nothing_more_and_the_next_one_gives_it() {
    let image = two_layers();
    for cheat in [Cheat::OtherBytes, Cheat::Endless, Cheat::TooShort, Cheat::BreaksOff] {
        let pair = pair(&image).await;
        let store = &pair.store;
        let other = &pair.other;
        let offer = other.offer("web:1").unwrap();
        for about in [offer.document.digest, image.id(), Digest::of(&image.layers[0])] {
            let honest = Honest::new(other);
            let cheating = Arc::new(Cheating { honest: honest.clone(), about, cheat, cheated: AtomicUsize::new(0) });

            let fetched =
                store.fetch(&[cheating.clone(), honest], &offer.document, Some(reference("web:1"))).await.unwrap();

            assert_eq!((fetched.id, fetched.spoiled), (image.id(), 1), "{cheat:?} about {about}");
            assert_eq!(cheating.cheated.load(Ordering::Relaxed), 1, "{cheat:?} about {about}");
            store.remove("web:1", image::Removal::default()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn where_all_cheat_nothing_is_left() {
    let image = two_layers();
    for cheat in [Cheat::OtherBytes, Cheat::Endless, Cheat::TooShort, Cheat::BreaksOff] {
        let pair = pair(&image).await;
        let here = &pair.here;
        let store = &pair.store;
        let other = &pair.other;
        let offer = other.offer("web:1").unwrap();
        let about = Digest::of(&image.layers[1]);
        let cheating = Cheating { honest: Honest::new(other), about, cheat, cheated: AtomicUsize::new(0) };

        let error = store.fetch(&[Arc::new(cheating)], &offer.document, Some(reference("web:1"))).await.unwrap_err();

        assert!(matches!(&error, FetchError::NotGiven { digest, .. } if *digest == about), "{error:?}");
        assert_eq!(store.list(), []);
        assert_nothing_left(here.path()).await;
    }
}

#[tokio::test]
async fn a_document_that_is_said_to_be_shorter_than_it_is_is_not_taken() {
    let image = two_layers();
    let pair = pair(&image).await;
    let store = &pair.store;
    let other = &pair.other;
    let mut document = other.offer("web:1").unwrap().document;
    document.size -= 1;

    let error = store.fetch(&[Honest::new(other)], &document, None).await.unwrap_err();

    assert!(matches!(error, FetchError::NotGiven { .. }), "{error:?}");
}

#[tokio::test]
async fn an_image_that_is_larger_than_this_node_takes_is_not_asked_for() {
    let plain = archive([("noise", &vec![9; 200_000][..])]);
    let image = TestImage::of("large", &[plain], <[u8]>::to_vec);
    let pair = pair(&image).await;
    let other = &pair.other;
    let here = tempfile::tempdir().unwrap();
    let limits = UnpackLimits { bytes: 100_000, ..UnpackLimits::default() };
    let store = ImageStore::open(here.path(), Vec::new(), limits).await.unwrap();
    let offer = other.offer("web:1").unwrap();
    let source = Honest::new(other);
    let sources: [Arc<dyn BlobSource>; 1] = [source.clone()];

    let error = store.fetch(&sources, &offer.document, None).await.unwrap_err();

    assert!(matches!(error, FetchError::Image(ImageError::TooLarge { .. })), "{error:?}");
    assert!(!source.asked().contains(&Digest::of(&image.layers[0])));
    assert_nothing_left(here.path()).await;
}

#[tokio::test]
async fn whoever_gives_up_in_the_middle_leaves_nothing() {
    let image = two_layers();
    let pair = pair(&image).await;
    let here = &pair.here;
    let store = &pair.store;
    let other = &pair.other;
    let offer = other.offer("web:1").unwrap();
    let about = Digest::of(&image.layers[0]);
    let (reached, stuck) = tokio::sync::oneshot::channel();
    let source = Arc::new(Stuck { honest: Honest::new(other), about, reached: Mutex::new(Some(reached)) });

    let sources: [Arc<dyn BlobSource>; 1] = [source];
    let mut fetch = Box::pin(store.fetch(&sources, &offer.document, None));
    tokio::select! {
        outcome = &mut fetch => panic!("{outcome:?}"),
        outcome = stuck => outcome.unwrap(),
    }
    drop(fetch);

    assert_nothing_left(here.path()).await;
    store.fetch(&[Honest::new(other)], &offer.document, Some(reference("web:1"))).await.unwrap();
}

/// A source that says when it is asked for a blob, and then nothing more.
#[derive(Debug)]
struct Stuck {
    honest: Arc<Honest>,
    about: Digest,
    reached: Mutex<Option<tokio::sync::oneshot::Sender<()>>>,
}

impl BlobSource for Stuck {
    fn read(&self, digest: Digest) -> BoxStream<'static, io::Result<Bytes>> {
        if digest != self.about {
            return self.honest.read(digest);
        }
        self.reached.lock().unwrap().take().unwrap().send(()).unwrap();
        stream::pending().boxed()
    }
}

#[tokio::test]
async fn a_name_that_pins_an_image_which_is_here_is_one_of_its_names() {
    let image = two_layers();
    let pair = pair(&image).await;
    let store = &pair.other;
    let digest = store.find("web:1").unwrap().manifest.digest;
    let pinned: Reference = format!("web:1@{digest}").parse().unwrap();
    let other: Reference = format!("web:1@{}", Digest::of(b"another")).parse().unwrap();

    assert!(store.find(&pinned.to_string()).is_err());
    let adopted = store.adopt(&pinned).await.unwrap();
    let not_here = store.adopt(&other).await.unwrap();
    let not_pinned = store.adopt(&"web:2".parse().unwrap()).await.unwrap();

    assert_eq!((adopted, not_here, not_pinned), (Some(image.id()), None, None));
    assert_eq!(store.find(&pinned.to_string()).unwrap().id, image.id());
}

#[tokio::test]
async fn what_is_offered_is_named_in_full() {
    let image = two_layers();
    let pair = pair(&image).await;
    let store = &pair.other;
    let id = image.id();

    assert!(store.offer(&id.to_string()).is_ok());
    for name in ["web:2".to_owned(), id.short(), id.hex()[..6].to_owned(), "WEB".to_owned()] {
        assert!(store.offer(&name).is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing() {
    let zeros = vec![0; 8 << 20];
    let image = TestImage::of("large", &[archive([("zeros", &zeros[..])])], <[u8]>::to_vec);
    let pair = pair(&image).await;
    let other = &pair.other;
    let disk = SmallDisk::new();
    let root = disk.0.path().join("store");
    let store = open(&root).await;
    let offer = other.offer("web:1").unwrap();

    let error = store.fetch(&[Honest::new(other)], &offer.document, Some(reference("web:1"))).await.unwrap_err();

    assert!(matches!(error, FetchError::Image(ImageError::NoSpace(_))), "{error:?}");
    assert_eq!(store.list(), []);
    assert_nothing_left(&root).await;
}
