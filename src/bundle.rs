//! The node agents that swarmup carries, and the right one for a machine.
//!
//! A bundle is one file: a line of JSON that lists the agents, then their gzip streams one after the other.
//!
//! ```text
//! {"format":1,"agents":[{"arch":"x86_64","version":"0.1.0","sha256":"…","gzip_sha256":"…","length":7340032}]}\n
//! <length bytes of gzip><the next one> …
//! ```
//!
//! `sha256` is of the raw binary, `gzip_sha256` and `length` are of the stream. `cargo xtask bundle` writes it,
//! `build.rs` embeds it, nobody else knows the format.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::platform;

/// The only format of bundles so far.
pub const BUNDLE_FORMAT: u32 = 1;
/// The largest agent that is unpacked.
const MAX_AGENT_BYTES: u64 = 256 * 1024 * 1024;
/// What was built in; empty where no bundle was.
static EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bundle.bin"));

/// Why there is no agent for a machine.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// swarmup was built without agents.
    #[error("this swarmup was built without a node agent")]
    Absent,
    /// There are agents, but none for this architecture.
    #[error("this swarmup carries no node agent for {arch}")]
    NoSuchArchitecture {
        /// The architecture wanted.
        arch: String,
        /// The ones carried.
        known: Vec<String>,
    },
    /// What was built in is not a bundle.
    #[error("the node agents built into this swarmup are damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// The disk refused.
    #[error("failed to {action} `{}`", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl BundleError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Absent => Some(
                "build one with `cargo xtask bundle` and swarmup again with SWARMUP_BUNDLE set to it, or pass \
                 --agent PATH"
                    .to_owned(),
            ),
            Self::NoSuchArchitecture { known, .. } => {
                Some(format!("it carries one for {}; pass --agent PATH for another", known.join(", ")))
            }
            Self::Damaged { .. } => Some("build it again, or pass --agent PATH".to_owned()),
            Self::Disk { .. } => None,
        }
    }
}

/// The first line of a bundle.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    agents: Vec<Entry>,
}

/// One agent in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The architecture as `uname -m` names it.
    pub arch: String,
    /// The agent's version.
    pub version: String,
    /// SHA-256 of the binary, in hexadecimal digits.
    pub sha256: String,
    /// SHA-256 of the gzip stream.
    pub gzip_sha256: String,
    /// Bytes of the gzip stream.
    pub length: u64,
}

/// One agent, ready to be sent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// SHA-256 of the binary, in hexadecimal digits.
    pub sha256: String,
    /// The binary, gzipped.
    pub gzip: Bytes,
}

/// The agents that were built in.
pub fn entries() -> Result<Vec<Entry>, BundleError> {
    if EMBEDDED.is_empty() {
        return Ok(Vec::new());
    }
    Ok(split(EMBEDDED)?.0.agents)
}

/// An error where there is no agent to give to any machine: the file given cannot be read, or none is built in.
///
/// A machine of another architecture than this workstation's may still be refused: its own is not known yet.
pub fn check(file: Option<&Path>) -> Result<(), BundleError> {
    let Some(file) = file else { return if EMBEDDED.is_empty() { Err(BundleError::Absent) } else { Ok(()) } };
    let disk = |source| BundleError::Disk { action: "read the node agent", path: file.to_owned(), source };
    // A folder opens too: only reading it fails.
    File::open(file).and_then(|mut open| open.read(&mut [0])).map_err(disk).map(drop)
}

/// The agent for an architecture as a file of this workstation: the file given, where it lies, else the one built in,
/// unpacked into `cache` once under its hash.
pub fn agent_file(arch: &str, file: Option<&Path>, cache: &Path) -> Result<PathBuf, BundleError> {
    let Some(file) = file else { return agent(arch, None)?.unpack(cache) };
    check(Some(file))?;
    let disk = |source| BundleError::Disk { action: "read the node agent", path: file.to_owned(), source };
    // The agent's path goes to processes that have another working directory.
    std::path::absolute(file).map_err(disk)
}

/// The agent for an architecture: the file given, else the one built in.
pub fn agent(arch: &str, file: Option<&Path>) -> Result<Agent, BundleError> {
    match file {
        Some(file) => from_file(file),
        None if EMBEDDED.is_empty() => Err(BundleError::Absent),
        None => from_bundle(EMBEDDED, arch),
    }
}

impl Agent {
    /// The binary as a file of this workstation; unpacked into `cache` once, under its hash.
    fn unpack(&self, cache: &Path) -> Result<PathBuf, BundleError> {
        let target = cache.join(format!("swarmd-{}", self.sha256));
        if target.exists() {
            return Ok(target);
        }
        let disk = |source| BundleError::Disk { action: "unpack the node agent to", path: target.clone(), source };
        let binary = self.binary()?;
        platform::create_private_dir(cache).map_err(disk)?;
        // A name of this process's own: two that unpack at once must not write into one file.
        let beside = cache.join(format!("swarmd-{}.{}", self.sha256, std::process::id()));
        let mut file = platform::open_private(&beside, true).map_err(disk)?;
        file.write_all(&binary).and_then(|()| file.sync_all()).map_err(disk)?;
        drop(file);
        platform::set_executable(&beside).map_err(disk)?;
        std::fs::rename(&beside, &target).map_err(disk)?;
        platform::sync_dir(cache).map_err(disk)?;
        Ok(target)
    }

