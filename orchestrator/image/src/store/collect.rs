//! Takes away what nothing reaches any more.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, PoisonError};

use super::folders::Work;
use super::layers::names_in;
use super::{Catalog, ImageRecord, ImageStore, Shared, blocking};
use crate::{Digest, ImageError};

/// What a collection took: it is out of sight already, and its files go when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// The unpacked layers, the uppermost first.
    pub(super) layers: Vec<Digest>,
    /// The bytes that are free again, packed and unpacked.
    pub(super) bytes: u64,
    rubbish: Vec<Work>,
}

impl Shared {
    /// Takes everything that nothing reaches: for the opening, when nobody else is there.
    pub(super) fn collect_all(&self) -> Result<(), ImageError> {
        let names = names_in(&self.folders.blobs())?;
        let blobs: Vec<Digest> = names.iter().filter_map(|name| Digest::from_hex(name).ok()).collect();
        let layers = self.layers().all();
        self.collect(blobs, layers).map(drop)
    }

    /// The same at any time, after something ended halfway. Blocks.
    pub(super) fn sweep(&self) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        warn_of(self.collect_all());
    }

    /// Takes what somebody just finished, or had pinned for that, if nobody waits for it any more. Blocks.
    pub(crate) fn sweep_stray(&self, blob: Digest, layers: impl IntoIterator<Item = Digest>) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        warn_of(self.collect([blob], layers).map(drop));
    }

    /// Takes those of these blobs and layers that nothing reaches. The caller keeps the catalog from changing.
    pub(super) fn collect(
        &self,
        blobs: impl IntoIterator<Item = Digest>,
        layers: impl IntoIterator<Item = Digest>,
    ) -> Result<Collected, ImageError> {
        let catalog = self.catalog();
        let mut collected = Collected::default();
        let live = live_blobs(&catalog);
        for blob in blobs.into_iter().collect::<BTreeSet<_>>().difference(&live) {
            let path = self.folders.blob(*blob);
            let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if let Some(work) = self.pins.unless_pinned(*blob, || self.folders.discard(&path)) {
                collected.rubbish.push(work?);
                collected.bytes += bytes;
            }
        }
        let live = self.live_layers(&catalog);
        for chain_id in layers.into_iter().filter(|chain_id| !live.contains(chain_id)) {
            if let Some(taken) = self.pins.unless_pinned(chain_id, || self.layers().take(chain_id))
                && let Some((work, bytes)) = taken?
            {
                collected.layers.push(chain_id);
                collected.bytes += bytes;
                collected.rubbish.push(work);
            }
        }
        Ok(collected)
    }

    /// Everything below an image, or below a container.
    fn live_layers(&self, catalog: &Catalog) -> BTreeSet<Digest> {
        let held: Vec<Digest> = self.holds().values().filter_map(|hold| hold.chain_id).collect();
        let layers = self.layers();
        let held = held.into_iter().flat_map(|chain_id| layers.stack(chain_id));
        catalog.images.values().flat_map(ImageRecord::chain).chain(held).collect()
    }
}

impl ImageStore {
    /// Does work that puts things in place one after the other; where it fails, or nobody waits for it any more, what it
    /// had put in place already goes.
    pub(crate) async fn swept<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut sweeper = Sweeper { shared: Some(Arc::clone(&self.shared)) };
        let outcome = work.await;
        if let Some(shared) = sweeper.shared.take().filter(|_| outcome.is_err()) {
            blocking(move || shared.sweep()).await;
        }
        outcome
    }
}

/// Sweeps when it is dropped before its work came to an end, and after what the work had pinned.
struct Sweeper {
    shared: Option<Arc<Shared>>,
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let (Some(shared), Ok(runtime)) = (self.shared.take(), tokio::runtime::Handle::try_current()) {
            drop(runtime.spawn_blocking(move || shared.sweep()));
        }
    }
}

/// Garbage harms nobody until the next start, which collects again.
fn warn_of(outcome: Result<(), ImageError>) {
    if let Err(error) = outcome {
        tracing::warn!(error = %model::with_causes(&error), "failed to collect; the next start will");
    }
}

fn live_blobs(catalog: &Catalog) -> BTreeSet<Digest> {
    catalog.images.iter().flat_map(|(id, record)| record.blobs(*id)).collect()
}
