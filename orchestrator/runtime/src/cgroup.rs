//! The control group of a container in version 1, version 2, and both beside each other.
//!
//! Where a version 1 controller exists it is used; version 2 is used where it is the only one. A group has the same
//! relative path in each hierarchy.

mod change;
mod device;
mod stats;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub(crate) use self::device::restrict_devices;
pub use self::stats::{BlockTransfer, CpuStats, InterfaceStats, MemoryStats, PidsStats, Stats, Throttling};
use crate::RuntimeError;
use crate::error::Doing;
use crate::limits::Limits;

/// Where each controller's hierarchy is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Hierarchies {
    version_1: BTreeMap<String, PathBuf>,
    unified: Option<PathBuf>,
}

impl Hierarchies {
    /// Those of this host. They do not change while it runs.
    fn here() -> &'static Self {
        static HERE: OnceLock<Hierarchies> = OnceLock::new();
        HERE.get_or_init(|| Self::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()))
    }

    /// `36 35 0:31 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct`
    fn parse(mounts: &str) -> Self {
        let mut found = Self::default();
        for line in mounts.lines() {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let Some(mount) = before.split(' ').nth(4).map(PathBuf::from) else { continue };
            let mut words = after.split(' ');
            match words.next() {
                Some("cgroup2") if found.unified.is_none() => found.unified = Some(mount),
                Some("cgroup") => {
                    for option in words.nth(1).unwrap_or_default().split(',') {
                        found.version_1.entry(option.to_owned()).or_insert_with(|| mount.clone());
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Whether this host has version 2 only.
    fn is_unified(&self) -> bool {
        self.version_1.is_empty() && self.unified.is_some()
    }
}

/// Whether this host has version 2 only.
pub(crate) fn is_unified() -> bool {
    Hierarchies::here().is_unified()
}

/// The controllers of version 1 in which the library makes a group for each container.
const LIBRARY_CONTROLLERS: [&str; 12] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "hugetlb",
    "memory",
    "pids",
    "perf_event",
    "blkio",
    "net_prio",
    "net_cls",
    "freezer",
];

/// Where those of them are mounted that this host has, each place once.
pub(crate) fn version_1_mounts() -> Vec<PathBuf> {
    let mut mounts: Vec<_> = LIBRARY_CONTROLLERS
        .iter()
        .filter_map(|controller| Hierarchies::here().version_1.get(*controller).cloned())
        .collect();
    mounts.sort();
    mounts.dedup();
    mounts
}

/// Whether this kernel can limit swap.
pub(crate) fn counts_swap() -> bool {
    let memory = Hierarchies::here().version_1.get("memory");
    memory.is_none_or(|mount| mount.join("memory.memsw.limit_in_bytes").exists())
}

/// The group of one container.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    hierarchies: Hierarchies,
    path: PathBuf,
}

impl Group {
    /// Names a group; nothing is made.
    pub(crate) fn new(path: &Path) -> Self {
        Self { hierarchies: Hierarchies::here().clone(), path: path.to_owned() }
    }

    /// The group's folder of a version 1 controller.
    fn version_1(&self, controller: &str) -> Option<PathBuf> {
        Some(Limits::place(self.hierarchies.version_1.get(controller)?, &self.path))
    }

    /// The group's version 2 folder, where there is no other.
    fn unified(&self) -> Option<PathBuf> {
        let mount = self.hierarchies.unified.as_ref().filter(|_| self.hierarchies.is_unified())?;
        Some(Limits::place(mount, &self.path))
    }

    /// How many processes the kernel killed because the group's memory had run out.
    pub(crate) fn oom_kills(&self) -> u64 {
        let (folder, file) = match (self.unified(), self.version_1("memory")) {
            (Some(folder), _) => (folder, "memory.events"),
            (None, Some(folder)) => (folder, "memory.oom_control"),
            (None, None) => return 0,
        };
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        keyed(&text).get("oom_kill").copied().unwrap_or(0)
    }

    /// The processes of the group and those below, as the reader of `/proc` counts.
    pub(crate) fn processes(&self) -> Result<Vec<u32>, RuntimeError> {
        // Any one hierarchy holds them all, and walking each would cost its files' time again.
        let one = ["pids", "memory", "cpu", "freezer"].iter().find_map(|controller| self.version_1(controller));
        let Some(folder) = self.unified().or(one) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        collect_processes(&folder, &mut found).doing(|| format!("list the processes of `{}`", folder.display()))?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

fn collect_processes(folder: &Path, found: &mut Vec<u32>) -> io::Result<()> {
    let list = fs::read_to_string(folder.join("cgroup.procs"))?;
    // A number of 0 is a process of another PID namespace.
    found.extend(list.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|&pid| pid != 0));
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // A group may vanish meanwhile, and its processes with it.
            let _ = collect_processes(&entry.path(), found);
        }
    }
    Ok(())
}

/// Lines of `name number`.
fn keyed(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_hosts_use_version_1_and_unified_hosts_version_2() {
        let hybrid = Hierarchies::parse(
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        );
        let unified = Hierarchies::parse("30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");

        assert!(!hybrid.is_unified() && unified.is_unified());
        assert_eq!(hybrid.version_1["cpuacct"], Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        let group = Group { hierarchies: unified, path: "/swarmup/n/a".into() };
        assert_eq!(group.unified(), Some("/sys/fs/cgroup/swarmup/n/a".into()));
        assert_eq!(group.version_1("cpu"), None);
    }

    #[test]
    fn kills_for_lack_of_memory_are_counted_in_both_versions() {
        let mount = tempfile::tempdir().unwrap();
        let folder = mount.path().join("a");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("memory.events"), "low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\n").unwrap();
        fs::write(folder.join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n").unwrap();
        let unified = Hierarchies { unified: Some(mount.path().to_owned()), ..Hierarchies::default() };
        let version_1 = BTreeMap::from([("memory".to_owned(), mount.path().to_owned())]);
        let legacy = Hierarchies { version_1, unified: None };

        let kills = |hierarchies| Group { hierarchies, path: "a".into() }.oom_kills();

        assert_eq!((kills(unified), kills(legacy)), (1, 3));
    }
}
