//! Pulling from and pushing to a real registry.

use std::sync::{Arc, Mutex};

use image::{
    Credentials, Digest, ImageError, ImageStore, Progress, ProgressLine, Reference, RegistryClient, RegistryError,
    RegistrySettings, Removal, Silent,
};

use crate::debian_registry::{DebianRegistry, PASSWORD, USER};
use crate::fixture::{TestImage, archive, files_below, load, open};

/// Keeps what it hears.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<ProgressLine>>);

impl Progress for Notes {
    fn report(&self, line: ProgressLine) {
        self.0.lock().unwrap().push(line);
    }
}

impl Notes {
    fn count(&self, status: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.status == status).count()
    }
}

fn client() -> RegistryClient {
    RegistryClient::new(RegistrySettings::default()).unwrap()
}

fn somebody() -> Credentials {
    Credentials { username: USER.to_owned(), password: model::Secret::new(PASSWORD), ..Credentials::default() }
}

async fn remove_all(store: &ImageStore) {
    for image in store.list() {
        store.remove(&image.id.to_string(), Removal { is_forced: true, ..Removal::default() }).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_pushed_is_pulled_by_tag_and_by_digest() {
    let (registry, folder) = (DebianRegistry::open().await, tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    let name: Reference = format!("{}/team/app:1", registry.address).parse().unwrap();
    let noise: Vec<u8> = (0..700_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let layers = [archive([("one", &noise[..])]), archive([("two", &b"2"[..])]), archive([("three", &b"3"[..])])];
    // The layers come plain, as old versions of Docker save them, and are packed on the way.
    let image = TestImage::of("app", &layers, <[u8]>::to_vec);
    let id = load(&store, &image, &[&name.to_string()]).await;
    let (first, second, pull) = (Arc::new(Notes::default()), Arc::new(Notes::default()), Arc::new(Notes::default()));

    let pushed = client().push(&store, &name, &Credentials::default(), Arc::clone(&first) as _).await.unwrap();
    let again = client().push(&store, &name, &Credentials::default(), Arc::clone(&second) as _).await.unwrap();
    let known = store.find(&name.at(pushed.digest).to_string()).map(|image| image.id);
    let resolved = client().resolve(&name, &Credentials::default()).await.unwrap();
    remove_all(&store).await;
    let pulled = client().pull(&store, &name, None, &Credentials::default(), Arc::clone(&pull) as _).await.unwrap();

    assert_eq!((first.count("Pushed"), second.count("Layer already exists")), (3, 3));
    assert_eq!(pushed, again);
    assert_eq!(known.unwrap(), id);
    assert_eq!((resolved.descriptor.digest, resolved.descriptor.size), (pushed.digest, pushed.size));
    assert_eq!(resolved.platforms[0].os, "linux");
    assert_eq!((pulled.id, pulled.digest, pulled.is_news), (id, pushed.digest, true));
    assert_eq!((pull.count("Download complete"), pull.count("Pull complete")), (3, 3));
    assert!(pull.0.lock().unwrap().iter().any(|line| line.status == "Downloading" && line.bytes.is_some()));
    let found = store.find(&name.to_string()).unwrap();
    assert_eq!(found.repo_digests, [format!("{}/team/app@{}", registry.address, pushed.digest)]);
    let (_, rootfs) = store.hold("c", id).await.unwrap();
    assert_eq!(std::fs::read(rootfs.lower_folders()[2].join("one")).unwrap(), noise);

    let once_more = client().pull(&store, &name, None, &Credentials::default(), Arc::new(Silent)).await.unwrap();
    store.release("c").await.unwrap();
    remove_all(&store).await;
    assert_eq!(files_below(folder.path()), Vec::<String>::new());
    let by_digest = name.at(pushed.digest);
    let pinned = client().pull(&store, &by_digest, None, &Credentials::default(), Arc::new(Silent)).await.unwrap();
    assert!(!once_more.is_news && pinned.is_news);
    assert_eq!(store.list()[0].repo_tags, Vec::<String>::new());
}

#[tokio::test]
async fn a_closed_registry_opens_to_the_right_password_only() {
    let (registry, folder) = (DebianRegistry::closed().await, tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    let name: Reference = format!("{}/app", registry.address).parse().unwrap();
    let id = load(&store, &TestImage::new("app", &[("a", "1")]), &[&name.to_string()]).await;
    let wrong = Credentials { password: model::Secret::new("guess"), ..somebody() };

    let mut refused = Vec::new();
    for credentials in [Credentials::default(), wrong] {
        refused.push(client().push(&store, &name, &credentials, Arc::new(Silent)).await.unwrap_err());
    }
    client().push(&store, &name, &somebody(), Arc::new(Silent)).await.unwrap();
    let denied = client().pull(&store, &name, None, &Credentials::default(), Arc::new(Silent)).await.unwrap_err();
    let pulled = client().pull(&store, &name, None, &somebody(), Arc::new(Silent)).await.unwrap();

    refused.push(denied);
    for error in refused {
        assert!(matches!(error, ImageError::Registry(RegistryError::Denied { .. })), "{error:?}");
    }
    assert_eq!(pulled.id, id);
}

#[tokio::test]
async fn a_registry_on_this_machine_is_spoken_to_over_https_where_it_has_it() {
    let (registry, folder) = (DebianRegistry::secured().await, tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    let name: Reference = format!("{}/app", registry.address).parse().unwrap();
    let id = load(&store, &TestImage::new("app", &[("a", "1")]), &[&name.to_string()]).await;

    client().push(&store, &name, &Credentials::default(), Arc::new(Silent)).await.unwrap();
    remove_all(&store).await;
    let pulled = client().pull(&store, &name, None, &Credentials::default(), Arc::new(Silent)).await.unwrap();

    assert_eq!(pulled.id, id);
}

#[tokio::test]
async fn what_a_registry_does_not_have_is_not_found() {
    let (registry, folder) = (DebianRegistry::open().await, tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    let name: Reference = format!("{}/none:1", registry.address).parse().unwrap();

    let by_tag = client().pull(&store, &name, None, &Credentials::default(), Arc::new(Silent)).await.unwrap_err();
    let by_digest = client().resolve(&name.at(Digest::of(b"x")), &Credentials::default()).await.unwrap_err();
    let unknown = client().push(&store, &name, &Credentials::default(), Arc::new(Silent)).await.unwrap_err();

    assert_eq!(by_tag.to_string(), format!("manifest for {name} not found: manifest unknown: manifest unknown"));
    assert!(matches!(by_digest, RegistryError::NotFound(_)), "{by_digest:?}");
    assert!(matches!(unknown, ImageError::NoSuchImage(_)), "{unknown:?}");
}

#[tokio::test]
async fn many_pulls_of_images_that_share_layers_all_come_whole() {
    let (registry, folder) = (DebianRegistry::open().await, tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    let names: Vec<Reference> =
        (0..6).map(|number| format!("{}/app:{number}", registry.address).parse().unwrap()).collect();
    for (number, name) in names.iter().enumerate() {
        let image = TestImage::new(&number.to_string(), &[("base", "shared"), ("own", &number.to_string())]);
        load(&store, &image, &[&name.to_string()]).await;
        client().push(&store, name, &Credentials::default(), Arc::new(Silent)).await.unwrap();
    }
    remove_all(&store).await;
    let client = client();

    // Each twice, and all at once.
    let pulls = names.iter().chain(&names).map(|name| async {
        client.pull(&store, name, None, &Credentials::default(), Arc::new(Silent)).await.unwrap();
    });
    futures_util::future::join_all(pulls).await;

    for (number, name) in names.iter().enumerate() {
        let (_, rootfs) = store.hold("c", store.find(&name.to_string()).unwrap().id).await.unwrap();
        assert_eq!(std::fs::read_to_string(rootfs.lower_folders()[0].join("own")).unwrap(), number.to_string());
    }
    let layers = std::fs::read_dir(folder.path().join("layers")).unwrap().count();
    assert_eq!(layers, 7);
}
