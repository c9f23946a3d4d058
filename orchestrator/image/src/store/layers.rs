//! The unpacked layers, each named by its chain: itself and all below.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folders::{Folders, read_document, write_document};
use crate::unpack::{UnpackLimits, remove_tree, unpack};
use crate::{Digest, ImageError};

/// Where Linux says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What is kept about an unpacked layer, in `layer.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LayerNote {
    /// The chain below.
    parent: Option<Digest>,
    /// The bytes of its files.
    bytes: u64,
    /// The boot that it was unpacked in. A layer is many files, which are not synced one by one: after a power failure
    /// it is unpacked again, unless it was synced.
    boot: String,
    /// Whether all of it has reached the disk.
    is_synced: bool,
}

/// An unpacked layer that is there.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    note: LayerNote,
    /// Its name in `l/`.
    link: u64,
}

/// The unpacked layers that are there. Belongs into a lock, which nobody holds while a layer is unpacked.
#[derive(Debug)]
pub(crate) struct LayerTable {
    folders: Folders,
    boot: String,
    layers: BTreeMap<Digest, Layer>,
    next_link: u64,
}

impl LayerTable {
    /// Finds the layers of an earlier process that may be believed, and takes all others away.
    pub(crate) fn open(folders: &Folders) -> Result<Self, ImageError> {
        let mut table = Self { folders: folders.clone(), boot: boot_id()?, layers: BTreeMap::new(), next_link: 0 };
        let links = folders.links();
        remove_tree(&links).and_then(|()| fs::create_dir(&links)).map_err(ImageError::io("empty", &links))?;
        for name in names_in(&folders.layers())? {
            let path = folders.layers().join(&name);
            let note = read_document::<LayerNote>(&path.join("layer.json")).ok().flatten();
            let note = note.filter(|note| note.is_synced || note.boot == table.boot);
            match (Digest::from_hex(&name), note) {
                (Ok(chain_id), Some(note)) => table.link(chain_id, note)?,
                _ => drop(folders.discard(&path)?),
            }
        }
        Ok(table)
    }

    /// Whether a layer is there.
    pub(crate) fn contains(&self, chain_id: Digest) -> bool {
        self.layers.contains_key(&chain_id)
    }

    /// The bytes of a layer's files, if it is there.
    pub(crate) fn bytes(&self, chain_id: Digest) -> Option<u64> {
        self.layers.get(&chain_id).map(|layer| layer.note.bytes)
    }

    /// All layers that are there.
    pub(crate) fn all(&self) -> Vec<Digest> {
        self.layers.keys().copied().collect()
    }

    /// A layer's name in `l/`, for the options of a mount.
    pub(crate) fn link_of(&self, chain_id: Digest) -> Option<String> {
        self.layers.get(&chain_id).map(|layer| link_name(layer.link))
    }

    /// A layer and all below it, the uppermost first, as far as they are there.
    pub(crate) fn stack(&self, chain_id: Digest) -> Vec<Digest> {
        std::iter::successors(Some(chain_id), |id| self.layers.get(id)?.note.parent).collect()
    }

    /// Notes a layer that was put in its place.
    fn link(&mut self, chain_id: Digest, note: LayerNote) -> Result<(), ImageError> {
        let number = self.next_link;
        self.next_link += 1;
        let link = self.folders.links().join(link_name(number));
        let target = format!("../layers/{}/diff", chain_id.hex());
        symlink(target, &link).map_err(ImageError::io("create", &link))?;
        self.layers.insert(chain_id, Layer { note, link: number });
        Ok(())
    }

