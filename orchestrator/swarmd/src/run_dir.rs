//! The run directory: root's alone, and on tmpfs, for keys on their way to the agent lie in it.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use links::KernelError;
use links::root::{mount_memory, unmount_memory};

use crate::layout;

/// What `statfs` calls tmpfs and ramfs.
const IN_MEMORY: [rustix::fs::FsWord; 2] = [0x0102_1994, 0x8584_58f6];

/// Makes the run directory; mounts a tmpfs on it where `/run` is on a disk.
pub(crate) fn ensure() -> Result<(), KernelError> {
    let path = Path::new(layout::RUN_DIR);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| KernelError::new(format!("make `{}`", path.display()), source))?;
    if is_in_memory(path)? { Ok(()) } else { mount_memory(path, c"mode=700") }
}

/// Whether a directory is on a file system that never reaches a disk.
fn is_in_memory(path: &Path) -> Result<bool, KernelError> {
    let file_system = rustix::fs::statfs(path)
        .map_err(|source| KernelError::new(format!("look at the file system of `{}`", path.display()), source))?;
    Ok(IN_MEMORY.contains(&file_system.f_type))
}

/// Removes the run directory with what is mounted on it.
pub(crate) fn remove() -> Result<(), KernelError> {
    let path = Path::new(layout::RUN_DIR);
    unmount_memory(path)?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(KernelError::new(format!("remove `{}`", path.display()), error))
        }
        _ => Ok(()),
    }
}
