//! What work in progress needs, and must not be collected meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Digest;

/// How many pieces of work need each blob or layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pins {
    counts: Arc<Mutex<HashMap<Digest, usize>>>,
}

/// Keeps some blobs or layers until it is dropped.
#[derive(Debug)]
pub(crate) struct Pinned {
    pins: Pins,
    digests: Vec<Digest>,
}

impl Pins {
    /// Keeps these from now on. Whether they are there is looked at afterwards.
    pub(crate) fn pin(&self, digests: impl IntoIterator<Item = Digest>) -> Pinned {
        let digests: Vec<_> = digests.into_iter().collect();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in &digests {
            *counts.entry(*digest).or_default() += 1;
        }
        Pinned { pins: self.clone(), digests }
    }

    /// Runs something that takes a blob or layer away, unless somebody needs it. Nobody can begin to, meanwhile.
    pub(crate) fn unless_pinned<T>(&self, digest: Digest, take: impl FnOnce() -> T) -> Option<T> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        (!counts.contains_key(&digest)).then(take)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut counts = self.pins.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in &self.digests {
            if let Some(count) = counts.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(digest);
                }
            }
        }
    }
}
