//! Control groups of our own in every hierarchy that the host has: version 1, hybrid, version 2.
//!
//! In version 1 a process and its descendants share one directory. In version 2 a group that hands controllers down
//! holds no process itself, so the first process of a machine, and an agent to whom systemd has handed its unit's group,
//! live in `<group>/agent`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::getxattr;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::KernelError;
use crate::error::Doing;

/// Where the first process of a version 2 group lives.
const AGENT: &str = "agent";
/// Where containers live beside it. (In version 1 every group has a file called `tasks`.)
const CONTAINERS: &str = "containers";
/// Below this are the groups of machines that are groups themselves, and of nodes that have no other place.
const OURS: &str = "swarmup";
/// What systemd sets to `1` on a group that it leaves to the processes inside (`Delegate=yes`).
const DELEGATED: &str = "trusted.delegate";
/// How long a process that was killed may take to leave its group.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);
/// How often a group is made that vanishes meanwhile.
const CREATE_ATTEMPTS: u32 = 10;

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    is_unified: bool,
}

/// A control group: the same relative path in every hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlGroup {
    hierarchies: Vec<Hierarchy>,
    relative: PathBuf,
}

impl ControlGroup {
    /// Names a group; nothing is made. On a host without control groups every operation does nothing.
    pub fn new(relative: impl Into<PathBuf>) -> Result<Self, KernelError> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").doing(|| "list mounts")?;
        Ok(Self { hierarchies: parse_hierarchies(&mounts), relative: relative.into() })
    }

    /// Its directories, one a hierarchy, whether they exist or not.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.hierarchies.iter().map(|hierarchy| hierarchy.mount.join(&self.relative)).collect()
    }

    /// The names of the groups directly below this one.
    pub fn children(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .directories()
            .iter()
            .filter_map(|directory| fs::read_dir(directory).ok())
            .flat_map(Iterator::flatten)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Makes the group where it is missing and opens the files by which a process enters it.
    pub fn create(&self) -> Result<Vec<OwnedFd>, KernelError> {
        let create = |hierarchy| {
            // A group above this one goes when the last below it does, which may be just now.
            let attempts = (1..CREATE_ATTEMPTS).map(|_| create_in(hierarchy, &self.relative));
            let settled = |result: &Result<_, KernelError>| {
                !result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            };
            attempts.into_iter().find(settled).unwrap_or_else(|| create_in(hierarchy, &self.relative))
        };
        self.hierarchies.iter().map(create).collect()
    }

    /// The processes inside the group and the groups below it.
    pub fn processes(&self) -> Vec<u32> {
        let mut found = Vec::new();
        for directory in self.directories() {
            for_each_below(&directory, &mut |group| {
                let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
                found.extend(list.lines().filter_map(|line| line.parse::<u32>().ok()));
            });
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Ends every process inside the group and waits until they are gone.
    pub fn kill(&self) -> Result<(), KernelError> {
        let deadline = Instant::now() + LEAVE_LIMIT;
        loop {
            // A number of 0 is a process of another PID namespace: not ours to end.
            let processes: Vec<u32> = self.processes().into_iter().filter(|pid| *pid != 0).collect();
            if processes.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(KernelError::new(
                    format!("end the processes of control group `{}`", self.relative.display()),
                    io::ErrorKind::TimedOut,
                ));
            }
            kill_all(&processes, deadline)?;
        }
    }

    /// Removes the group with those below it. Processes must have left; one that is gone already is fine.
    pub fn remove(&self) -> Result<(), KernelError> {
        for directory in self.directories() {
            let mut groups = Vec::new();
            for_each_below(&directory, &mut |group| groups.push(group.to_owned()));
            for group in groups.iter().rev() {
                remove_directory(group)?;
            }
        }
        Ok(())
    }

    /// Removes the group where nothing is inside it; returns quietly otherwise.
    pub fn remove_if_empty(&self) {
        for directory in self.directories() {
            if let Err(error) = fs::remove_dir(&directory) {
                tracing::trace!(group = %directory.display(), %error, "control group stays");
            }
        }
    }
}

/// Moves this process into `<group>/agent` where systemd has handed it its version 2 group, so that groups for what it
/// runs fit beside it. Returns the group it is in then; `None` where it was handed none, and nothing is done.
pub fn enter_agent_group() -> Result<Option<PathBuf>, KernelError> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").doing(|| "list mounts")?;
    let own = fs::read_to_string("/proc/self/cgroup").doing(|| "find the control group of this process")?;
    let Some(group) = unified_group(&parse_hierarchies(&mounts), &own).filter(|group| is_delegated(group)) else {
        return Ok(None);
    };
    let agent = group.join(AGENT);
    match fs::create_dir(&agent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        // `0` is the process that writes it.
        Ok(()) | Err(_) => fs::write(agent.join("cgroup.procs"), "0"),
    }
    .doing(|| format!("enter control group `{}`", agent.display()))?;
    Ok(Some(agent))
}

