//! Removes folders that strangers filled, however deep they are.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

/// How many folders within each other are walked: deeper than files of any program lie.
const DEPTH_LIMIT: usize = 64;

/// Removes what lies at `path`, of whatever kind; what is not there counts as removed.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    remove_at(CWD, path).map_err(Into::into)
}

/// Removes what is called `name` in the folder `parent`.
///
/// Folders that are very deep are moved up before they are walked: depth exhausts neither stack nor open files.
pub(crate) fn remove_at(parent: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error),
    }
    let top = open(parent, name)?;
    empty(&top, &top, 0, &mut 0)?;
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Removes all that is in a folder. What is too deep goes up into `top`, which is emptied last.
fn empty(folder: &OwnedFd, top: &OwnedFd, depth: usize, moved: &mut u64) -> Result<(), Errno> {
    loop {
        let mut is_empty = true;
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_dots(name) || remove_shallow(folder.as_fd(), name)? {
                continue;
            }
            is_empty = false;
            if depth < DEPTH_LIMIT {
                empty(&open(folder.as_fd(), name)?, top, depth + 1, moved)?;
                unlinkat(folder, name, AtFlags::REMOVEDIR)?;
                continue;
            }
            loop {
                *moved += 1;
                match renameat_with(folder, name, top, format!("removed-{moved}"), RenameFlags::NOREPLACE) {
                    Err(Errno::EXIST) => {}
                    outcome => break outcome?,
                }
            }
        }
        if is_empty {
            return Ok(());
        }
    }
}

/// Removes a file or an empty folder; `false` for a folder with something in it.
fn remove_shallow(parent: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<bool, Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY) => Ok(false),
            outcome => outcome.map(|()| true),
        },
        outcome => outcome.map(|()| true),
    }
}

fn open(parent: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

fn is_dots(name: &std::ffi::CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_folder_deeper_than_any_path_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().join("top");
        std::fs::create_dir(&top).unwrap();
        std::os::unix::fs::symlink("/", top.join("link")).unwrap();
        let mut folder = open(CWD, &top).unwrap();
        let name = "d".repeat(200);
        for _ in 0..1_200 {
            rustix::fs::mkdirat(&folder, &*name, Mode::RWXU).unwrap();
            folder = open(folder.as_fd(), &*name).unwrap();
        }
        drop(folder);

        remove_tree(&top).unwrap();
        remove_tree(&top).unwrap();

        assert!(!top.exists());
    }
}
