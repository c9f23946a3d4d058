//! Images made on the spot, as the archives that `docker load` and `docker import` take.

use image::Digest;
use serde_json::json;
use tar::{Builder, EntryType, Header};

/// An archive of these files and their contents.
pub(crate) fn archive<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, contents) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        builder.append_data(&mut header, path, contents).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An image of plain layers, each of one file.
#[derive(Debug, Clone)]
pub(crate) struct TestImage {
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
}

impl TestImage {
    /// An image made at a second of 2024, whose label `name` is its name.
    pub(crate) fn new(name: &str, second: u32, layers: &[(&str, &[u8])]) -> Self {
        let layers: Vec<_> = layers.iter().map(|file| archive([*file])).collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let created = format!("2024-01-01T00:00:{second:02}Z");
        let step = |_| json!({"created": created, "created_by": format!("COPY {name}"), "comment": "c"});
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "created": created,
            "author": "somebody",
            "config": {"Cmd": ["/bin/true"], "Env": ["PATH=/bin"], "Labels": {"name": name}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": layers.iter().map(step).collect::<Vec<_>>(),
        });
        Self { config: config.to_string().into_bytes(), layers }
    }

    /// `sha256:…`
    pub(crate) fn id(&self) -> String {
        Digest::of(&self.config).to_string()
    }

    /// The OCI's manifest of it, and what the manifest names: the configuration, and the layers, lowest first.
    pub(crate) fn manifest_and_blobs(&self) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
        let blobs: Vec<_> = [&self.config].into_iter().chain(&self.layers).cloned().collect();
        let descriptor = |kind: &str, blob: &[u8]| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": Digest::of(blob), "size": blob.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", &self.config),
            "layers": self.layers.iter().map(|layer| descriptor("layer.v1.tar", layer)).collect::<Vec<_>>(),
        });
        let blobs = blobs.into_iter().map(|blob| (Digest::of(&blob).to_string(), blob));
        (manifest.to_string().into_bytes(), blobs.collect())
    }

    /// The archive, under these names.
    pub(crate) fn archive(&self, tags: &[&str]) -> Vec<u8> {
        let names: Vec<_> = (0..self.layers.len()).map(|index| format!("{index}/layer.tar")).collect();
        let manifest = json!([{"Config": "config.json", "RepoTags": tags, "Layers": names}]).to_string();
        let layers = names.iter().map(String::as_str).zip(self.layers.iter().map(Vec::as_slice));
        archive(layers.chain([("config.json", &self.config[..]), ("manifest.json", manifest.as_bytes())]))
    }
}
