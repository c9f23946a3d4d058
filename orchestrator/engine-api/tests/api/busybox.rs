//! An image whose containers can be run: Debian's `busybox-static`.

use std::fs;

use image::Digest;
use serde_json::json;
use tar::{Builder, EntryType, Header};

/// The name of the image.
pub(crate) const BUSYBOX: &str = "busybox:test";
/// Where Debian puts the program.
const PROGRAM: &str = "/usr/bin/busybox";
/// What of it the tests call by name.
const TOOLS: &str = "sh cat echo sleep true false id hostname env touch stat kill mkdir dd head";

/// The image as `docker save` writes one, under its name.
pub(crate) fn archive() -> Vec<u8> {
    let layer = layer();
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": {"origin": "test"}},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
    })
    .to_string();
    let manifest = json!([{"Config": "config.json", "RepoTags": [BUSYBOX], "Layers": ["layer.tar"]}]).to_string();
    let mut archive = Builder::new(Vec::new());
    for (name, bytes) in
        [("layer.tar", &layer[..]), ("config.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())]
    {
        append(&mut archive, name, EntryType::Regular, 0o644, bytes, "");
    }
    archive.into_inner().unwrap()
}

fn layer() -> Vec<u8> {
    let busybox = fs::read(PROGRAM).expect("Debian's package `busybox-static` is installed");
    let mut layer = Builder::new(Vec::new());
    for folder in ["bin", "etc", "proc", "dev", "sys", "tmp"] {
        append(&mut layer, folder, EntryType::Directory, 0o755, b"", "");
    }
    append(&mut layer, "bin/busybox", EntryType::Regular, 0o755, &busybox, "");
    for tool in TOOLS.split(' ') {
        append(&mut layer, &format!("bin/{tool}"), EntryType::Symlink, 0o777, b"", "busybox");
    }
    append(&mut layer, "etc/passwd", EntryType::Regular, 0o644, b"root:x:0:0::/:/bin/sh\n", "");
    layer.into_inner().unwrap()
}

fn append(archive: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, mode: u32, bytes: &[u8], link: &str) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_600_000_000);
    if !link.is_empty() {
        header.set_link_name(link).unwrap();
    }
    archive.append_data(&mut header, path, bytes).unwrap();
}
