//! How good a node is for one more task of a group: less is better.

use jiff::Timestamp;
use model::Node;

use super::node_set::NodeInfo;
use super::requirements::Requirements;

/// What a full share is in [`Rank::reserved`].
const WHOLE: i64 = 1024;

/// A node's rank. The order of the fields is the order in which they decide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Recent failures of the same service and revision, once there are many.
    failures: u32,
    /// Its tasks of this service.
    of_service: u32,
    /// All its tasks.
    tasks: u32,
    /// The part of its processors or memory that is reserved, whichever is greater, in 1024ths.
    reserved: u32,
    /// Tells nodes apart that are as good: by chance, but the same chance for the whole decision.
    tie: u64,
}

impl Rank {
    /// The rank of a node now. `salt` is drawn once a decision.
    pub(super) fn of(info: &NodeInfo, asked: &Requirements, now: Timestamp, salt: u64) -> Self {
        let failures = if info.failures.is_empty() { 0 } else { info.failures.counting(&asked.spec, now) };
        Self { failures, tie: mix(info.tie ^ salt), ..Self::default() }.again(info, asked)
    }

    /// The rank of the same node in the same decision after it was given a task.
    pub(super) fn again(self, info: &NodeInfo, asked: &Requirements) -> Self {
        let usage = &info.usage;
        let is_reserved = usage.nano_cpus != 0 || usage.memory_bytes != 0;
        Self {
            of_service: usage.wanted_of(&asked.spec.0),
            tasks: usage.wanted(),
            reserved: if is_reserved { reserved(&info.node, usage.nano_cpus, usage.memory_bytes) } else { 0 },
            ..self
        }
    }
}

fn reserved(node: &Node, nano_cpus: i64, memory_bytes: i64) -> u32 {
    let Some(description) = &node.state.description else { return 0 };
    let part = |taken: i64, of: i64| {
        let part = taken.max(0).saturating_mul(WHOLE) / of.max(1);
        u32::try_from(part).unwrap_or(u32::MAX)
    };
    let offered = &description.resources;
    part(nano_cpus, offered.nano_cpus).max(part(memory_bytes, offered.memory_bytes))
}

/// Spreads the bits of a number over all 64 (the finalizer of `splitmix64`).
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