    /// Takes a layer out. What is returned removes its files when it is dropped, outside of the lock.
    pub(crate) fn take(&mut self, chain_id: Digest) -> Result<Option<(super::folders::Work, u64)>, ImageError> {
        let Some(layer) = self.layers.remove(&chain_id) else { return Ok(None) };
        let work = self.folders.discard(&self.folders.layer(chain_id))?;
        let link = self.folders.links().join(link_name(layer.link));
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ImageError::io("remove", &link)(error)),
            Ok(()) | Err(_) => Ok(Some((work, layer.note.bytes))),
        }
    }

    /// The layers that have not reached the disk for certain.
    fn unsynced(&self) -> BTreeSet<Digest> {
        self.layers.iter().filter(|(_, layer)| !layer.note.is_synced).map(|(id, _)| *id).collect()
    }
}

/// A layer to be unpacked.
#[derive(Debug, Clone)]
pub(crate) struct Unpacking {
    pub(crate) chain_id: Digest,
    pub(crate) parent: Option<Digest>,
    pub(crate) diff_id: Digest,
    /// The packed layer.
    pub(crate) blob: Digest,
    pub(crate) limits: UnpackLimits,
}

impl Unpacking {
    /// Unpacks the layer, whose parent is there, and puts it in place; returns the bytes of its files. One at a time for
    /// each layer.
    pub(crate) fn run(
        &self,
        table: &std::sync::Mutex<LayerTable>,
        on_progress: impl FnMut(u64),
    ) -> Result<u64, ImageError> {
        let locked = || table.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (folders, boot, lowers) = {
            let table = locked();
            let lowers: Vec<PathBuf> = match self.parent {
                None => Vec::new(),
                Some(parent) => table.stack(parent).iter().map(|id| table.folders.layer(*id).join("diff")).collect(),
            };
            (table.folders.clone(), table.boot.clone(), lowers)
        };
        let work = folders.work();
        let diff = work.path().join("diff");
        fs::create_dir(work.path()).and_then(|()| fs::create_dir(&diff)).map_err(ImageError::io("create", &diff))?;
        let blob = folders.blob(self.blob);
        let packed = File::open(&blob).map_err(ImageError::io("open", &blob))?;
        let bytes = unpack(packed, &diff, &lowers, self.diff_id, self.limits, on_progress)
            .map_err(ImageError::layer(self.blob))?;
        let note = LayerNote { parent: self.parent, bytes, boot, is_synced: false };
        write_document(&work.path().join("layer.json"), &note)?;
        let mut table = locked();
        if !table.contains(self.chain_id) {
            work.publish(&folders.layer(self.chain_id))?;
            table.link(self.chain_id, note)?;
        }
        Ok(bytes)
    }
}

/// Writes all layers out, so that they outlive a power failure. Blocks for as long as the disk takes.
pub(crate) fn sync_layers(table: &std::sync::Mutex<LayerTable>) -> Result<(), ImageError> {
    let locked = || table.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (folders, unsynced) = {
        let table = locked();
        (table.folders.clone(), table.unsynced())
    };
    if unsynced.is_empty() {
        return Ok(());
    }
    let root = folders.layers();
    let file = File::open(&root).map_err(ImageError::io("open", &root))?;
    rustix::fs::syncfs(&file).map_err(|error| ImageError::io("write out", &root)(error.into()))?;
    for chain_id in unsynced {
        let mut table = locked();
        let Some(layer) = table.layers.get_mut(&chain_id) else { continue };
        layer.note.is_synced = true;
        let note = layer.note.clone();
        write_document(&folders.layer(chain_id).join("layer.json"), &note)?;
    }
    Ok(())
}

/// Which boot this is: what is not synced is there until the next one.
pub(crate) fn boot_id() -> Result<String, ImageError> {
    let text = fs::read_to_string(BOOT_ID).map_err(ImageError::io("read", Path::new(BOOT_ID)))?;
    Ok(text.trim().to_owned())
}

/// Short, because a page must hold 127 of them.
fn link_name(number: u64) -> String {
    format!("{number:x}")
}

pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, ImageError> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    let names: io::Result<Vec<String>> = read();
    names.map_err(ImageError::io("read", folder))
}
