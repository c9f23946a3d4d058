//! An archive of images in a file: what `docker save` of any version writes, or an OCI layout.
//!
//! It is read once, to its end: each file's place and digest are noted. Old archives name layers in their own way; here all
//! are named by their digest, as what is left out must be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::hex;

/// Docker's list of an archive's images.
const DOCKER_LIST: &str = "manifest.json";
/// The OCI's.
const OCI_LIST: &str = "index.json";
/// What says that it is the OCI's.
const OCI_MARK: &str = "oci-layout";
/// Where files lie that are named by their digest.
const BLOBS: &str = "blobs/sha256/";
/// The longest list.
const LIST_LIMIT: u64 = 16 << 20;
/// How many links may lead to a file, one through the other.
const LINK_LIMIT: usize = 8;
/// What is read at once.
const PIECE: usize = 256 << 10;
/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why an archive cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read, or there is no room for what is read.
    #[error("failed to read the archive of images")]
    Read(#[source] io::Error),
    /// It is something else.
    #[error("the archive holds no images: {0}")]
    NoImages(String),
}

impl ArchiveError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoImages(_) => Some(
                "give what `docker save IMAGE` writes, or a tar of an OCI layout; plain or packed with gzip".to_owned(),
            ),
            Self::Read(_) => None,
        }
    }
}

/// An archive of images in a file.
#[derive(Debug)]
pub struct ImageArchive {
    pub(super) file: File,
    /// By the path that it is sent under.
    pub(super) files: BTreeMap<String, Stored>,
    /// Lists that are not sent as they came.
    pub(super) documents: BTreeMap<String, Bytes>,
}

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// Where it begins in the archive.
    pub(super) offset: u64,
    /// Its length.
    pub(super) size: u64,
    /// `sha256:…`
    pub(super) digest: String,
    /// It reads like JSON, so it is no layer.
    is_document: bool,
}

/// What is found in an archive, by its own paths.
#[derive(Debug, Default)]
struct Found {
    files: BTreeMap<String, Stored>,
    links: BTreeMap<String, String>,
}

/// Copies what can be read into a file that nobody else sees, unpacked where it is packed with gzip. Blocks.
///
/// # Errors
/// It cannot be read, or the disk is full.
pub fn spool(source: impl Read) -> Result<File, ArchiveError> {
    let mut source = source;
    let mut head = Vec::new();
    let copied = source.by_ref().take(2).read_to_end(&mut head).and_then(|_| {
        let mut file = tempfile::tempfile()?;
        let is_packed = head == GZIP;
        let whole = io::Cursor::new(head).chain(source);
        if is_packed {
            io::copy(&mut MultiGzDecoder::new(whole), &mut file)?;
        } else {
            let mut whole = whole;
            io::copy(&mut whole, &mut file)?;
        }
        file.flush()?;
        Ok(file)
    });
    copied.map_err(ArchiveError::Read)
}

impl ImageArchive {
    /// Reads an archive to its end. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or holds no images.
    pub fn read(mut file: File) -> Result<Self, ArchiveError> {
        file.seek(SeekFrom::Start(0)).map_err(ArchiveError::Read)?;
        let found = Found::read(&mut file)?;
        let mut files: BTreeMap<_, _> = found
            .files
            .iter()
            .filter(|(path, _)| is_kept(path))
            .map(|(path, file)| (path.clone(), file.clone()))
            .collect();
        let mut documents = BTreeMap::new();
        if let Some(list) = found.files.get(DOCKER_LIST) {
            let mut list = text(&mut file, list)?;
            for path in paths(&mut list)? {
                // What is not there was left out already, by whoever made the archive.
                if let Some(stored) = found.target(path.as_str().unwrap_or_default()) {
                    let name = format!("{BLOBS}{}", stored.digest.trim_start_matches("sha256:"));
                    files.insert(name.clone(), stored.clone());
                    *path = Value::String(name);
                }
            }
            documents.insert(DOCKER_LIST.to_owned(), list.to_string().into());
        } else if !found.files.contains_key(OCI_LIST) {
            return Err(ArchiveError::NoImages(format!("it has neither {DOCKER_LIST} nor {OCI_LIST}")));
        }
        Ok(Self { file, files, documents })
    }

    /// The digests of all files that may be layers.
    pub fn layers(&self) -> BTreeSet<String> {
        let named = self.files.iter().filter(|(path, file)| path.starts_with(BLOBS) && !file.is_document);
        named.map(|(_, file)| file.digest.clone()).collect()
    }
}

/// What goes with the images under its own path.
fn is_kept(path: &str) -> bool {
    let is_blob = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    path.strip_prefix(BLOBS).is_some_and(is_blob) || path == OCI_LIST || path == OCI_MARK
}

impl Found {
    fn read(file: &mut File) -> Result<Self, ArchiveError> {
        let mut found = Self::default();
        let mut archive = tar::Archive::new(file);
        let unreadable = |error: io::Error| ArchiveError::NoImages(error.to_string());
        for entry in archive.entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            let path = normal("", &String::from_utf8_lossy(&entry.path_bytes()));
            let kind = entry.header().entry_type();
            if kind.is_symlink() || kind.is_hard_link() {
                let link = entry.link_name_bytes().unwrap_or_default();
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let folder = if kind.is_symlink() { folder } else { "" };
                let target = normal(folder, &String::from_utf8_lossy(&link));
                found.links.insert(path, target);
            } else if kind.is_file() {
                let (offset, size) = (entry.raw_file_position(), entry.size());
                let (digest, is_document) = digest(&mut entry).map_err(unreadable)?;
                found.files.insert(path, Stored { offset, size, digest, is_document });
            }
        }
        Ok(found)
    }

    /// The file that a path leads to.
    fn target(&self, path: &str) -> Option<&Stored> {
        let mut path = normal("", path);
        for _ in 0..LINK_LIMIT {
            match self.links.get(&path) {
                Some(next) => path.clone_from(next),
                None => break,
            }
        }
        self.files.get(&path)
    }
}

