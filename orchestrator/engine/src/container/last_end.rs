//! How a container ended that was ended with its host. The runtime tells what it knows only as long as the host is up.

use std::path::Path;

use jiff::Timestamp;
use runtime::Exit;

use crate::document::{self, Durability, FileFailure};

/// The file in the container's folder.
const FILE: &str = "last-end.json";

/// Keeps it until the next engine asks.
pub(crate) fn keep(folder: &Path, exit: &Exit) -> Result<(), FileFailure> {
    document::write(&folder.join(FILE), exit, Durability::Disk)
}

/// How the program ended that began at this moment, if that was kept.
pub(super) fn of(folder: &Path, started_at: Option<Timestamp>) -> Option<Exit> {
    let kept: Option<Exit> = document::read(&folder.join(FILE)).ok().flatten();
    kept.filter(|exit| started_at.is_some_and(|started_at| started_at <= exit.finished_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_that_of_the_program_which_ran_then() {
        let folder = tempfile::tempdir().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let exit = Exit { code: 3, signal: None, oom_killed: false, finished_at: at(20), error: None };

        assert_eq!(of(folder.path(), Some(at(10))), None);
        keep(folder.path(), &exit).unwrap();

        assert_eq!(of(folder.path(), Some(at(10))), Some(exit));
        assert_eq!(of(folder.path(), Some(at(30))), None);
        assert_eq!(of(folder.path(), None), None);
    }
}
