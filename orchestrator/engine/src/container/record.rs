//! What a container is: written when it is made, changed when it is renamed or updated.

use std::collections::BTreeMap;
use std::path::Path;

use image::{ContainerRoot, Digest, Hold};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Attachment;
use crate::config::{ContainerConfig, HostConfig};
use crate::document::{self, Durability, FileFailure};
use crate::settings::{MountKind, MountPoint};
use crate::task::TASK_ID_LABEL;
use crate::volume::VolumeName;

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
    /// How it is to be in networks; `None` where it was kept before there were others than the node's.
    #[serde(default)]
    pub(super) attachments: Option<Vec<Attachment>>,
    /// What is mounted into it.
    pub mounts: Vec<MountPoint>,
    /// Its claim on the layers of its image.
    pub hold: Hold,
}

impl ContainerRecord {
    /// The volumes that are mounted into it, each with its mount.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = (VolumeName, &MountPoint)> {
        let named = self.mounts.iter().filter(|mount| mount.kind == MountKind::Volume);
        named.filter_map(|mount| Some((mount.name.as_deref()?.parse().ok()?, mount)))
    }

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

    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, FileFailure> {
        document::read(&folder.join(FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as the first version wrote it. It is never changed: a later version reads what is on the disk.
    const VERSION_1: &str = r#"{"id":"03b3","name":"greedy.1.vfk9","created":"2026-11-26T17:18:45.348222126Z",
        "image":"sha256:2a1a453b19b54027010e50761d7e8611f4671965b018eeda548d66061a3c0e8f",
        "config":{"Hostname":"solo","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,
            "AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":[],
            "Cmd":["/bin/busybox","tail","/dev/zero"],"Image":"app:1","Volumes":{},"WorkingDir":"","Entrypoint":null,
            "OnBuild":null,"Labels":{"com.docker.swarm.task.id":"vfk9"}},
        "host_config":{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"host",
            "PortBindings":{},"RestartPolicy":{"Name":"","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"",
            "VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],
            "DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,
            "OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,
            "SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"default","CpuShares":0,
            "Memory":16777216,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":null,
            "BlkioDeviceReadBps":null,"BlkioDeviceWriteBps":null,"BlkioDeviceReadIOps":null,
            "BlkioDeviceWriteIOps":null,"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,
            "CpusetCpus":"","CpusetMems":"","Devices":null,"DeviceCgroupRules":null,"DeviceRequests":null,
            "MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":null,"OomKillDisable":null,"PidsLimit":null,
            "Ulimits":null,"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,
            "ReadonlyPaths":null,"Init":false},
        "networking_config":null,"mounts":[],
        "hold":{"holder":"03b3","image":"sha256:2a1a453b19b54027010e50761d7e8611f4671965b018eeda548d66061a3c0e8f",
            "chain_id":"sha256:919a499b0fe226c6dc52993a70a7dd1e284af692ecb69f11dd1dbbde0f6fab5e"}}"#;

    #[test]
    fn a_record_of_the_first_version_is_read() {
        let record: ContainerRecord = serde_json::from_str(VERSION_1).unwrap();

        assert_eq!((record.id.as_str(), record.name.as_str()), ("03b3", "greedy.1.vfk9"));
        assert_eq!((record.host_config.network_mode.as_str(), record.mounts.len()), ("host", 0));
        assert_eq!(record.durability(), image::Durability::Volatile, "it is the container of a task");
        assert!(record.attachments().is_empty(), "it is in the host's network");
    }

    #[test]
    fn a_record_from_before_other_networks_is_in_the_nodes_bridge_as_it_asked() {
        let bridged = VERSION_1.replace("\"NetworkMode\":\"host\"", "\"NetworkMode\":\"default\"");
        let place = r#""networking_config":{"EndpointsConfig":{"default":{"MacAddress":"02:00:00:00:00:07"}}}"#;
        let bridged = bridged.replace("\"networking_config\":null", place);

        let record: ContainerRecord = serde_json::from_str(&bridged).unwrap();

        let attachments = record.attachments();
        assert_eq!((attachments.len(), attachments[0].name.as_str()), (1, "bridge"));
        assert_eq!(attachments[0].hardware_address.map(|address| address.to_string()).unwrap(), "02:00:00:00:00:07");
    }
}