/// The paths that Docker's list names: of each image its configuration and its layers.
fn paths(list: &mut Value) -> Result<Vec<&mut Value>, ArchiveError> {
    let images = list.as_array_mut().ok_or_else(|| ArchiveError::NoImages(format!("{DOCKER_LIST} is no list")))?;
    let mut paths = Vec::new();
    for image in images {
        for (key, value) in image.as_object_mut().into_iter().flatten() {
            match (key.as_str(), value) {
                ("Config", value) => paths.push(value),
                ("Layers", Value::Array(layers)) => paths.extend(layers),
                _ => {}
            }
        }
    }
    Ok(paths)
}

/// A list, read.
fn text(file: &mut File, stored: &Stored) -> Result<Value, ArchiveError> {
    if stored.size > LIST_LIMIT {
        return Err(ArchiveError::NoImages(format!("{DOCKER_LIST} is longer than {LIST_LIMIT} bytes")));
    }
    let mut text = Vec::new();
    let read = file.seek(SeekFrom::Start(stored.offset)).and_then(|_| file.take(stored.size).read_to_end(&mut text));
    read.map_err(ArchiveError::Read)?;
    serde_json::from_slice(&text).map_err(|error| ArchiveError::NoImages(format!("{DOCKER_LIST}: {error}")))
}

/// The digest of what can be read, and whether it begins as JSON does.
fn digest(source: &mut impl Read) -> io::Result<(String, bool)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut first = None;
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        first = first.or_else(|| buffer[..count].iter().copied().find(|byte| !byte.is_ascii_whitespace()));
        hasher.update(&buffer[..count]);
    }
    Ok((format!("sha256:{}", hex(&hasher.finalize())), matches!(first, Some(b'{' | b'['))))
}

/// A path without dots, from the archive's root.
fn normal(folder: &str, path: &str) -> String {
    let folder = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{archive, digest_of, in_file, linked};
    use super::*;

    fn read(bytes: &[u8]) -> Result<ImageArchive, ArchiveError> {
        ImageArchive::read(in_file(bytes))
    }

    fn list_of(archive: &ImageArchive) -> Value {
        serde_json::from_slice(&archive.documents[DOCKER_LIST]).unwrap()
    }

    #[test]
    fn an_archive_of_an_old_docker_names_its_layers_by_digest_afterwards() {
        let list = json!([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["1/layer.tar", "2/layer.tar"]}]);
        let list = list.to_string();
        let old = linked(
            &[("1/layer.tar", b"one"), ("1/VERSION", b"1.0"), ("c.json", b"{}"), ("manifest.json", list.as_bytes())],
            &[("2/layer.tar", "../1/layer.tar")],
        );

        let archive = read(&old).unwrap();

        let (layer, config) = (digest_of(b"one"), digest_of(b"{}"));
        let path = |digest: &str| format!("blobs/{}", digest.replace(':', "/"));
        let expected = json!([{"Config": path(&config), "RepoTags": ["a:1"], "Layers": [path(&layer), path(&layer)]}]);
        assert_eq!(list_of(&archive), expected);
        assert_eq!(archive.layers(), [layer.clone()].into());
        let mut kept = vec![path(&layer), path(&config)];
        kept.sort();
        assert_eq!(archive.files.keys().cloned().collect::<Vec<_>>(), kept);
    }

    #[test]
    fn an_oci_layout_stays_as_it_is() {
        let (layer, document) = (digest_of(b"layer"), digest_of(b"{\"a\":1}"));
        let path = |digest: &str| format!("./blobs/{}", digest.replace(':', "/"));
        let (one, two) = (path(&layer), path(&document));
        let layout = archive(&[
            (one.as_str(), b"layer"),
            (two.as_str(), b"{\"a\":1}"),
            ("./index.json", b"{}"),
            ("./oci-layout", b"{}"),
            ("./other", b"x"),
        ]);

        let archive = read(&layout).unwrap();

        assert_eq!(archive.layers(), [layer].into());
        assert_eq!(archive.files.len(), 4);
        assert!(archive.documents.is_empty());
    }

    #[test]
    fn what_is_no_archive_of_images_is_refused_with_a_hint() {
        let check = |bytes: &[u8]| {
            let error = read(bytes).unwrap_err();
            assert!(matches!(error, ArchiveError::NoImages(_)) && error.hint().is_some(), "{error:?}");
        };

        check(b"");
        check(&[7; 2000]);
        check(&archive(&[("a", b"1")]));
        check(&archive(&[("manifest.json", b"{}")]));
        check(&archive(&[("manifest.json", b"nonsense")]));
    }

    #[test]
    fn what_is_packed_is_unpacked_on_the_way() {
        let plain = archive(&[("index.json", b"{}")]);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&plain).unwrap();
        let packed = packed.finish().unwrap();

        for source in [plain, packed] {
            assert!(ImageArchive::read(spool(&source[..]).unwrap()).is_ok());
        }
    }
}
