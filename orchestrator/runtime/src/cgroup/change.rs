//! Changes of a container's control group while it runs: its limits, and whether it runs at all.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, poll};

use super::Group;
use crate::RuntimeError;
use crate::error::Doing;
use crate::limits::{CPU_PERIOD, Limits};

/// How long the processes of a group may take to stand still.
const FREEZE_LIMIT: Duration = Duration::from_secs(5);

impl Group {
    /// Sets the limits that are present, and leaves the others as they are.
    pub(crate) fn update(&self, limits: &Limits) -> Result<(), RuntimeError> {
        let outcome = match self.unified() {
            Some(folder) => update_unified(&folder, limits),
            None => self.update_version_1(limits),
        };
        outcome.doing(|| format!("change the limits of control group `{}`", self.path.display()))
    }

    /// Stops every process of the group, and returns once all of them stand still.
    pub(crate) fn freeze(&self) -> Result<(), RuntimeError> {
        let freeze = || {
            if let Some(folder) = self.unified() {
                fs::write(folder.join("cgroup.freeze"), "1")?;
                return wait_until(|| Ok(fs::read_to_string(folder.join("cgroup.events"))?.contains("frozen 1")));
            }
            let folder = self.version_1("freezer").ok_or(io::ErrorKind::Unsupported)?;
            wait_until(|| {
                // A process that is born meanwhile can keep the group from settling, so it is said again.
                fs::write(folder.join("freezer.state"), "FROZEN")?;
                Ok(fs::read_to_string(folder.join("freezer.state"))?.trim() == "FROZEN")
            })
        };
        let outcome = freeze();
        if outcome.is_err() {
            // Half frozen is worse than running; the first failure is the one to tell of.
            let _ = self.thaw();
        }
        outcome.doing(|| format!("pause control group `{}`", self.path.display()))
    }

    /// Lets the processes of the group run again.
    pub(crate) fn thaw(&self) -> Result<(), RuntimeError> {
        let thaw = || {
            if let Some(folder) = self.unified() {
                return fs::write(folder.join("cgroup.freeze"), "0");
            }
            let folder = self.version_1("freezer").ok_or(io::ErrorKind::Unsupported)?;
            fs::write(folder.join("freezer.state"), "THAWED")
        };
        thaw().doing(|| format!("resume control group `{}`", self.path.display()))
    }

    /// Whether the processes of the group stand still.
    pub(crate) fn is_frozen(&self) -> bool {
        let (file, sign) = match (self.unified(), self.version_1("freezer")) {
            (Some(folder), _) => (folder.join("cgroup.freeze"), "1"),
            (None, Some(folder)) => (folder.join("freezer.state"), "FR"),
            (None, None) => return false,
        };
        fs::read_to_string(file).is_ok_and(|state| state.starts_with(sign))
    }

    fn update_version_1(&self, limits: &Limits) -> io::Result<()> {
        let write = |controller: &str, file: &str, value: String| {
            let folder = self.version_1(controller).ok_or(io::ErrorKind::Unsupported)?;
            fs::write(folder.join(file), value)
        };
        if let Some((quota, period)) = limits.quota() {
            write("cpu", "cpu.cfs_period_us", period.to_string())?;
            write("cpu", "cpu.cfs_quota_us", quota.to_string())?;
        }
        if let Some(shares) = limits.cpu_shares.filter(|&shares| shares != 0) {
            write("cpu", "cpu.shares", shares.to_string())?;
        }
        for (file, list) in [("cpuset.cpus", &limits.cpuset_cpus), ("cpuset.mems", &limits.cpuset_mems)] {
            if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
                write("cpuset", file, list.clone())?;
            }
        }
        if let Some(memory) = limits.memory.filter(|&memory| memory != 0) {
            self.update_memory(memory, limits.swap_total())?;
        }
        if let Some(reservation) = limits.memory_reservation.filter(|&reservation| reservation != 0) {
            write("memory", "memory.soft_limit_in_bytes", reservation.to_string())?;
        }
        if let Some(swappiness) = limits.memory_swappiness {
            write("memory", "memory.swappiness", swappiness.to_string())?;
        }
        if let Some(pids) = limits.pids {
            write("pids", "pids.max", count_or_max(pids))?;
        }
        if let Some(weight) = limits.blkio_weight.filter(|&weight| weight != 0) {
            write("blkio", "blkio.weight", weight.to_string())?;
        }
        Ok(())
    }

    /// Memory may never be more than memory and swap together, so whichever grows goes first.
    fn update_memory(&self, memory: i64, total: Option<i64>) -> io::Result<()> {
        let folder = self.version_1("memory").ok_or(io::ErrorKind::Unsupported)?;
        let total = total.filter(|_| folder.join("memory.memsw.limit_in_bytes").exists());
        let (memory_file, total_file) =
            (folder.join("memory.limit_in_bytes"), folder.join("memory.memsw.limit_in_bytes"));
        let Some(total) = total else { return fs::write(memory_file, memory.to_string()) };
        let current = fs::read_to_string(&total_file)?.trim().parse::<i64>().unwrap_or(i64::MAX);
        if total == -1 || total > current {
            fs::write(total_file, total.to_string())?;
            fs::write(memory_file, memory.to_string())
        } else {
            fs::write(memory_file, memory.to_string())?;
            fs::write(total_file, total.to_string())
        }
    }
}

