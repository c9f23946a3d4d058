//! What every stored object carries: its version and its times.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The raft index of an object's last change: the token of optimistic updates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

/// Version and times of a stored object, kept by the store alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Index of the last change; every change raises it.
    pub version: Version,
    /// When the object was created, by the leader's clock.
    pub created_at: Timestamp,
    /// When the object last changed, by the leader's clock.
    pub updated_at: Timestamp,
}

impl Default for Meta {
    fn default() -> Self {
        Self { version: Version::default(), created_at: Timestamp::UNIX_EPOCH, updated_at: Timestamp::UNIX_EPOCH }
    }
}
