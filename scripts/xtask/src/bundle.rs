//! `cargo xtask bundle`: builds `swarmd` static and stripped, and packs it into the file that swarmup embeds.
//!
//! The format is described, and read, by `src/bundle.rs`. The agent is linked against a static glibc, which must be
//! asked for with an explicit target, or procedural macros would be built static too and fail. It is linked for fixed
//! addresses: it begins anew for each container, and 60,000 addresses to move each time cost 0.7 ms and 1.6 MB.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The format written here; the one that `src/bundle.rs` reads.
const BUNDLE_FORMAT: u32 = 1;
/// The architectures that agents are built for, with their targets.
const TARGETS: [(&str, &str); 1] = [("x86_64", "x86_64-unknown-linux-gnu")];
/// The program header that names a dynamic loader; a static program has none.
const PT_INTERP: u32 = 3;

/// How the agent is optimized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Small and fast.
    Release,
    /// Quick to build.
    Dev,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    /// The folder below the target's in which cargo leaves it.
    fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }

    /// Trying hardest pays where the result is sent to every host.
    fn compression(self) -> Compression {
        match self {
            Self::Release => Compression::best(),
            Self::Dev => Compression::fast(),
        }
    }
}

/// The first line of a bundle.
#[derive(Debug, Serialize)]
struct Manifest {
    format: u32,
    agents: Vec<Entry>,
}

/// One agent in it.
#[derive(Debug, Serialize)]
struct Entry {
    arch: &'static str,
    version: String,
    sha256: String,
    gzip_sha256: String,
    length: u64,
}

/// Builds the agents and writes `target/bundle/agents.bundle`, with the bare binaries beside it.
pub(crate) fn bundle(workspace: &Path, profile: Profile) -> anyhow::Result<String> {
    let target_dir = target_dir(workspace);
    let folder = target_dir.join("bundle").join(profile.name());
    fs::create_dir_all(&folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    let mut lines = Vec::new();
    let mut agents = Vec::new();
    let mut streams = Vec::new();
    for (arch, target) in TARGETS {
        let binary = build(workspace, &target_dir, profile, target)?;
        let stripped = folder.join(format!("swarmd-{arch}"));
        strip(&binary, &stripped)?;
        let bytes = fs::read(&stripped).with_context(|| format!("failed to read `{}`", stripped.display()))?;
        ensure!(is_static(&bytes)?, "`{}` wants a dynamic loader", stripped.display());
        let stream = compress(&bytes, profile.compression())?;
        lines.push(format!("{}: {} bytes, {} compressed, static", stripped.display(), bytes.len(), stream.len()));
        agents.push(Entry {
            arch,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sha256: hash(&bytes),
            gzip_sha256: hash(&stream),
            length: stream.len() as u64,
        });
        streams.extend(stream);
    }
    let mut content = serde_json::to_vec(&Manifest { format: BUNDLE_FORMAT, agents })?;
    content.push(b'\n');
    content.extend(streams);
    let path = folder.join("agents.bundle");
    write_if_changed(&path, &content)?;
    lines.push(format!("{}: {} bytes", path.display(), content.len()));
    Ok(lines.join("\n"))
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir(workspace: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

fn build(workspace: &Path, target_dir: &Path, profile: Profile, target: &str) -> anyhow::Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(workspace)
        .args(["rustc", "--locked", "--package", "swarmd", "--bin", "swarmd", "--target", target])
        .args(["--profile", profile.name(), "--", "-C", "relocation-model=static"])
        // What a user's environment adds would make another binary of it.
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .context("failed to run cargo")?;
    ensure!(status.success(), "failed to build the agent for {target}");
    Ok(target_dir.join(target).join(profile.folder()).join("swarmd"))
}

/// Copies a binary without its symbols.
fn strip(binary: &Path, stripped: &Path) -> anyhow::Result<()> {
    let status = Command::new("strip")
        .arg("-o")
        .arg(stripped)
        .arg(binary)
        .status()
        .context("failed to run `strip` (Debian: package binutils)")?;
    ensure!(status.success(), "failed to strip `{}`", binary.display());
    Ok(())
}

fn compress(bytes: &[u8], compression: Compression) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), compression);
    encoder.write_all(bytes).context("failed to compress the agent")?;
    encoder.finish().context("failed to compress the agent")
}

/// Whether a 64-bit ELF file asks for no dynamic loader.
fn is_static(elf: &[u8]) -> anyhow::Result<bool> {
    ensure!(elf.starts_with(b"\x7fELF\x02\x01"), "the agent is not a 64-bit little-endian ELF file");
    let cut = || anyhow::anyhow!("the agent's program headers are cut short");
    let number = |at: usize, length: usize| -> anyhow::Result<usize> {
        let bytes = elf.get(at..at + length).ok_or_else(cut)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    for index in 0..count {
        if number(table + index * size, 4)? == PT_INTERP as usize {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Leaves an equal file alone, so that what embeds it need not be built again.
fn write_if_changed(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::write(path, content).with_context(|| format!("failed to write `{}`", path.display()))
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header with one program header of a kind.
    fn elf(kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 0x40 + 0x38];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[0x20] = 0x40;
        bytes[0x36] = 0x38;
        bytes[0x38] = 1;
        bytes[0x40] = kind;
        bytes
    }

    #[test]
    fn a_program_that_names_a_loader_is_not_static() {
        assert!(!is_static(&elf(3)).unwrap());
        assert!(is_static(&elf(1)).unwrap());
    }

    #[test]
    fn a_file_that_is_cut_short_is_refused() {
        assert!(is_static(&elf(1)[..0x40]).is_err());
        assert!(is_static(b"#!/bin/sh").is_err());
    }
}
