//! What a container does, and has done.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use model::NodeNetwork;
use network::{Endpoint, PublishedPort};
use serde::{Deserialize, Serialize};

use super::HealthState;
use crate::document::{self, Durability, FileFailure};

/// The file of a container's folder that holds its state.
const FILE: &str = "state.json";

/// Docker's words for what a container does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerStatus {
    /// It was never started.
    #[default]
    Created,
    /// Its program runs.
    Running,
    /// Its program stands still.
    Paused,
    /// Its program has ended, and is started again soon.
    Restarting,
    /// It is being removed.
    Removing,
    /// Its program has ended.
    Exited,
    /// It could not be removed.
    Dead,
}

impl ContainerStatus {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Whether Docker counts it as running: also while it stands still, or waits to be started again.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    /// Whether its program is there.
    pub fn has_process(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// What a container does, and has done.
#[expect(clippy::struct_excessive_bools, reason = "each of them is a fact of its own")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// What it does.
    pub status: ContainerStatus,
    /// Its first process, as this host counts; 0 where there is none.
    pub pid: u32,
    /// How its program ended last; 128 and the signal where one ended it.
    pub exit_code: i32,
    /// Whether a process of it was ended because its memory had run out.
    pub oom_killed: bool,
    /// Why it could not be started, or what else went wrong.
    pub error: String,
    /// When its program began last.
    pub started_at: Option<Timestamp>,
    /// When its program ended last.
    pub finished_at: Option<Timestamp>,
    /// How often it was started again by itself.
    pub restart_count: u32,
    /// Whether it is well, where it is asked.
    pub health: Option<HealthState>,
    /// Whether it was an operator who ended it: then it is not started again by itself.
    pub is_stopped: bool,
    /// Whether its empty volumes have got what the image has for them.
    pub has_filled_volumes: bool,
    /// How often its program has ended: by it waiters tell one end from the next.
    pub ends: u64,
    /// Its places in networks by their ids, from when it is started until it has ended.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Whether a removal that was begun takes its volumes without names along.
    pub removes_volumes: bool,
}

impl ContainerState {
    pub(super) fn write(&self, folder: &Path) -> Result<(), FileFailure> {
        document::write(&folder.join(FILE), self, Durability::UntilReboot)
    }

    /// The state in a folder; that of a new container where none can be read.
    pub(super) fn read(folder: &Path) -> Result<Self, FileFailure> {
        /// With what was kept while the node's bridge was the only network.
        #[derive(Default, Deserialize)]
        struct Document {
            #[serde(flatten)]
            state: ContainerState,
            #[serde(default)]
            endpoint: Option<Endpoint>,
        }
        let Document { mut state, endpoint } = document::read(&folder.join(FILE))?.unwrap_or_default();
        state.endpoints.extend(endpoint.map(|endpoint| (NodeNetwork::Bridge.id().to_owned(), endpoint)));
        Ok(state)
    }

    /// The ports of the host that lead to it.
    pub fn ports(&self) -> impl Iterator<Item = &PublishedPort> {
        self.endpoints.values().flat_map(|endpoint| &endpoint.ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is of interest of a state as the first version wrote it, whose containers had one network. It is never
    /// changed: a later version reads what is on the disk.
    const VERSION_1: &str = r#"{"status":"running","pid":7,"exit_code":0,"endpoint":{"id":"e1","address":"172.17.0.2",
        "prefix_length":16,"gateway":"172.17.0.1","hardware_address":"02:42:ac:11:00:02","ports":[{"target_port":80,
        "protocol":"tcp","host_address":"0.0.0.0","host_port":8080}]},"removes_volumes":false}"#;

    #[test]
    fn a_state_of_the_first_version_is_read_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), VERSION_1).unwrap();

        let state = ContainerState::read(folder.path()).unwrap();
        state.write(folder.path()).unwrap();

        let endpoint = &state.endpoints[NodeNetwork::Bridge.id()];
        assert_eq!((state.status, state.pid), (ContainerStatus::Running, 7));
        assert_eq!((endpoint.link.as_str(), endpoint.leads_out), ("eth0", true));
        assert_eq!(state.ports().next().map(|port| port.host_port), Some(8080));
        assert_eq!(ContainerState::read(folder.path()).unwrap(), state);
    }
}