fn update_unified(folder: &Path, limits: &Limits) -> io::Result<()> {
    let write = |file: &str, value: String| fs::write(folder.join(file), value);
    if let Some((quota, period)) = limits.quota() {
        let quota = if quota > 0 { quota.to_string() } else { "max".to_owned() };
        write("cpu.max", format!("{quota} {}", if period == 0 { CPU_PERIOD } else { period }))?;
    }
    if let Some(shares) = limits.cpu_shares.filter(|&shares| shares != 0) {
        write("cpu.weight", weight_of_shares(shares).to_string())?;
    }
    for (file, list) in [("cpuset.cpus", &limits.cpuset_cpus), ("cpuset.mems", &limits.cpuset_mems)] {
        if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
            write(file, list.clone())?;
        }
    }
    if let Some(memory) = limits.memory.filter(|&memory| memory != 0) {
        write("memory.max", count_or_max(memory))?;
        match limits.swap_total() {
            Some(total) if total > 0 && memory > 0 => {
                write("memory.swap.max", total.saturating_sub(memory).max(0).to_string())?;
            }
            Some(_) => write("memory.swap.max", "max".to_owned())?,
            None => {}
        }
    }
    if let Some(reservation) = limits.memory_reservation.filter(|&reservation| reservation > 0) {
        write("memory.low", reservation.to_string())?;
    }
    if let Some(pids) = limits.pids {
        write("pids.max", count_or_max(pids))?;
    }
    if let Some(weight) = limits.blkio_weight.filter(|&weight| weight != 0) {
        write("io.weight", (1 + (u64::from(weight).max(10) - 10) * 9999 / 990).to_string())?;
    }
    Ok(())
}

/// Version 1's 2 to 262144 as version 2's 1 to 10000: the mapping that the runtime specification names.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn count_or_max(value: i64) -> String {
    if value > 0 { value.to_string() } else { "max".to_owned() }
}

/// Asks again every millisecond: version 1 offers nothing to wait on.
fn wait_until(is_done: impl Fn() -> io::Result<bool>) -> io::Result<()> {
    let deadline = Instant::now() + FREEZE_LIMIT;
    while !is_done()? {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 1_000_000 }))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Hierarchies;
    use super::*;

    #[test]
    fn limits_are_written_in_version_2s_words() {
        let mount = tempfile::tempdir().unwrap();
        let folder = mount.path().join("a");
        fs::create_dir(&folder).unwrap();
        let hierarchies = Hierarchies { unified: Some(mount.path().to_owned()), ..Hierarchies::default() };
        let group = Group { hierarchies, path: "a".into() };
        let limits = Limits {
            nano_cpus: Some(250_000_000),
            cpu_shares: Some(1024),
            cpuset_cpus: Some("0".to_owned()),
            memory: Some(64 << 20),
            memory_and_swap: Some(96 << 20),
            pids: Some(-1),
            ..Limits::default()
        };

        group.update(&limits).unwrap();

        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(read("cpu.max"), "25000 100000");
        assert_eq!(read("cpu.weight"), "39");
        assert_eq!(read("cpuset.cpus"), "0");
        assert_eq!(read("memory.max"), (64 << 20).to_string());
        assert_eq!(read("memory.swap.max"), (32 << 20).to_string());
        assert_eq!(read("pids.max"), "max");
        assert!(!folder.join("memory.low").exists());
    }

    #[test]
    fn a_group_of_version_2_that_does_not_settle_is_let_run_again() {
        let mount = tempfile::tempdir().unwrap();
        fs::create_dir(mount.path().join("a")).unwrap();
        let hierarchies = Hierarchies { unified: Some(mount.path().to_owned()), ..Hierarchies::default() };
        let group = Group { hierarchies, path: "a".into() };

        // There is no `cgroup.events`, so it never does.
        group.freeze().unwrap_err();

        assert_eq!(fs::read_to_string(mount.path().join("a/cgroup.freeze")).unwrap(), "0");
        assert!(!group.is_frozen());
    }
}
