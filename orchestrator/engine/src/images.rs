//! The images of a node, and what the node says of them: every change is an event, in Docker's words.

mod registry;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::Stream;
use image::{
    Digest, Export, Image, ImageError, ImageStore, Import, Loaded, PruneFilter, Pruned, Reference, RegistryClient,
    RegistrySettings, Removal, Removed,
};

use crate::container::Containers;
use crate::describe::EngineSettings;
use crate::event::{Actor, EventKind, EventLog};

/// The images of a node. Whoever changes them does so here, so that it is told.
#[derive(Debug)]
pub struct Images {
    store: ImageStore,
    settings: RegistrySettings,
    registries: Mutex<Option<RegistryClient>>,
    events: Arc<EventLog>,
    containers: Containers,
}

impl Images {
    pub(crate) fn new(settings: &EngineSettings, containers: Containers, events: Arc<EventLog>) -> Self {
        let store = containers.images().clone();
        let settings =
            RegistrySettings { insecure: settings.insecure_registries.clone(), ..RegistrySettings::default() };
        Self { store, settings, registries: Mutex::default(), events, containers }
    }

    /// The store, to look at images and to stand containers on them.
    pub fn store(&self) -> &ImageStore {
        &self.store
    }

    /// Loads the images of an archive, as `docker save` writes it.
    pub async fn load(&self, body: impl Stream<Item = io::Result<Bytes>>) -> Result<Vec<Loaded>, ImageError> {
        let loaded = self.store.load(body).await?;
        for image in &loaded {
            self.publish_by_id("load", image.id, &self.labels(image.id));
        }
        Ok(loaded)
    }

    /// Makes an image from an archive of files. Returns its id.
    pub async fn import(
        &self,
        body: impl Stream<Item = io::Result<Bytes>>,
        import: Import,
    ) -> Result<Digest, ImageError> {
        let name = import.name.clone();
        let id = self.store.import(body, import).await?;
        let labels = self.labels(id);
        if let Some(name) = name {
            self.publish("tag", &id.to_string(), &name.familiar(), &labels);
        }
        self.publish_by_id("import", id, &labels);
        Ok(id)
    }

    /// Chooses what to save: by name with its tag, by id, or by repository (all its tags).
    pub fn export(&self, names: &[String]) -> Result<Export, ImageError> {
        let export = self.store.export(names)?;
        let images = self.store.list();
        for image in images.iter().filter(|image| names.iter().any(|name| self.is_meant(image, name))) {
            self.publish_by_id("save", image.id, &image.config.config.labels);
        }
        Ok(export)
    }

    /// Names an image. Another image that had the name loses it.
    pub async fn tag(&self, source: &str, target: &Reference) -> Result<Digest, ImageError> {
        let id = self.store.tag(source, target).await?;
        self.publish("tag", &id.to_string(), &target.familiar(), &self.labels(id));
        Ok(id)
    }

    /// Removes a name, or an image by its id; the last name takes the image along. Returns what went, in Docker's order.
    ///
    /// `is_forced`: also when stopped containers use it, or when it has several names. `keeps_parents`: leaves parents
    /// without a name alone. Nothing takes an image from a container that runs.
    pub async fn remove(&self, name: &str, is_forced: bool, keeps_parents: bool) -> Result<Vec<Removed>, ImageError> {
        let before = self.store.list();
        let running = self.containers.list().into_iter().filter(|container| container.state.status.is_running());
        let running = running.map(|container| container.record.id.clone()).collect();
        let removed = self.store.remove(name, Removal { is_forced, keeps_parents, running }).await?;
        self.publish_removed(&before, &removed);
        Ok(removed)
    }

    /// Removes the images that no container uses and the filter allows.
    pub async fn prune(&self, filter: PruneFilter) -> Result<Pruned, ImageError> {
        let before = self.store.list();
        let pruned = self.store.prune(filter).await?;
        self.publish_removed(&before, &pruned.removed);
        let attributes = BTreeMap::from([("reclaimed".to_owned(), pruned.bytes.to_string())]);
        self.publish_event("prune", Actor { id: String::new(), attributes });
        Ok(pruned)
    }

    /// Whether a name that is saved means this image.
    fn is_meant(&self, image: &Image, name: &str) -> bool {
        let is_repository = !name.rsplit('/').next().unwrap_or_default().contains([':', '@']);
        let repository = name.parse().ok().filter(|_| is_repository).map(|reference: Reference| reference.name());
        let has_repository = |tag: &String| tag.parse().ok().map(|tag: Reference| tag.name()) == repository;
        repository.is_some() && image.repo_tags.iter().any(has_repository)
            || self.store.find(name).is_ok_and(|found| found.id == image.id)
    }

    /// What is gone was something before: a name of an image that was still there, an image, or a layer, of which
    /// nothing is said.
    fn publish_removed(&self, before: &[Image], removed: &[Removed]) {
        for step in removed {
            match step {
                Removed::Untagged(name) => {
                    let had = |image: &&Image| image.repo_tags.contains(name) || image.repo_digests.contains(name);
                    if let Some(image) = before.iter().find(had) {
                        self.publish_by_id("untag", image.id, &image.config.config.labels);
                    }
                }
                Removed::Deleted(id) if before.iter().any(|image| image.id == *id) => {
                    self.publish_by_id("delete", *id, &BTreeMap::new());
                }
                Removed::Deleted(_) => {}
            }
        }
    }

    fn labels(&self, id: Digest) -> BTreeMap<String, String> {
        self.store.find(&id.to_string()).map(|image| image.config.config.labels.clone()).unwrap_or_default()
    }

    fn publish_by_id(&self, action: &str, id: Digest, labels: &BTreeMap<String, String>) {
        self.publish(action, &id.to_string(), &id.to_string(), labels);
    }

    /// The labels of an image and its name are what else is said of it.
    fn publish(&self, action: &str, id: &str, name: &str, labels: &BTreeMap<String, String>) {
        let mut attributes = labels.clone();
        attributes.insert("name".to_owned(), name.to_owned());
        self.publish_event(action, Actor { id: id.to_owned(), attributes });
    }

    fn publish_event(&self, action: &str, actor: Actor) {
        self.events.tell(EventKind::Image, action, &actor.id, actor.attributes);
    }
}