/// Where the control groups of this node's containers belong, relative to each hierarchy: below the group of a machine
/// that is a group itself, so that they end with it; else in one named for the node. Nothing is made.
///
/// Never in the unit that systemd has handed over: a group of version 2 that hands controllers down takes no process, so
/// that systemd could not start the agent again while a container lives.
pub fn containers_group(node: &str) -> Result<PathBuf, KernelError> {
    let own = fs::read_to_string("/proc/self/cgroup").doing(|| "find the control group of this process")?;
    Ok(group_for_containers(&own, node))
}

fn group_for_containers(own: &str, node: &str) -> PathBuf {
    let whole = |path: &str| {
        let path = Path::new(path.trim_start_matches('/'));
        if path.ends_with(AGENT) { path.parent().unwrap_or(path) } else { path }.to_owned()
    };
    let mut paths = own.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    if let Some(machine) = paths.find(|path| Path::new(path).starts_with(Path::new("/").join(OURS))) {
        return whole(machine).join(CONTAINERS);
    }
    Path::new(OURS).join(node)
}

/// The directory of a process's group by its `/proc/PID/cgroup`, on a host that has version 2 only.
fn unified_group(hierarchies: &[Hierarchy], own: &str) -> Option<PathBuf> {
    let [Hierarchy { mount, is_unified: true }] = hierarchies else { return None };
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(mount.join(path))
}

fn is_delegated(group: &Path) -> bool {
    let mut value = [0; 1];
    // A group without the mark is an error here, as is a file system that knows no marks.
    getxattr(group, DELEGATED, &mut value).is_ok_and(|length| value[..length] == *b"1")
}

fn kill_all(processes: &[u32], deadline: Instant) -> Result<(), KernelError> {
    for process in processes {
        let Some(pid) = i32::try_from(*process).ok().and_then(Pid::from_raw) else { continue };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // It may have ended since it was listed; then there is nothing to do.
        if pidfd_send_signal(&handle, Signal::KILL).is_err() {
            continue;
        }
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now()));
        let timeout = left.unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&timeout))
            .doing(|| format!("wait for process {process}"))?;
    }
    Ok(())
}

/// A group is busy for a moment after its last process became collectable.
fn remove_directory(directory: &Path) -> Result<(), KernelError> {
    let deadline = Instant::now() + LEAVE_LIMIT;
    loop {
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                // The kernel offers nothing to wait on here.
                let pause = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
                poll(&mut [], Some(&pause)).doing(|| "pause")?;
            }
            Err(error) => {
                return Err(KernelError::new(format!("remove control group `{}`", directory.display()), error));
            }
        }
    }
}

fn for_each_below(directory: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    visit(directory);
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            for_each_below(&entry.path(), visit);
        }
    }
}

fn create_in(hierarchy: &Hierarchy, relative: &Path) -> Result<OwnedFd, KernelError> {
    let mut directory = hierarchy.mount.clone();
    let mut parts: Vec<&std::ffi::OsStr> = relative.iter().collect();
    if hierarchy.is_unified {
        parts.push(AGENT.as_ref());
    }
    for part in parts {
        if hierarchy.is_unified {
            hand_controllers_down(&directory);
        }
        let parent = directory.clone();
        directory.push(part);
        let made = match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            // Whoever made it may not have come further.
            Ok(()) | Err(_) => inherit_processors(&parent, &directory),
        };
        made.doing(|| format!("make control group `{}`", directory.display()))?;
    }
    let file: File = OpenOptions::new()
        .write(true)
        .open(directory.join("cgroup.procs"))
        .doing(|| format!("open control group `{}`", directory.display()))?;
    Ok(file.into())
}

