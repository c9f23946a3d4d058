//! Takes an archive of images apart, in one pass and whatever the order of its entries: files aside, links noted.

use std::collections::HashMap;
use std::io::Read;

use serde::de::DeserializeOwned;

use crate::manifest::DOCUMENT_LIMIT;
use crate::store::{Folders, SealedBlob, seal_blob};
use crate::unpack::{Archive, ArchiveError, Kind, Metered, UnpackLimits};
use crate::{Digest, ImageError, LayerError};

/// The most files in an archive: Docker writes three a layer and three an image.
const FILE_LIMIT: usize = 20_000;
/// Where the files lie that are named by their digest.
const BLOBS: &str = "blobs/sha256/";
/// How many links may lead to a file, one through the other.
const LINK_LIMIT: usize = 8;

/// An archive that was taken apart. Its files go when it is dropped.
#[derive(Debug)]
pub(super) struct Bundle {
    files: HashMap<String, SealedBlob>,
    links: HashMap<String, String>,
}

impl Bundle {
    /// Reads the archive to its end. Blocks.
    pub(super) fn read(folders: &Folders, packed: impl Read, limits: UnpackLimits) -> Result<Self, ImageError> {
        let mut metered = Metered::new(packed, limits).map_err(|error| failed(&error))?;
        let mut archive = Archive::new(&mut metered);
        let mut bundle = Self { files: HashMap::new(), links: HashMap::new() };
        loop {
            let entry = match archive.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(bundle),
                Err(error) => return Err(failed(&archive.into_inner().explain(error))),
            };
            if bundle.files.len() + bundle.links.len() >= FILE_LIMIT {
                return Err(ImageError::Archive(format!("it has more than {FILE_LIMIT} files")));
            }
            let path = normal("", &String::from_utf8_lossy(&entry.path))?;
            let link = String::from_utf8_lossy(&entry.link).into_owned();
            match entry.kind {
                Kind::File => {
                    let sealed = seal_blob(folders, archive.contents(), entry.size);
                    let sealed = match sealed {
                        Err(ImageError::Archive(what)) => {
                            let cause = ArchiveError::Read(std::io::Error::other(what));
                            return Err(failed(&archive.into_inner().explain(cause)));
                        }
                        outcome => outcome?,
                    };
                    if let Some(expected) = named_digest(&path)
                        && expected != sealed.digest
                    {
                        return Err(ImageError::WrongContent { expected, found: sealed.digest });
                    }
                    bundle.files.insert(path, sealed);
                }
                Kind::Symlink => {
                    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                    let target = normal(folder, &link)?;
                    bundle.links.insert(path, target);
                }
                Kind::Hardlink => {
                    let target = normal("", &link)?;
                    bundle.links.insert(path, target);
                }
                Kind::Folder | Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {}
            }
        }
    }

    /// The file of this path, if there is one.
    pub(super) fn find(&self, path: &str) -> Option<&SealedBlob> {
        self.files.get(&self.target(path))
    }

    /// The file of this path.
    pub(super) fn file(&self, path: &str) -> Result<&SealedBlob, ImageError> {
        self.find(path).ok_or_else(|| ImageError::Archive(format!("`{path}` is missing")))
    }

    /// Puts the file of this path among the store's blobs. The caller has it pinned; it is found here as before.
    pub(super) fn publish(&mut self, path: &str, folders: &Folders) -> Result<(), ImageError> {
        let target = self.target(path);
        match self.files.get_mut(&target) {
            Some(file) => file.publish(folders),
            None => Err(ImageError::Archive(format!("`{path}` is missing"))),
        }
    }

    /// The text of a short file.
    pub(super) fn text(&self, path: &str) -> Result<Vec<u8>, ImageError> {
        let file = self.file(path)?;
        if file.size > DOCUMENT_LIMIT {
            return Err(ImageError::TooLarge { what: format!("`{path}`"), limit: DOCUMENT_LIMIT });
        }
        std::fs::read(file.path()).map_err(ImageError::io("read", file.path()))
    }

    /// A short file that holds JSON.
    pub(super) fn document<T: DeserializeOwned>(&self, path: &str) -> Result<T, ImageError> {
        let text = self.text(path)?;
        serde_json::from_slice(&text).map_err(|error| ImageError::Archive(format!("`{path}` cannot be read: {error}")))
    }

    /// Where links lead.
    fn target(&self, path: &str) -> String {
        let mut path = normal("", path).unwrap_or_default();
        for _ in 0..LINK_LIMIT {
            match self.links.get(&path) {
                Some(next) => path.clone_from(next),
                None => break,
            }
        }
        path
    }
}

/// The digest that a blob's path names.
pub(super) fn named_digest(path: &str) -> Option<Digest> {
    Digest::from_hex(path.strip_prefix(BLOBS)?).ok()
}

/// The path of a blob in an archive.
pub(super) fn blob_path(digest: Digest) -> String {
    format!("{BLOBS}{}", digest.hex())
}

fn failed(error: &LayerError) -> ImageError {
    ImageError::Archive(model::with_causes(error))
}

/// A path without dots, from the archive's root.
fn normal(folder: &str, path: &str) -> Result<String, ImageError> {
    let folder = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(ImageError::Archive("a path leads out of it".to_owned()));
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}
