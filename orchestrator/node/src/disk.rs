//! What a node keeps over restarts, in `<data dir>/swarm`: 0700, and 0600 each file.
//!
//! ```text
//! node.json       who it is, where it listens, whom it knows
//! identity.json   certificate and key: one file, so that they never part; the key may be sealed
//! lock.json       on a manager that locks itself: what the keys are sealed with, sealed with the unlock key
//! genesis.json    the bootstrap file or the new swarm's seed, until the swarm stands
//! api.json        what a manager serves 2376 with, for the time that it is locked
//! tasks/          the tasks that the node has (`task_records.rs`)
//! acquaintance.json   the members that the managers named last, and the keys of the gossip
//! raft/           the sealed log and its key        raft.former/  those of a group that began anew without this node
//! ../bootstrap-nonces   of bootstrap files that were used; stays when the node leaves
//! ```
//!
//! Every file is written under another name, fsynced, renamed, and its directory fsynced: a reader sees the old one
//! or the new one. A file that cannot be read is an error and is never overwritten.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use model::{ClusterId, ManagerPeer, NodeId, RaftId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ApiTls;
use crate::acquaintance::AcquaintanceFile;
use crate::genesis::GenesisFile;

/// The only format of these files so far.
const FORMAT: u32 = 1;
/// No file of ours is longer.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Why state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The system refuses.
    #[error("failed to {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The file is damaged, or of another version.
    #[error("`{}` is damaged or of an unknown format", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Who a node is in its swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeFile {
    format: u32,
    /// Its id.
    pub(crate) node_id: NodeId,
    /// Its swarm.
    pub(crate) cluster_id: ClusterId,
    /// The roots it trusts, PEM, one each.
    pub(crate) roots: Vec<String>,
    /// Where it listens while it is a manager.
    pub(crate) listen: SocketAddr,
    /// Where the others reach it.
    pub(crate) advertise: SocketAddr,
    /// The address for VXLAN, where another one was asked for.
    #[serde(default)]
    pub(crate) data_path: Option<IpAddr>,
    /// The managers it knew last.
    pub(crate) managers: Vec<ManagerPeer>,
    /// Where it was told to join; good until it knows managers.
    #[serde(default)]
    pub(crate) remotes: Vec<SocketAddr>,
    /// Its raft id, while it is a manager.
    pub(crate) raft_id: Option<RaftId>,
    /// Its key was made on the workstation, and shall be replaced.
    pub(crate) is_first_key: bool,
    /// The nonce of the bootstrap file it came from.
    #[serde(default)]
    pub(crate) nonce: Option<String>,
    /// Raft begins anew with this node as the only voter, under [`raft_id`](Self::raft_id): to be done, or done and not
    /// seen to stand yet.
    #[serde(default)]
    pub(crate) begins_anew: bool,
}

/// What a [`NodeFile`] is made of, but for what has defaults.
#[derive(Debug, Clone)]
pub(crate) struct NewNode {
    pub(crate) node_id: NodeId,
    pub(crate) cluster_id: ClusterId,
    pub(crate) roots: Vec<String>,
    pub(crate) listen: SocketAddr,
    pub(crate) advertise: SocketAddr,
    pub(crate) data_path: Option<IpAddr>,
    pub(crate) managers: Vec<ManagerPeer>,
    pub(crate) remotes: Vec<SocketAddr>,
    pub(crate) raft_id: Option<RaftId>,
    pub(crate) is_first_key: bool,
    pub(crate) nonce: Option<String>,
}

impl From<NewNode> for NodeFile {
    fn from(new: NewNode) -> Self {
        let NewNode { node_id, cluster_id, roots, listen, advertise, data_path, managers, .. } = new;
        let (remotes, raft_id, is_first_key, nonce) = (new.remotes, new.raft_id, new.is_first_key, new.nonce);
        Self {
            format: FORMAT,
            node_id,
            cluster_id,
            roots,
            listen,
            advertise,
            data_path,
            managers,
            remotes,
            raft_id,
            is_first_key,
            nonce,
            begins_anew: false,
        }
    }
}

/// The state of a node on disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    data_dir: PathBuf,
}

impl Disk {
    /// The state below a data directory, which must exist.
    pub(crate) fn new(data_dir: PathBuf) -> Self {
        Self { data_dir }
    }

    /// The directory of the raft log.
    pub(crate) fn raft_dir(&self) -> PathBuf {
        self.swarm_dir().join("raft")
    }

    /// Who the node is, where it is a member of a swarm.
    pub(crate) fn node(&self) -> Result<Option<NodeFile>, DiskError> {
        let path = self.swarm_dir().join("node.json");
        let file: Option<NodeFile> = read_json(&path)?;
        match file {
            Some(file) if file.format != FORMAT => Err(unknown_format(path, file.format)),
            file => Ok(file),
        }
    }

    /// Keeps who the node is.
    pub(crate) fn keep_node(&self, node: &NodeFile) -> Result<(), DiskError> {
        self.ensure_swarm_dir()?;
        write_json(&self.swarm_dir().join("node.json"), node)
    }

    /// The beginning of the swarm, while it has not been seen to stand.
    pub(crate) fn genesis(&self) -> Result<Option<GenesisFile>, DiskError> {
        read_json(&self.swarm_dir().join("genesis.json"))
    }

    /// Keeps the beginning of the swarm.
    pub(crate) fn keep_genesis(&self, genesis: &GenesisFile) -> Result<(), DiskError> {
        self.ensure_swarm_dir()?;
        write_json(&self.swarm_dir().join("genesis.json"), genesis)
    }

    /// The other members as the managers named them last.
    pub(crate) fn acquaintance(&self) -> Result<Option<AcquaintanceFile>, DiskError> {
        read_json(&self.swarm_dir().join("acquaintance.json"))
    }