/// A version 1 `cpuset` accepts no process until it has processors and memory nodes.
fn inherit_processors(parent: &Path, directory: &Path) -> io::Result<()> {
    for setting in ["cpuset.cpus", "cpuset.mems"] {
        let file = directory.join(setting);
        let is_empty = fs::read_to_string(&file).is_ok_and(|value| value.trim().is_empty());
        // Version 2 groups without processors of their own use their parent's.
        if is_empty && !directory.join("cgroup.controllers").exists() {
            fs::write(&file, fs::read_to_string(parent.join(setting))?.trim())?;
        }
    }
    Ok(())
}

/// Offers every controller to the groups below. A controller that cannot be handed down here (a group with processes,
/// a container's share of the tree) is one that containers will do without.
fn hand_controllers_down(directory: &Path) {
    let controllers = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_ascii_whitespace() {
        if let Err(error) = fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}")) {
            tracing::debug!(group = %directory.display(), controller, %error, "controller not handed down");
        }
    }
}

/// `36 35 0:31 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu`
fn parse_hierarchies(mounts: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let is_unified = match after.split(' ').next() {
            Some("cgroup2") => true,
            Some("cgroup") => false,
            _ => continue,
        };
        let Some(mount) = before.split(' ').nth(4).map(PathBuf::from) else { continue };
        if found.iter().all(|hierarchy| hierarchy.mount != mount) {
            found.push(Hierarchy { mount, is_unified });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found_in_the_list_of_mounts() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      77 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n";

        let found = parse_hierarchies(mounts);

        let expected = [("/sys/fs/cgroup/cpu", false), ("/sys/fs/cgroup/unified", true)];
        assert_eq!(found, expected.map(|(mount, is_unified)| Hierarchy { mount: mount.into(), is_unified }));
    }

    #[test]
    fn a_version_2_hierarchy_keeps_the_first_process_in_a_leaf() {
        let mount = tempfile::tempdir().unwrap();
        let leaf = mount.path().join("swarmup/a/agent");
        fs::create_dir_all(&leaf).unwrap();
        fs::write(leaf.join("cgroup.procs"), "").unwrap();
        fs::write(mount.path().join("cgroup.controllers"), "cpu pids").unwrap();
        let hierarchies = vec![Hierarchy { mount: mount.path().to_owned(), is_unified: true }];
        let group = ControlGroup { hierarchies, relative: "swarmup/a".into() };

        let entries = group.create().unwrap();
        rustix::io::write(&entries[0], b"0").unwrap();

        assert_eq!(fs::read_to_string(leaf.join("cgroup.procs")).unwrap(), "0");
        assert_eq!(fs::read_to_string(mount.path().join("cgroup.subtree_control")).unwrap(), "+pids");
    }

    #[test]
    fn a_group_of_the_only_hierarchy_is_found() {
        let only = [Hierarchy { mount: "/sys/fs/cgroup".into(), is_unified: true }];

        let found = unified_group(&only, "0::/system.slice/swarmd.service\n");

        assert_eq!(found, Some("/sys/fs/cgroup/system.slice/swarmd.service".into()));
    }

    #[test]
    fn beside_version_1_the_group_stays_undivided() {
        let both = [("/sys/fs/cgroup/cpu", false), ("/sys/fs/cgroup/unified", true)]
            .map(|(mount, is_unified)| Hierarchy { mount: mount.into(), is_unified });

        let found = unified_group(&both, "4:cpu:/system.slice/swarmd.service\n0::/system.slice/swarmd.service\n");

        assert_eq!(found, None);
    }

    #[test]
    fn containers_belong_to_their_machine_or_to_their_node() {
        let check = |own: &str, expected: &str| {
            assert_eq!(group_for_containers(own, "n1"), Path::new(expected), "{own}");
        };
        check("4:cpu:/swarmup/c/node-1\n0::/swarmup/c/node-1/agent\n", "swarmup/c/node-1/containers");
        check("4:cpu:/\n1:name=systemd:/system.slice/swarmd.service\n0::/system.slice\n", "swarmup/n1");
        check("0::/swarmup/c/node-1/agent\n", "swarmup/c/node-1/containers");
        check("0::/system.slice/swarmd.service/agent\n", "swarmup/n1");
        check("0::/user.slice/session-1.scope\n", "swarmup/n1");
    }

    #[test]
    fn a_folder_without_systemds_mark_is_not_delegated() {
        let folder = tempfile::tempdir().unwrap();

        assert!(!is_delegated(folder.path()));
    }
}
