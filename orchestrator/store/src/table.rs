//! What a table is: objects by key, with indexes that follow.
//!
//! An object is written whole, or, where a table can say what is different by itself, only that: see [`Amendment`].

use std::fmt::Debug;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use model::{Meta, Version};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Event;

/// A kind of object, its indexes and its events. Cloning shares everything.
pub(crate) trait Table: Debug + Clone + Default + Send + Sync + 'static {
    /// What an object is found by.
    type Key: Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The object.
    type Object: Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// What a small change of the object takes.
    type Amendment: Amendment<Self::Object>;

    /// Docker's word for the object.
    const KIND: &'static str;

    /// The key of an object; it never changes.
    fn key(object: &Self::Object) -> Self::Key;

    /// An object's version and times.
    fn meta(object: &Self::Object) -> &Meta;

    /// The same, to be written by the store alone.
    fn meta_mut(object: &mut Self::Object) -> &mut Meta;

    /// What follows from the version in which an object changes, where there is such a thing; `known` is what it was.
    fn settle(_object: &mut Self::Object, _known: Option<&Arc<Self::Object>>, _version: Version) {}

    /// An object by its key.
    fn get(&self, key: &Self::Key) -> Option<&Arc<Self::Object>>;

    /// Adds or replaces an object, and brings the indexes up to date.
    fn put(&mut self, object: Arc<Self::Object>);

    /// Removes an object from the table and from the indexes.
    fn remove(&mut self, key: &Self::Key) -> Option<Arc<Self::Object>>;

    /// All objects, in the order of their keys.
    fn objects(&self) -> impl Iterator<Item = &Arc<Self::Object>>;

    /// The event of an object that was created or changed; `known` is what it was.
    fn changed(object: &Self::Object, known: Option<&Arc<Self::Object>>) -> Event;

    /// The event of an object that was removed.
    fn removed(object: Arc<Self::Object>) -> Event;
}

/// A change of one object, as an entry carries it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "")]
pub(crate) enum Change<T: Table> {
    /// The object is now this; its meta is the store's business.
    Put(T::Object),
    /// Of the object, which stays, this is different now.
    Amend(T::Key, T::Amendment),
    /// The object is gone.
    Remove(T::Key),
}

/// What is different in an object after a small change.
pub(crate) trait Amendment<O>: Debug + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What leads from what is known to an object; `None` where it takes the whole object.
    fn between(known: &O, object: &O) -> Option<Self>;

    /// Makes the change.
    fn apply(self, object: &mut O);
}

/// The amendment of objects that are always written whole: there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Whole {}

impl<O> Amendment<O> for Whole {
    fn between(_known: &O, _object: &O) -> Option<Self> {
        None
    }

    fn apply(self, _object: &mut O) {
        match self {}
    }
}

/// Takes an id out of an index, and its key with the last one.
pub(crate) fn remove_from<K: Ord + Clone, I: Ord + Clone>(index: &mut OrdMap<K, OrdSet<I>>, key: &K, id: &I) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
