//! The output of a container as it is kept: Docker's JSON lines, in numbered files that only grow or go.
//!
//! ```text
//! <folder>/1.log 2.log 3.log      the highest number is written; when it is full the next begins and the lowest goes
//! {"log":"text\n","stream":"stdout","time":"2026-01-01T00:00:00.000000000Z"}
//! ```
//! No file is ever renamed and no lock is held: a reader that has come to the end of one file and sees the next moves
//! on; one whose file is gone goes to the lowest.

mod queue;
mod reader;
mod record;
mod segment;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use self::queue::LogQueue;
pub use self::reader::{LogEntry, LogQuery, LogReader};
pub(crate) use self::record::{Clock, Lines};

/// Which of a program's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where output is kept, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    /// A folder on disk, made if it is missing.
    pub folder: PathBuf,
    /// How large a file becomes, in bytes.
    #[serde(default = "default_size")]
    pub max_size: u64,
    /// How many files are kept.
    #[serde(default = "default_files")]
    pub max_files: u32,
}

impl LogSettings {
    /// Five files of ten megabytes.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), max_size: default_size(), max_files: default_files() }
    }
}

fn default_size() -> u64 {
    10_000_000
}

fn default_files() -> u32 {
    5
}