    /// The binary itself, verified.
    fn binary(&self) -> Result<Vec<u8>, BundleError> {
        let damaged = |reason: String| BundleError::Damaged { reason };
        let mut binary = Vec::new();
        GzDecoder::new(&*self.gzip)
            .take(MAX_AGENT_BYTES)
            .read_to_end(&mut binary)
            .map_err(|error| damaged(error.to_string()))?;
        if sha256(&binary) == self.sha256 { Ok(binary) } else { Err(damaged("its hash is another one".to_owned())) }
    }
}

fn from_file(path: &Path) -> Result<Agent, BundleError> {
    let disk = |source| BundleError::Disk { action: "read the node agent", path: path.to_owned(), source };
    let binary = std::fs::read(path).map_err(disk)?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let gzip = encoder.write_all(&binary).and_then(|()| encoder.finish()).map_err(disk)?;
    Ok(Agent { sha256: sha256(&binary), gzip: gzip.into() })
}

fn from_bundle(bundle: &'static [u8], arch: &str) -> Result<Agent, BundleError> {
    let (manifest, mut rest) = split(bundle)?;
    let known = manifest.agents.iter().map(|entry| entry.arch.clone()).collect();
    for entry in manifest.agents {
        let length = usize::try_from(entry.length).unwrap_or(usize::MAX);
        let Some((gzip, after)) = rest.split_at_checked(length) else {
            return Err(BundleError::Damaged { reason: format!("the agent for {} is cut short", entry.arch) });
        };
        rest = after;
        if entry.arch == arch {
            return Ok(Agent { sha256: entry.sha256, gzip: Bytes::from_static(gzip) });
        }
    }
    Err(BundleError::NoSuchArchitecture { arch: arch.to_owned(), known })
}

fn split(bundle: &[u8]) -> Result<(Manifest, &[u8]), BundleError> {
    let damaged = |reason: String| BundleError::Damaged { reason };
    let end = bundle.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it has no list".to_owned()))?;
    let manifest: Manifest =
        serde_json::from_slice(&bundle[..end]).map_err(|error| damaged(format!("its list is wrong ({error})")))?;
    if manifest.format != BUNDLE_FORMAT {
        return Err(damaged(format!("its format is {}, this swarmup knows {BUNDLE_FORMAT}", manifest.format)));
    }
    Ok((manifest, &bundle[end + 1..]))
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(agents: &[(&str, &[u8])]) -> &'static [u8] {
        let mut entries = Vec::new();
        let mut streams = Vec::new();
        for (arch, binary) in agents {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(binary).unwrap();
            let gzip = encoder.finish().unwrap();
            entries.push(Entry {
                arch: (*arch).to_owned(),
                version: "0.1.0".to_owned(),
                sha256: sha256(binary),
                gzip_sha256: sha256(&gzip),
                length: gzip.len() as u64,
            });
            streams.extend(gzip);
        }
        let mut bytes = serde_json::to_vec(&Manifest { format: BUNDLE_FORMAT, agents: entries }).unwrap();
        bytes.push(b'\n');
        bytes.extend(streams);
        bytes.leak()
    }

    #[test]
    fn the_agent_of_the_machines_architecture_is_taken() {
        let bundle = bundle(&[("x86_64", b"intel"), ("aarch64", b"arm")]);

        let agent = from_bundle(bundle, "aarch64").unwrap();

        assert_eq!(agent.binary().unwrap(), b"arm");
    }

    #[test]
    fn an_architecture_without_an_agent_is_refused_with_the_list() {
        let error = from_bundle(bundle(&[("x86_64", b"intel")]), "riscv64").unwrap_err();

        assert_eq!(error.to_string(), "this swarmup carries no node agent for riscv64");
        assert!(error.hint().unwrap().contains("x86_64"));
    }

    #[test]
    fn a_bundle_cut_short_is_refused() {
        let whole = bundle(&[("x86_64", b"intel")]);

        let error = from_bundle(&whole[..whole.len() - 1], "x86_64").unwrap_err();

        assert!(matches!(error, BundleError::Damaged { .. }), "{error}");
    }

    #[test]
    fn an_agent_is_unpacked_once() {
        let cache = tempfile::tempdir().unwrap();
        let agent = from_bundle(bundle(&[("x86_64", b"intel")]), "x86_64").unwrap();

        let first = agent.unpack(cache.path()).unwrap();
        let second = agent.unpack(cache.path()).unwrap();

        assert_eq!(first, second);
        assert_eq!(std::fs::read(first).unwrap(), b"intel");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_agent_given_as_a_file_is_used_where_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("swarmd");
        std::fs::write(&path, b"mine").unwrap();

        let agent = agent("x86_64", Some(&path)).unwrap();

        assert_eq!(agent_file("x86_64", Some(&path), folder.path()).unwrap(), path);
        assert_eq!(agent.binary().unwrap(), b"mine");
    }
}
