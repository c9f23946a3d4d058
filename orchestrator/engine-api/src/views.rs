//! Objects as Docker shows them: the same keys in the same order, the same treatment of what is empty.
//!
//! Pure: from what the swarm and the engine know to a document. Keys, secrets and sealed state have no view.

pub(crate) mod container;
pub(crate) mod df;
pub(crate) mod event;
pub(crate) mod exec;
pub(crate) mod file_stat;
pub(crate) mod image;
pub(crate) mod info;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod service;
mod service_defaults;
pub(crate) mod swarm;
pub(crate) mod task;
pub(crate) mod version;
pub(crate) mod volume;

use jiff::Timestamp;
use model::Meta;
use serde::Serialize;

/// Version and times, as every object of the swarm begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MetaView {
    version: VersionView,
    created_at: String,
    updated_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionView {
    index: u64,
}

impl From<&Meta> for MetaView {
    fn from(meta: &Meta) -> Self {
        Self {
            version: VersionView { index: meta.version.0 },
            created_at: time(meta.created_at),
            updated_at: time(meta.updated_at),
        }
    }
}

/// A moment in RFC 3339 with as many digits behind the point as it needs (Go's `RFC3339Nano`).
pub(crate) fn time(moment: Timestamp) -> String {
    moment.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_go_writes_them() {
        let check = |second: i64, nanosecond: i32, expected: &str| {
            assert_eq!(time(Timestamp::new(second, nanosecond).unwrap()), expected);
        };
        check(1_700_000_000, 0, "2023-11-14T22:13:20Z");
        check(1_700_000_000, 500_000_000, "2023-11-14T22:13:20.5Z");
        check(1_700_000_000, 349_727_406, "2023-11-14T22:13:20.349727406Z");
        check(0, 1, "1970-01-01T00:00:00.000000001Z");
    }
}
