//! What is known of a container, as a file in its state folder: written by its shim, read by whoever runs the node.
//!
//! ```text
//! <root>/<id>/bundle.json   what was asked for; written before the shim starts
//!             state.json    phase, processes, exit; replaced whole, so that a reader never sees half of it
//!             shim.sock     where the shim listens while it lives
//!             config.json   the runtime specification; oci/ the library's own folder
//!             exec/<n>.json how a program that `exec` added ended
//! ```
//! The folder outlives the shim until somebody deletes the container, and the agent that made it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::RuntimeError;

/// The version of the files and messages between agent and shim. Readers take every version up to their own, and later
/// ones that only add fields; what cannot be read that way gets a new number.
pub(crate) const VERSION: u32 = 1;

/// The files of a state folder.
pub(crate) const BUNDLE: &str = "bundle.json";
pub(crate) const STATE: &str = "state.json";
pub(crate) const SOCKET: &str = "shim.sock";
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const LIBRARY: &str = "oci";
pub(crate) const EXECS: &str = "exec";
pub(crate) const CONSOLE: &str = "console.sock";

/// How large a file of the folder may be, in bytes.
const SIZE_LIMIT: u64 = 4 << 20;

/// How far a container has come; it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Prepared; its program waits for the word to start.
    Created,
    /// Its program runs, or has been told to.
    Running,
    /// Its program has ended.
    Exited,
}

/// A process that cannot be mistaken for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
}

impl ProcessId {
    /// Names the process that has this number now.
    pub(crate) fn of(pid: u32) -> Result<Self, links::KernelError> {
        let process = links::Process::of(pid)?;
        Ok(Self { pid: process.pid, started: process.started })
    }

    /// The process itself.
    pub(crate) fn process(self) -> links::Process {
        links::Process { pid: self.pid, started: self.started }
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its status; 128 and the signal where one ended it.
    pub code: i32,
    /// The signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// Whether the kernel killed a process of the container because its memory had run out.
    #[serde(default)]
    pub oom_killed: bool,
    /// When.
    pub finished_at: Timestamp,
    /// What went wrong apart from the program: it could not begin, or its shim was lost.
    #[serde(default)]
    pub error: Option<String>,
}

/// What is known of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The version of the shim's files and messages.
    pub version: u32,
    /// How far it has come.
    pub phase: Phase,
    /// Its shim.
    pub shim: ProcessId,
    /// Its first program.
    pub init: ProcessId,
    /// When it was prepared.
    pub created_at: Timestamp,
    /// When its program began.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// How its program ended.
    #[serde(default)]
    pub exit: Option<Exit>,
}

/// Reads a file of a state folder.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, RuntimeError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(SIZE_LIMIT).read_to_end(&mut bytes))
        .map_err(|error| RuntimeError::at("read", path, error))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| RuntimeError::Malformed { what: format!("`{}`", path.display()), reason: error.to_string() })
}

/// Replaces a file of a state folder whole. It need not outlive the machine, so nothing is flushed.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), RuntimeError> {
    let temporary = path.with_extension("new");
    let bytes = serde_json::to_vec(value).map_err(|error| RuntimeError::Malformed {
        what: format!("`{}`", path.display()),
        reason: error.to_string(),
    })?;
    let replace = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(&bytes)?;
        fs::rename(&temporary, path)
    };
    replace().map_err(|error| RuntimeError::at("write", path, error))
}

/// Where the outcome of a program that `exec` added is kept.
pub(crate) fn exec_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(EXECS).join(format!("{name}.json"))
}

/// Whether an id can name a state folder and nothing else.
pub(crate) fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 64
        && !id.starts_with('.')
        && id.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_a_folder_and_nothing_else() {
        assert!(is_id("web.1-a_B"));
        for id in ["", ".", "..", "a/b", ".hidden", "a b", &"x".repeat(65)] {
            assert!(!is_id(id), "{id:?}");
        }
    }

    #[test]
    fn a_state_of_a_later_version_with_more_fields_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STATE);
        let json = r#"{"version":2,"phase":"running","shim":{"pid":1,"started":2,"more":3},"init":{"pid":4,"started":5},
            "created_at":"2026-01-01T00:00:00Z","weather":"fine"}"#;
        fs::write(&path, json).unwrap();

        let state: State = read(&path).unwrap();

        assert_eq!((state.phase, state.init.pid, state.exit), (Phase::Running, 4, None));
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");

        write(&path, &[1, 2]).unwrap();
        write(&path, &[3]).unwrap();

        assert_eq!(read::<Vec<u32>>(&path).unwrap(), [3]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
