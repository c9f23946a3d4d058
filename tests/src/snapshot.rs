//! All that a host holds, so that two moments can be compared: before `create` and after `destroy`.
//!
//! Taken in the namespaces of the caller; for another host, take it with [`links::namespace::inside`] one of its
//! processes. Paths, names and settings are compared, not the content of files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use links::nft;
use links::route::Connection;

/// Where the files of swarmup, swarmd and the system's settings are.
const FOLDERS: [&str; 6] = ["/etc", "/run", "/usr/local", "/opt", "/var/lib", "/var/log"];
/// Network settings that exist whatever modules the kernel has loaded meanwhile.
const SETTINGS: [&str; 4] = ["/proc/sys/net/core", "/proc/sys/net/ipv4", "/proc/sys/net/ipv6", "/proc/sys/kernel"];
/// Settings that change by themselves.
const RESTLESS: [&str; 5] = [
    "/proc/sys/kernel/random",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/kernel/pty/nr",
    "/proc/sys/kernel/keys",
    "/proc/sys/kernel/tainted",
];
/// `PF_KTHREAD` in `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What a host holds at one moment, one line an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSnapshot {
    items: BTreeSet<String>,
}

impl HostSnapshot {
    /// Looks at processes, namespaces, links, addresses, mounts, control groups, packet filter tables, settings and
    /// files.
    ///
    /// # Errors
    /// Where the kernel does not answer.
    pub fn take() -> Result<Self> {
        let mut items = BTreeSet::new();
        add_processes(&mut items)?;
        add_network(&mut items)?;
        add_mounts(&mut items)?;
        for folder in SETTINGS {
            walk(Path::new(folder), &mut |path| {
                if !RESTLESS.iter().any(|restless| path.starts_with(restless))
                    && let Ok(value) = fs::read_to_string(path)
                {
                    items.insert(format!("setting {} = {}", path.display(), value.trim_end()));
                }
            });
        }
        for folder in FOLDERS {
            walk(Path::new(folder), &mut |path| {
                items.insert(format!("file {}", path.display()));
            });
        }
        Ok(Self { items })
    }

    /// The same without some items, such as those of tests that run beside this one.
    #[must_use]
    pub fn without(mut self, is_ignored: impl Fn(&str) -> bool) -> Self {
        self.items.retain(|item| !is_ignored(item));
        self
    }

    /// What another, later snapshot has more (`+`) or less (`-`).
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let more = later.items.difference(&self.items).map(|item| format!("+ {item}"));
        let less = self.items.difference(&later.items).map(|item| format!("- {item}"));
        more.chain(less).collect()
    }
}

fn add_processes(items: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir("/proc").context("failed to list processes")?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else { continue };
        // A process may end while it is looked at.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((before, after)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = after.split(' ').collect();
        let flags: u64 = fields.get(6).and_then(|flags| flags.parse().ok()).unwrap_or_default();
        if flags & KERNEL_THREAD != 0 {
            continue;
        }
        let command = before.split_once('(').map_or("", |(_, command)| command);
        let zombie = if fields.first() == Some(&"Z") { " (not collected)" } else { "" };
        items.insert(format!("process {pid} {command}{zombie}"));
        // By whose they are, not by number: a host that was booted again has other numbers.
        for namespace in fs::read_dir(entry.path().join("ns")).into_iter().flatten().flatten() {
            let kind = namespace.file_name();
            let Ok(id) = fs::read_link(namespace.path()) else { continue };
            let is_inits = fs::read_link(Path::new("/proc/1/ns").join(&kind)).is_ok_and(|of_init| of_init == id);
            let owner = if is_inits { "init" } else { command };
            items.insert(format!("namespace {} of {owner}", kind.display()));
        }
    }
    Ok(())
}

fn add_network(items: &mut BTreeSet<String>) -> Result<()> {
    let mut connection = Connection::open()?;
    let links = connection.links()?;
    let name = |index: u32| links.iter().find(|link| link.index == index).map_or("?", |link| &link.name);
    for address in connection.addresses()? {
        items.insert(format!("address {} {}", name(address.link), address.prefix));
    }
    items.extend(links.iter().map(|link| format!("link {} up={}", link.name, link.is_up)));
    items.extend(nft::tables()?.into_iter().map(|(family, table)| format!("nft table {family} {table}")));
    Ok(())
}

/// Mounts, and the groups of every hierarchy of control groups.
fn add_mounts(items: &mut BTreeSet<String>) -> Result<()> {
    // Inside another host this thread keeps its own PID namespace, and that host's /proc does not know it.
    let mounts = fs::read_to_string("/proc/self/mountinfo").or_else(|_| fs::read_to_string("/proc/1/mountinfo"));
    let mounts = mounts.context("failed to list mounts")?;
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let (Some(target), Some(kind)) = (before.split(' ').nth(4), after.split(' ').next()) else { continue };
        items.insert(format!("mount {target} {kind}"));
        if kind.starts_with("cgroup") {
            walk_folders(Path::new(target), &mut |group| {
                items.insert(format!("cgroup {}", group.display()));
            });
        }
    }
    Ok(())
}

/// Visits all that is below a folder, folders before what they hold.
fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        visit(&entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
}

fn walk_folders(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path());
            walk_folders(&entry.path(), visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_appeared_and_what_vanished_is_told() {
        let snapshot = |items: &[&str]| HostSnapshot { items: items.iter().map(|item| (*item).to_owned()).collect() };

        let changes = snapshot(&["link lo", "file /a"]).changes(&snapshot(&["link lo", "file /b"]));

        assert_eq!(changes, ["+ file /b", "- file /a"]);
    }

    #[test]
    fn this_process_and_the_loopback_link_are_seen() {
        let snapshot = HostSnapshot::take().unwrap();

        assert!(snapshot.items.iter().any(|item| item.starts_with(&format!("process {} ", std::process::id()))));
        assert!(snapshot.items.iter().any(|item| item.starts_with("link lo ")));
        assert!(snapshot.items.iter().any(|item| item.starts_with("setting /proc/sys/net/ipv4/ip_forward = ")));
    }
}
