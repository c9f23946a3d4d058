//! The hosts' cgroups, which the hosts make and nobody else takes away.

use std::fs;
use std::path::{Path, PathBuf};

use super::held::wait_until;

/// Removes the cgroups of all hosts; the kernel lets go of them once the last process has ended.
pub(super) fn remove(name: &str) {
    for root in cgroup_roots() {
        wait_until(|| remove_cgroup(&root.join(name)).is_ok());
    }
}

fn remove_cgroup(folder: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

/// Where cgroups are made: the one tree of v2, or every hierarchy of v1.
fn cgroup_roots() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.procs").exists() {
        return vec![root.to_owned()];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.join("cgroup.procs").exists()).collect()
}
