//! `docker rmi`: takes names from images, and images from the node, by Docker's rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::collect::Collected;
use super::{Catalog, ImageStore, Shared, blocking};
use crate::{Digest, ImageError, Reference};

/// How to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// Also when stopped containers use it, or when it has several names.
    pub is_forced: bool,
    /// Leave parents without a name alone.
    pub keeps_parents: bool,
    /// The containers that run. Nothing takes an image from them.
    pub running: BTreeSet<String>,
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone: `alpine:latest`.
    Untagged(String),
    /// An image or an unpacked layer is gone.
    Deleted(Digest),
}

/// Why an image must stay, the strongest first.
enum Obstacle {
    Child,
    Running(String),
    Names,
    Stopped(String),
}

impl ImageStore {
    /// Removes a name, or an image by its id; the last name takes the image along. Returns what went, in Docker's order.
    ///
    /// A name of an image that also has others is only taken away. Refused with a [`ImageError::Conflict`] where
    /// containers or other images need it.
    pub async fn remove(&self, name: &str, removal: Removal) -> Result<Vec<Removed>, ImageError> {
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        blocking(move || shared.remove(&name, &removal).map(|(removed, _)| removed)).await
    }
}

impl Shared {
    /// Removes and collects; returns what went, and the bytes that are free again. Blocks.
    pub(super) fn remove(&self, name: &str, removal: &Removal) -> Result<(Vec<Removed>, u64), ImageError> {
        let (mut removed, collected) = self.change_and_collect(|catalog| {
            let before = catalog.clone();
            let mut step = Step { shared: self, removal, catalog, removed: Vec::new() };
            step.remove(name)?;
            let (removed, catalog) = (step.removed, step.catalog);
            let gone = before.images.iter().filter(|(id, _)| !catalog.images.contains_key(id));
            let (mut blobs, mut layers) = (Vec::new(), Vec::new());
            for (id, record) in gone {
                blobs.extend(record.blobs(*id));
                // The uppermost goes first, as each stands on the one below.
                layers.extend(record.chain().into_iter().rev());
            }
            Ok((removed, blobs, layers))
        })?;
        removed.extend(collected.layers.iter().map(|layer| Removed::Deleted(*layer)));
        Ok((removed, collected.bytes))
    }

    /// Changes the catalog, and then takes those of the blobs and layers that the change names which nothing reaches.
    pub(super) fn change_and_collect<T>(
        &self,
        change: impl FnOnce(&mut Catalog) -> Result<(T, Vec<Digest>, Vec<Digest>), ImageError>,
    ) -> Result<(T, Collected), ImageError> {
        let _changing = self.changing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (outcome, blobs, layers) = self.change_locked(change)?;
        Ok((outcome, self.collect(blobs, layers)?))
    }
}

/// One removal, while the catalog is nobody else's.
struct Step<'a> {
    shared: &'a Shared,
    removal: &'a Removal,
    catalog: &'a mut Catalog,
    removed: Vec<Removed>,
}