    /// Keeps the other members as the managers name them.
    pub(crate) fn keep_acquaintance(&self, acquaintance: &AcquaintanceFile) -> Result<(), DiskError> {
        self.ensure_swarm_dir()?;
        write_json(&self.swarm_dir().join("acquaintance.json"), acquaintance)
    }

    /// Forgets the beginning of the swarm: it stands.
    pub(crate) fn forget_genesis(&self) -> Result<(), DiskError> {
        remove_file(&self.swarm_dir().join("genesis.json"))
    }

    /// What 2376 was served with last.
    pub(crate) fn api_tls(&self) -> Result<Option<ApiTls>, DiskError> {
        read_json(&self.swarm_dir().join("api.json"))
    }

    /// Keeps what 2376 is served with.
    pub(crate) fn keep_api_tls(&self, tls: &ApiTls) -> Result<(), DiskError> {
        write_json(&self.swarm_dir().join("api.json"), tls)
    }

    /// Forgets what 2376 was served with: the node is no manager any more.
    pub(crate) fn forget_api_tls(&self) -> Result<(), DiskError> {
        remove_file(&self.swarm_dir().join("api.json"))
    }

    /// Forgets the raft log: the node is no manager any more, or one with another place.
    pub(crate) fn forget_raft(&self) -> Result<(), DiskError> {
        remove_dir(&self.raft_dir())
    }

    /// Forgets the raft log that was set aside.
    pub(crate) fn forget_former_raft(&self) -> Result<(), DiskError> {
        remove_dir(&self.former_raft_dir())
    }

    /// Sets the raft log aside, in the place of one that was set aside before: the group is one no more, but what was
    /// written there may be missed.
    pub(crate) fn set_raft_aside(&self) -> Result<(), DiskError> {
        let (from, to) = (self.raft_dir(), self.former_raft_dir());
        if !from.is_dir() {
            return Ok(());
        }
        remove_dir(&to)?;
        fs::rename(&from, &to).map_err(io("set aside", &from))?;
        sync_dir(&self.swarm_dir())
    }

    fn former_raft_dir(&self) -> PathBuf {
        self.swarm_dir().join("raft.former")
    }

    /// Forgets the swarm. `node.json` goes first: without it nothing of the rest is looked at.
    pub(crate) fn wipe(&self) -> Result<(), DiskError> {
        remove_file(&self.swarm_dir().join("node.json"))?;
        remove_dir(&self.swarm_dir())
    }

    /// The nonces of bootstrap files that were used.
    pub(crate) fn nonces(&self) -> Result<BTreeSet<String>, DiskError> {
        Ok(read_json(&self.data_dir.join("bootstrap-nonces"))?.unwrap_or_default())
    }

    /// Remembers a nonce for ever.
    pub(crate) fn keep_nonce(&self, nonce: &str) -> Result<(), DiskError> {
        let mut nonces = self.nonces()?;
        nonces.insert(nonce.to_owned());
        write_json(&self.data_dir.join("bootstrap-nonces"), &nonces)
    }

    /// The directory of all that ends with the membership.
    pub(crate) fn swarm_dir(&self) -> PathBuf {
        self.data_dir.join("swarm")
    }

    /// Makes it where there is none.
    pub(crate) fn ensure_swarm_dir(&self) -> Result<(), DiskError> {
        let path = self.swarm_dir();
        if path.is_dir() {
            return Ok(());
        }
        DirBuilder::new().mode(0o700).create(&path).map_err(io("make", &path))?;
        sync_dir(&self.data_dir)
    }
}

/// What a refusal of the system says.
pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DiskError {
    let path = path.to_owned();
    move |source| DiskError::Io { action, path, source }
}

/// A file that is not what it should be.
pub(crate) fn damaged(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DiskError {
    DiskError::Damaged { path: path.to_owned(), source: source.into() }
}

/// A file of a later version.
pub(crate) fn unknown_format(path: PathBuf, format: u32) -> DiskError {
    DiskError::Damaged { path, source: format!("format {format} is not known to this version").into() }
}

/// Reads a file, if there is one.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DiskError> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("read", path)(error)),
    };
    if length > MAX_FILE_BYTES {
        return Err(damaged(path, format!("it has {length} bytes")));
    }
    let bytes = fs::read(path).map_err(io("read", path))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(path, error))
}

/// Writes a file whole and durably, or leaves the old one.
pub(crate) fn write_json<T: Serialize>(path: &Path, content: &T) -> Result<(), DiskError> {
    let bytes = serde_json::to_vec_pretty(content).map_err(|error| damaged(path, error))?;
    let temporary = path.with_extension("new");
    remove_file(&temporary)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(io("write", &temporary))?;
    file.write_all(&bytes).map_err(io("write", &temporary))?;
    file.sync_all().map_err(io("sync", &temporary))?;
    fs::rename(&temporary, path).map_err(io("replace", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file, if there is one.
pub(crate) fn remove_file(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io("remove", path)(error)),
    }
}

fn remove_dir(path: &Path) -> Result<(), DiskError> {
    match fs::remove_dir_all(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io("remove", path)(error)),
    }
}

fn sync_dir(path: &Path) -> Result<(), DiskError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(text: &str) -> rpc::Identity {
        rpc::Identity { certificate_pem: text.to_owned(), key: model::Secret::new("key") }
    }

    #[test]
    fn nonces_outlive_the_membership() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path().to_owned());
        disk.keep_identity(&identity("one")).unwrap();
        disk.keep_nonce("once").unwrap();

        disk.wipe().unwrap();

        assert_eq!(disk.identity().unwrap(), None);
        assert!(disk.nonces().unwrap().contains("once"));
        disk.wipe().unwrap();
    }
}
