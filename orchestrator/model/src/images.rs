//! What nodes say of images: to the leader, who knows which tasks need them, and to each other, who have them.
//!
//! A node names its task, never an image: what the task needs is for the leader to say.

use serde::{Deserialize, Serialize};

use crate::{NodeId, TaskId};

/// A node asks the leader who may have the image of one of its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSourcesRequest {
    /// The task.
    pub task_id: TaskId,
}

/// Who may have an image: to be asked in this order, which is the same for every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSources {
    /// The nodes.
    pub nodes: Vec<NodeId>,
}

/// A node that is asked for an image asks the leader whether the other one may have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageGrantRequest {
    /// Who asks for it.
    pub node_id: NodeId,
    /// Its task.
    pub task_id: TaskId,
}

/// The one image that a node may have for its task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageGrant {
    /// The image, as the task names it.
    pub image: String,
}

/// Asks another node for the image of a task of the one that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindImage {
    /// The task.
    pub task_id: TaskId,
}

/// What a node has of an image: the document that everything else hangs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageOffer {
    /// What the document is: a manifest or an index.
    pub media_type: String,
    /// Its digest, `sha256:…`.
    pub digest: String,
    /// Its length, bytes.
    pub size: u64,
}

/// Asks another node for a blob of such an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRequest {
    /// The task that needs the image.
    pub task_id: TaskId,
    /// The blob, `sha256:…`.
    pub digest: String,
}
