//! The folders of clusters and machines, and the locks that let several swarmups take turns.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use driver::{ClusterId, DriverError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::{Failed, at};
use super::record::{ClusterRecord, MachineRecord, is_safe};

/// How often a folder may vanish under a process that waits for its turn.
const TURN_ATTEMPTS: u32 = 100;

/// Where everything is kept.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// What outlives a boot: `/var/lib/swarmup/local`.
    pub(super) durable: PathBuf,
    /// What does not: `/run/swarmup/local`.
    pub(super) volatile: PathBuf,
}

/// A turn: while it is held no other process changes the folder it is for.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl State {
    /// Takes the turn for all clusters: networks are made and removed one at a time.
    pub(super) fn take_turn(&self) -> Result<Turn, DriverError> {
        for _ in 0..TURN_ATTEMPTS {
            make_folder(&self.durable)?;
            match lock(&self.durable) {
                Ok(Some(turn)) => return Ok(turn),
                // The last cluster went, and this folder with it, while we waited.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).failed(at("lock", &self.durable)),
            }
        }
        Err(DriverError::transient("take a turn", "other processes keep making and removing clusters"))
    }

    /// Takes the turn for the machines of one cluster; `None` where there is no such cluster.
    pub(super) fn take_cluster_turn(&self, cluster: &ClusterId) -> Result<Option<Turn>, DriverError> {
        let folder = self.cluster(cluster);
        match lock(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.failed(at("lock", &folder)),
        }
    }

    /// The folder of a cluster.
    pub(super) fn cluster(&self, cluster: &ClusterId) -> PathBuf {
        self.durable.join(&cluster.0)
    }

    /// The agent's binary of a cluster.
    pub(super) fn agent(&self, cluster: &ClusterId) -> PathBuf {
        self.cluster(cluster).join("swarmd")
    }

    /// The agent's binary of one machine, where it is another one than its cluster's.
    pub(super) fn own_agent(&self, cluster: &ClusterId, name: &str) -> PathBuf {
        self.machine(cluster, name).join("swarmd")
    }

    /// The folder of a machine.
    pub(super) fn machine(&self, cluster: &ClusterId, name: &str) -> PathBuf {
        self.cluster(cluster).join("machines").join(name)
    }

    /// The marks of all clusters that have a folder.
    pub(super) fn clusters(&self) -> Result<Vec<ClusterId>, DriverError> {
        Ok(names(&self.durable)?.into_iter().map(ClusterId).collect())
    }

    /// The names of a cluster's machines that have a folder.
    pub(super) fn machines(&self, cluster: &ClusterId) -> Result<Vec<String>, DriverError> {
        names(&self.cluster(cluster).join("machines"))
    }

    /// What is kept of a cluster.
    pub(super) fn cluster_record(&self, cluster: &ClusterId) -> Result<Option<ClusterRecord>, DriverError> {
        read(&self.cluster(cluster).join("cluster.json"))
    }

    /// Keeps a cluster.
    pub(super) fn keep_cluster(&self, cluster: &ClusterId, record: &ClusterRecord) -> Result<(), DriverError> {
        make_folder(&self.cluster(cluster))?;
        write(&self.cluster(cluster).join("cluster.json"), record)
    }

    /// What is kept of a machine.
    pub(super) fn machine_record(&self, cluster: &ClusterId, name: &str) -> Result<Option<MachineRecord>, DriverError> {
        read(&self.machine(cluster, name).join("machine.json"))
    }

    /// Keeps a machine.
    pub(super) fn keep_machine(
        &self,
        cluster: &ClusterId,
        name: &str,
        record: &MachineRecord,
    ) -> Result<(), DriverError> {
        make_folder(&self.machine(cluster, name))?;
        write(&self.machine(cluster, name).join("machine.json"), record)
    }

    /// Forgets a cluster, and the folders above it where it was the last.
    pub(super) fn forget_cluster(&self, cluster: &ClusterId) -> Result<(), DriverError> {
        remove_folder(&self.cluster(cluster))?;
        for folder in [&self.durable, &self.volatile] {
            for empty in folder.ancestors().take(2) {
                // Other clusters, or what is not ours, may be in it.
                if fs::remove_dir(empty).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Makes a folder that only root may look into.
pub(super) fn make_folder(path: &Path) -> Result<(), DriverError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).failed(at("make", path))
}

/// Removes a folder with all that is in it; one that is gone is fine.
pub(super) fn remove_folder(path: &Path) -> Result<(), DriverError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).failed(at("remove", path)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads a file of ours; `None` where there is none. One that cannot be parsed is an error and stays.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DriverError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).failed(at("read", path)),
    };
    serde_json::from_slice(&bytes).map(Some).failed(at("read", path))
}

/// Puts a file in place as a whole.
pub(super) fn write<T: Serialize>(path: &Path, content: &T) -> Result<(), DriverError> {
    let draft = path.with_extension("json.new");
    let bytes = serde_json::to_vec_pretty(content).failed(at("write", path))?;
    fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, path)).failed(at("write", path))
}

/// Locks a folder; `None` where it was removed while we waited.
fn lock(folder: &Path) -> io::Result<Option<Turn>> {
    let file = File::open(folder)?;
    file.lock()?;
    let is_same = fs::metadata(folder).is_ok_and(|now| file.metadata().is_ok_and(|own| own.ino() == now.ino()));
    Ok(is_same.then_some(Turn(file)))
}

fn names(folder: &Path) -> Result<Vec<String>, DriverError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).failed(at("list", folder)),
    };
    let mut found: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_safe(name))
        .collect();
    found.sort();
    Ok(found)
}
