//! What is mounted into a container: Docker's `Mount`, of services and of single containers alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Driver;
use crate::container_spec::{is_false, is_zero};

/// One mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// `bind`, `volume`, `tmpfs`, `image`, `cluster` or `npipe`.
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// A path of the host, or a volume's name; empty for `tmpfs` and for a volume without a name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The path in the container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Whether it cannot be written to.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Kept and shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub consistency: String,
    /// More of a bind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    /// More of a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    /// More of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_options: Option<ImageOptions>,
    /// More of a tmpfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
    /// More of a cluster volume; kept and shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_options: Option<serde_json::Value>,
}

/// More of a bind mount.
#[expect(clippy::struct_excessive_bools, reason = "they are Docker's")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    /// `private`, `rprivate`, `shared`, `rshared`, `slave` or `rslave`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub propagation: String,
    /// Without what is mounted below the source.
    #[serde(skip_serializing_if = "is_false")]
    pub non_recursive: bool,
    /// Makes the source where it is missing.
    #[serde(skip_serializing_if = "is_false")]
    pub create_mountpoint: bool,
    /// What is mounted below the source may be written to.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only_non_recursive: bool,
    /// Fails where what is mounted below the source cannot be made read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only_force_recursive: bool,
}

/// More of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    /// A new volume does not get what the image has at the target.
    #[serde(skip_serializing_if = "is_false")]
    pub no_copy: bool,
    /// Labels of a new volume.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// A folder of the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
    /// Who keeps a new volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<Driver>,
}

/// More of an image that is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageOptions {
    /// A folder of the image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
}

/// More of a tmpfs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    /// Bytes at most; the kernel's own bound where 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub size_bytes: i64,
    /// Its mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Further options, each a word or a word and a value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Vec<String>>,
}
