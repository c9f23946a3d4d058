//! How much of the machine a container may use, in Docker's units.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Limits of a control group. What is absent is not limited, or, in an update, stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Processors, in billionths; another way to say quota and period.
    pub nano_cpus: Option<u64>,
    /// Microseconds of processor time in each period; -1 is no limit.
    pub cpu_quota: Option<i64>,
    /// The period in microseconds; 100,000 if absent.
    pub cpu_period: Option<u64>,
    /// Weight against other groups, 1024 being usual.
    pub cpu_shares: Option<u64>,
    /// Which processors, as `0-2,7`.
    pub cpuset_cpus: Option<String>,
    /// Which memory nodes.
    pub cpuset_mems: Option<String>,
    /// Bytes of memory; -1 is no limit.
    pub memory: Option<i64>,
    /// Bytes of memory and swap together; -1 is no limit. Twice `memory` if absent.
    pub memory_and_swap: Option<i64>,
    /// Bytes that are left alone while the host has memory.
    pub memory_reservation: Option<i64>,
    /// How willingly it is swapped out, 0 to 100. Version 2 has no such setting.
    pub memory_swappiness: Option<u64>,
    /// Processes and threads; -1 or 0 is no limit.
    pub pids: Option<i64>,
    /// Weight of its input and output, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Whether the kernel leaves it alone when its memory runs out. Version 2 has no such setting.
    pub oom_kill_disable: bool,
}

/// The usual period of processor quotas, in microseconds.
pub(crate) const CPU_PERIOD: u64 = 100_000;

impl Limits {
    /// Quota and period in microseconds, from whichever of the two ways was used.
    pub(crate) fn quota(&self) -> Option<(i64, u64)> {
        let period = self.cpu_period.unwrap_or(CPU_PERIOD);
        if let Some(nano_cpus) = self.nano_cpus.filter(|&nano_cpus| nano_cpus > 0) {
            let quota = u128::from(nano_cpus) * u128::from(period) / 1_000_000_000;
            return Some((i64::try_from(quota).unwrap_or(i64::MAX), period));
        }
        match (self.cpu_quota.filter(|&quota| quota != 0), self.cpu_period) {
            (None, None) => None,
            (quota, _) => Some((quota.unwrap_or(-1), period)),
        }
    }

    /// Bytes of memory and swap together, as Docker fills it in.
    pub(crate) fn swap_total(&self) -> Option<i64> {
        match (self.memory_and_swap, self.memory) {
            (Some(total), _) if total != 0 => Some(total),
            (_, Some(memory)) if memory > 0 => Some(memory.saturating_mul(2)),
            _ => None,
        }
    }

    /// These limits where set, else those of an earlier value.
    #[must_use]
    pub fn over(&self, earlier: &Self) -> Self {
        Self {
            nano_cpus: self.nano_cpus.or(earlier.nano_cpus),
            cpu_quota: self.cpu_quota.or(earlier.cpu_quota),
            cpu_period: self.cpu_period.or(earlier.cpu_period),
            cpu_shares: self.cpu_shares.or(earlier.cpu_shares),
            cpuset_cpus: self.cpuset_cpus.clone().or_else(|| earlier.cpuset_cpus.clone()),
            cpuset_mems: self.cpuset_mems.clone().or_else(|| earlier.cpuset_mems.clone()),
            memory: self.memory.or(earlier.memory),
            memory_and_swap: self.memory_and_swap.or(earlier.memory_and_swap),
            memory_reservation: self.memory_reservation.or(earlier.memory_reservation),
            memory_swappiness: self.memory_swappiness.or(earlier.memory_swappiness),
            pids: self.pids.or(earlier.pids),
            blkio_weight: self.blkio_weight.or(earlier.blkio_weight),
            oom_kill_disable: self.oom_kill_disable || earlier.oom_kill_disable,
        }
    }

    /// The place of a control group file below a hierarchy's mount.
    pub(crate) fn place(mount: &std::path::Path, group: &std::path::Path) -> PathBuf {
        mount.join(group.strip_prefix("/").unwrap_or(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_become_a_share_of_the_period() {
        let half = Limits { nano_cpus: Some(500_000_000), ..Limits::default() };
        let quota = Limits { cpu_quota: Some(20_000), cpu_period: Some(50_000), ..Limits::default() };

        assert_eq!(half.quota(), Some((50_000, 100_000)));
        assert_eq!(quota.quota(), Some((20_000, 50_000)));
        assert_eq!(Limits::default().quota(), None);
    }

    #[test]
    fn swap_is_as_much_again_unless_it_is_named() {
        let limited = Limits { memory: Some(64 << 20), ..Limits::default() };
        let named = Limits { memory_and_swap: Some(-1), ..limited.clone() };

        assert_eq!(limited.swap_total(), Some(128 << 20));
        assert_eq!(named.swap_total(), Some(-1));
    }
}
