//! Images built on the spot, and stores to put them into.

use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{Stream, stream};
use image::{Digest, Hold, ImageStore, UnpackLimits};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// An archive of these files and their contents; a path that ends with a slash is a folder.
pub(crate) fn archive<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, contents) in files {
        let mut header = Header::new_ustar();
        let is_folder = path.ends_with('/');
        header.set_entry_type(if is_folder { EntryType::Directory } else { EntryType::Regular });
        header.set_size(contents.len() as u64);
        header.set_mode(if is_folder { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        builder.append_data(&mut header, path, contents).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A layer whose one path leads out of it.
pub(crate) fn escaping_layer() -> Vec<u8> {
    let mut layer = archive([("xx/outside", &b"theirs"[..])]);
    layer[..2].copy_from_slice(b"..");
    let sum: u32 = layer[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    layer[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    layer
}

pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image in the making.
#[derive(Debug, Clone)]
pub(crate) struct TestImage {
    pub(crate) config: Vec<u8>,
    /// Packed, lowest first.
    pub(crate) layers: Vec<Vec<u8>>,
}

impl TestImage {
    /// An image of these layers, each of one file; gzipped.
    pub(crate) fn new(name: &str, layers: &[(&str, &str)]) -> Self {
        let plain: Vec<_> = layers.iter().map(|(path, text)| archive([(*path, text.as_bytes())])).collect();
        Self::of(name, &plain, gzipped)
    }

    /// An image of these plain layers, packed so.
    pub(crate) fn of(name: &str, plain: &[Vec<u8>], pack: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let diff_ids: Vec<_> = plain.iter().map(|layer| Digest::of(layer)).collect();
        let history: Vec<_> = diff_ids.iter().map(|_| json!({"created_by": format!("COPY {name}")})).collect();
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": {"Cmd": ["/bin/true"], "Env": ["PATH=/bin"], "Labels": {"name": name}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        });
        Self { config: config.to_string().into_bytes(), layers: plain.iter().map(|layer| pack(layer)).collect() }
    }

    pub(crate) fn id(&self) -> Digest {
        Digest::of(&self.config)
    }

    /// The OCI's manifest of it.
    pub(crate) fn manifest(&self) -> Vec<u8> {
        let descriptor =
            |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
        let layers = self.layers.iter().map(|layer| {
            let kind = match layer[..] {
                [0x1f, 0x8b, ..] => "application/vnd.oci.image.layer.v1.tar+gzip",
                [0x28, 0xb5, ..] => "application/vnd.oci.image.layer.v1.tar+zstd",
                _ => "application/vnd.oci.image.layer.v1.tar",
            };
            descriptor(kind, layer)
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &self.config),
            "layers": layers.collect::<Vec<_>>(),
        });
        manifest.to_string().into_bytes()
    }

    /// As old versions of Docker save it: `manifest.json` last, layers by name.
    pub(crate) fn docker_archive(&self, tags: &[&str]) -> Vec<u8> {
        let names: Vec<_> = (0..self.layers.len()).map(|index| format!("{index}/layer.tar")).collect();
        let manifest = json!([{"Config": "config.json", "RepoTags": tags, "Layers": names}]).to_string();
        let layers = names.iter().map(String::as_str).zip(self.layers.iter().map(Vec::as_slice));
        archive(layers.chain([("config.json", &self.config[..]), ("manifest.json", manifest.as_bytes())]))
    }

    /// As the OCI has it, with the given `index.json`.
    pub(crate) fn oci_archive(&self, index: &Value, more: &[Vec<u8>]) -> Vec<u8> {
        let manifest = self.manifest();
        let blobs = self.layers.iter().chain(more).chain([&self.config, &manifest]);
        let blobs: Vec<_> = blobs.map(|blob| (format!("blobs/sha256/{}", Digest::of(blob).hex()), blob)).collect();
        let index = index.to_string();
        let blobs = blobs.iter().map(|(path, blob)| (path.as_str(), blob.as_slice()));
        archive([("index.json", index.as_bytes())].into_iter().chain(blobs))
    }
}

/// Bytes as the body of a request.
pub(crate) fn body(bytes: &[u8]) -> impl Stream<Item = std::io::Result<Bytes>> + use<> {
    let pieces: Vec<_> = bytes.chunks(10_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

pub(crate) async fn open(root: &Path) -> ImageStore {
    open_with(root, Vec::new()).await
}

pub(crate) async fn open_with(root: &Path, holds: Vec<Hold>) -> ImageStore {
    ImageStore::open(root, holds, UnpackLimits::default()).await.unwrap()
}

/// Loads an image under these names.
pub(crate) async fn load(store: &ImageStore, image: &TestImage, tags: &[&str]) -> Digest {
    store.load(body(&image.docker_archive(tags))).await.unwrap()[0].id
}

/// Everything below a folder, but for what is always there.
pub(crate) fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = match std::fs::read_dir(next) {
            // Somebody removes it just now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.unwrap(),
        };
        for entry in entries {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path().strip_prefix(folder).unwrap().display().to_string());
        }
    }
    let always = ["blobs", "blobs/sha256", "layers", "l", "work", "empty", "lock", "catalog.json"];
    found.retain(|path| !always.contains(&path.as_str()));
    found.sort();
    found
}
