//! How a node runs one container.
//!
//! ```text
//! Runtime ── create, adopt ──> Container ── socket ──> shim (this program again) ── first program
//! bundle     what it is to be              state, protocol   what both sides know and say
//! spec       for the library for containers      last_steps   privileges, filter, execve
//! seccomp  capability  user  beneath             what a program may do, and who it is
//! log        Docker's JSON lines, bounded        cgroup       limits, use, devices, pause
//! ```
//!
//! The program that uses this crate calls [`reenter`] first of all: it is executed again as the shim of each container,
//! and as the first process of those that ask for one. See `orchestrator/design/runtime.md`.

#![cfg(target_os = "linux")]

mod beneath;
mod bundle;
mod capability;
mod cgroup;
mod client;
mod error;
mod init;
mod last_steps;
mod limits;
mod log;
mod protocol;
mod seccomp;
mod shim;
mod spec;
mod state;
mod user;
#[cfg(test)]
mod version_1_tests;

use std::path::Path;
use std::process::ExitCode;

pub use bundle::{Bundle, Device, Mount, MountSource, Namespace, Namespaces, Program, Propagation, TtySize, Ulimit};
pub use cgroup::{BlockTransfer, CpuStats, InterfaceStats, MemoryStats, PidsStats, Stats, Throttling};
pub use client::{
    Adopted, Attachment, AttachmentInput, AttachmentOutput, Container, ExecRequest, ExecSession, Output, Runtime,
};
pub use error::{RuntimeError, StartFailure};
pub use limits::Limits;
pub use log::{LogEntry, LogQuery, LogReader, LogSettings, Stream};
pub use protocol::Streams;
pub use seccomp::Profile;
pub use shim::shim_main;
pub use state::{Exit, Phase, ProcessId, State};

/// The word on the command line by which this program is executed as a shim.
pub const SHIM_COMMAND: &str = "shim";

/// Where this process is a shim, or the first process of a container, runs it and returns how it ended; `None` where it
/// is neither. To be called before this process has a second thread, and before its command line is looked at otherwise.
pub fn reenter() -> Option<ExitCode> {
    let words: Vec<_> = std::env::args_os().collect();
    match words.as_slice() {
        [name, separator, program @ ..] if name == init::NAME && separator == "--" => {
            let program: Option<Vec<String>> = program.iter().map(|word| word.clone().into_string().ok()).collect();
            Some(init::run(&program.unwrap_or_default()))
        }
        [_, command, folder] if command == SHIM_COMMAND => Some(shim_main(Path::new(folder))),
        _ => None,
    }
}