impl Step<'_> {
    fn remove(&mut self, name: &str) -> Result<(), ImageError> {
        let (id, _) = self.catalog.find(name)?;
        let named = name.parse::<Reference>().ok().filter(|reference| self.catalog.resolve(reference) == Some(id));
        match named {
            Some(reference) => {
                let key = reference.digest().map_or(reference.clone(), |digest| reference.at(digest));
                self.remove_name(id, &key)
            }
            None => self.remove_id(id),
        }
    }

    fn remove_name(&mut self, id: Digest, name: &Reference) -> Result<(), ImageError> {
        if !self.removal.is_forced && self.is_named_once(id) {
            // The image would stay without a name.
            if let Some(holder) = self.holders(id).into_iter().next() {
                return Err(ImageError::Conflict(format!(
                    "unable to remove repository reference \"{}\" (must force) - container {} is using its referenced image {}",
                    name.familiar(),
                    short(&holder),
                    id.short()
                )));
            }
        }
        self.untag(name);
        // Digests of a repository without tags are names that nobody gave.
        let is_same = |other: &&Reference| other.name() == name.name();
        if name.digest().is_none() && !self.catalog.names_of(id).filter(is_same).any(|other| other.digest().is_none()) {
            for other in self.catalog.names_of(id).filter(is_same).cloned().collect::<Vec<_>>() {
                self.untag(&other);
            }
        }
        if self.catalog.names_of(id).next().is_some() {
            return Ok(());
        }
        self.delete(id, !self.removal.is_forced, true)
    }

    fn remove_id(&mut self, id: Digest) -> Result<(), ImageError> {
        if self.is_named_once(id) {
            if let Some(obstacle) = self.obstacle(id, !self.removal.is_forced, true) {
                return Err(obstacle.conflict(id));
            }
            for name in self.catalog.names_of(id).cloned().collect::<Vec<_>>() {
                self.untag(&name);
            }
        }
        self.delete(id, !self.removal.is_forced, false)
    }

    /// Takes the image, and those that only led to it. `is_quiet`: what is still needed stays, without a word.
    fn delete(&mut self, id: Digest, heeds_stopped: bool, is_quiet: bool) -> Result<(), ImageError> {
        if let Some(obstacle) = self.obstacle(id, heeds_stopped, false) {
            let is_used = matches!(obstacle, Obstacle::Running(_) | Obstacle::Stopped(_));
            let has_names = self.catalog.names_of(id).next().is_some();
            return if is_quiet && (!has_names || is_used) { Ok(()) } else { Err(obstacle.conflict(id)) };
        }
        for name in self.catalog.names_of(id).cloned().collect::<Vec<_>>() {
            self.untag(&name);
        }
        let record = self.catalog.images.remove(&id);
        self.removed.push(Removed::Deleted(id));
        let parent = record.and_then(|record| record.parent).filter(|_| !self.removal.keeps_parents);
        match parent.filter(|parent| self.catalog.images.contains_key(parent)) {
            // A parent with a name is somebody's own.
            Some(parent) if self.catalog.names_of(parent).next().is_none() => self.delete(parent, true, true),
            Some(_) | None => Ok(()),
        }
    }

    fn untag(&mut self, name: &Reference) {
        self.catalog.references.remove(name);
        self.removed.push(Removed::Untagged(name.familiar()));
    }

    /// Whether all names of an image are one tag, and digests of its repository.
    fn is_named_once(&self, id: Digest) -> bool {
        let names: Vec<_> = self.catalog.names_of(id).collect();
        let tags = names.iter().filter(|name| name.digest().is_none()).count();
        let repositories: BTreeSet<_> = names.iter().map(|name| name.name()).collect();
        tags <= 1 && repositories.len() == 1
    }

    fn holders(&self, id: Digest) -> Vec<String> {
        self.shared.holds().values().filter(|hold| hold.image == id).map(|hold| hold.holder.clone()).collect()
    }

    fn obstacle(&self, id: Digest, heeds_soft: bool, ignores_names: bool) -> Option<Obstacle> {
        if self.catalog.children_of(id).next().is_some() {
            return Some(Obstacle::Child);
        }
        let holders = self.holders(id);
        if let Some(holder) = holders.iter().find(|holder| self.removal.running.contains(*holder)) {
            return Some(Obstacle::Running(holder.clone()));
        }
        if !heeds_soft {
            return None;
        }
        if !ignores_names && self.catalog.names_of(id).next().is_some() {
            return Some(Obstacle::Names);
        }
        holders.into_iter().next().map(Obstacle::Stopped)
    }
}

impl Obstacle {
    fn conflict(self, id: Digest) -> ImageError {
        let (force, what) = match self {
            Self::Child => ("cannot be forced", "image has dependent child images".to_owned()),
            Self::Running(holder) => {
                ("cannot be forced", format!("image is being used by running container {}", short(&holder)))
            }
            Self::Names => ("must be forced", "image is referenced in multiple repositories".to_owned()),
            Self::Stopped(holder) => {
                ("must be forced", format!("image is being used by stopped container {}", short(&holder)))
            }
        };
        ImageError::Conflict(format!("unable to delete {} ({force}) - {what}", id.short()))
    }
}

/// The first 12 letters of a container's id.
fn short(holder: &str) -> String {
    holder.chars().take(12).collect()
}
