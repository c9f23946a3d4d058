//! What a table is: objects by key, with indexes that follow.

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

    /// The event of an object that was created or changed.
    fn changed(object: &Self::Object) -> Event;

    /// The event of an object that was removed.
    fn removed(object: Arc<Self::Object>) -> Event;
}

/// A change of one object, as an entry carries it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "")]
pub(crate) enum Change<T: Table> {
    /// The object is now this; its meta is the store's business.
    Put(T::Object),
    /// The object is gone.
    Remove(T::Key),
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
