//! Where the files of a container lie on its node.

use std::path::{Path, PathBuf};

use super::ContainerRecord;

/// The folder of a container's folder that holds its output.
const LOGS: &str = "logs";

/// Where the files of a container lie on its node, whether or not they are there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPlaces {
    /// Its `/etc/hosts`.
    pub hosts: PathBuf,
    /// Its `/etc/hostname`.
    pub hostname: PathBuf,
    /// Its `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// The folder of its output, in numbered files.
    pub logs: PathBuf,
    /// Its root, while that is mounted.
    pub root: PathBuf,
    /// What it changed of its root.
    pub changes: PathBuf,
}

impl ContainerPlaces {
    pub(super) fn new(folder: &Path) -> Self {
        let root = ContainerRecord::root(folder);
        Self {
            hosts: folder.join("hosts"),
            hostname: folder.join("hostname"),
            resolv_conf: folder.join("resolv.conf"),
            logs: folder.join(LOGS),
            root: root.merged(),
            changes: root.upper(),
        }
    }
}
