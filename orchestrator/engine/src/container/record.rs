//! What a container is: written when it is made, changed when it is renamed or updated.

use std::collections::BTreeMap;
use std::path::Path;

use image::{ContainerRoot, Digest, Hold};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{ContainerConfig, HostConfig};
use crate::document::{self, Durability, FileFailure};
use crate::settings::MountPoint;
use crate::task::TASK_ID_LABEL;

/// The file of a container's folder that holds its record.
const FILE: &str = "container.json";

/// What a container is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name, without the slash that Docker shows before it.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its image.
    pub image: Digest,
    /// What it runs, in full: with what its image says.
    pub config: ContainerConfig,
    /// How it stands on its host.
    pub host_config: HostConfig,
    /// Its places in networks, as they were asked for.
    #[serde(default)]
    pub networking_config: Option<Value>,
    /// What is mounted into it.
    pub mounts: Vec<MountPoint>,
    /// Its claim on the layers of its image.
    pub hold: Hold,
}

impl ContainerRecord {
    /// What its events carry: its image, its name and its labels.
    pub(super) fn attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = self.config.labels.clone();
        attributes.insert("image".to_owned(), self.config.image.clone());
        attributes.insert("name".to_owned(), self.name.clone());
        attributes
    }

    /// Its root, in its folder.
    pub(crate) fn root(folder: &Path) -> ContainerRoot {
        ContainerRoot::new(folder.join("root"))
    }

    /// What becomes of its files when the power fails. What is never started again, or goes at its end, has none that
    /// anybody could miss, and is mounted and unmounted without waiting for the disk.
    pub(super) fn durability(&self) -> image::Durability {
        let is_passing = self.host_config.auto_remove || self.config.labels.contains_key(TASK_ID_LABEL);
        if is_passing { image::Durability::Volatile } else { image::Durability::Synced }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), FileFailure> {
        document::write(&folder.join(FILE), self, Durability::Disk)
    }

    pub(super) fn read(folder: &Path) -> Result<Option<Self>, FileFailure> {
        document::read(&folder.join(FILE))
    }
}
