//! The word that the agent's end is for good, left where the agent finds it when it is asked to end.
//!
//! Whoever keeps the agent ends it by SIGTERM, which does not say why. `swarmd service stop`, and a local machine that
//! shuts down, leave the word first: then the agent tells the swarm that it stops, and is down at once. Without it the
//! swarm waits for the agent to come back. Each agent begins by taking away what it finds.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::layout;

/// Leaves the word; on a host without run directory there is no agent to read it.
pub(crate) fn leave(run_dir: &Path) -> io::Result<()> {
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(layout::stop_word(run_dir));
    unless_missing(written.map(drop))
}

/// Takes the word away, if it is there.
pub(crate) fn take_away(run_dir: &Path) -> io::Result<()> {
    unless_missing(fs::remove_file(layout::stop_word(run_dir)))
}

/// Whether the word is there.
pub(crate) fn is_left(run_dir: &Path) -> bool {
    layout::stop_word(run_dir).exists()
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_there_from_when_it_is_left_until_it_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_left(folder.path()));

        leave(folder.path()).unwrap();
        leave(folder.path()).unwrap();
        assert!(is_left(folder.path()));

        take_away(folder.path()).unwrap();
        take_away(folder.path()).unwrap();
        assert!(!is_left(folder.path()));
    }

    #[test]
    fn a_host_without_run_directory_needs_no_word() {
        let folder = tempfile::tempdir().unwrap();

        leave(&folder.path().join("missing")).unwrap();

        assert!(!folder.path().join("missing").exists());
    }
}
