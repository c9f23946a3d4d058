//! What the provider remembers, in one JSON file that processes take turns with.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use driver::{ClusterId, DriverError, InstanceId, InstanceState, keep};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Everything at the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The clusters that have a network.
    pub(crate) clusters: BTreeMap<ClusterId, ClusterRecord>,
    /// All machines.
    pub(crate) machines: BTreeMap<InstanceId, MachineRecord>,
    /// How often each call was made.
    pub(crate) calls: BTreeMap<String, u32>,
}

/// A cluster's share of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterRecord {
    /// Its name.
    pub(crate) name: String,
    /// Which prefix it has: `198.18.<slot>.0/24`.
    pub(crate) slot: u8,
    /// Whose it is.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// When it was begun.
    #[serde(default)]
    pub(crate) created_at: Option<Timestamp>,
    /// When the provider ends its machines.
    pub(crate) expires: Option<Timestamp>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineRecord {
    /// Whose it is.
    pub(crate) cluster: ClusterId,
    /// Its name.
    pub(crate) name: String,
    /// The last part of its address.
    pub(crate) host: u8,
    /// Whether it runs.
    pub(crate) state: InstanceState,
}

impl State {
    /// Counts a call and returns which repetition it is.
    pub(crate) fn count(&mut self, call: &str) -> u32 {
        let count = self.calls.entry(call.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// Ends the machines whose time is up.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let clusters = &self.clusters;
        self.machines.retain(|_, machine| {
            let expires = clusters.get(&machine.cluster).and_then(|cluster| cluster.expires);
            expires.is_none_or(|moment| moment > now)
        });
    }
}

/// The file.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Names the folder; nothing is made before something is kept.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Reads the state, has it changed, and keeps it; no other process comes between.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, DriverError> {
        let failed = |source: io::Error| {
            DriverError::provider(format!("keep the fake machines in `{}`", self.folder.display()), source)
        };
        let _turn = self.take_turn().map_err(failed)?;
        let mut state = self.read().map_err(failed)?;
        let before = state.clone();
        let result = change(&mut state);
        if state != before {
            self.write(&state).map_err(failed)?;
        }
        Ok(result)
    }

    /// The lock ends with the file, and the file with its process.
    fn take_turn(&self) -> io::Result<File> {
        keep::create_private_dir(&self.folder)?;
        let lock = keep::open_private(&self.folder.join("lock"), false)?;
        lock.lock()?;
        Ok(lock)
    }

    fn read(&self) -> io::Result<State> {
        match fs::read(self.file()) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, state: &State) -> io::Result<()> {
        let draft = self.folder.join("state.json.new");
        keep::open_private(&draft, true)?.write_all(&serde_json::to_vec_pretty(state)?)?;
        fs::rename(draft, self.file())
    }

    fn file(&self) -> PathBuf {
        self.folder.join("state.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_keeps_another_one_reads() {
        let folder = tempfile::tempdir().unwrap();

        Store::new(folder.path()).update(|state| state.count("create")).unwrap();

        assert_eq!(Store::new(folder.path()).update(|state| state.count("create")).unwrap(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state.json"), "{").unwrap();

        let refused = Store::new(folder.path()).update(|_| ()).unwrap_err();

        assert!(refused.to_string().contains(&folder.path().display().to_string()));
        assert_eq!(fs::read(folder.path().join("state.json")).unwrap(), b"{");
    }
}
