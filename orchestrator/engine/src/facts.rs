//! What the machine is: processors, memory, kernel, operating system, and what its cgroups can limit.

use std::fs;
use std::num::NonZero;
use std::path::Path;

use model::{Platform, Resources};

/// Where systems describe themselves, best first.
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];
/// The root of the cgroup file systems.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// What the kernel's cgroups can limit on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CgroupSupport {
    /// Whether there is one hierarchy (version 2); several, or none, otherwise.
    pub is_unified: bool,
    /// The controllers on offer, such as `memory`.
    pub controllers: Vec<String>,
    /// Whether swap can be limited.
    pub has_swap_limit: bool,
}

impl CgroupSupport {
    /// Whether a controller is on offer.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }
}

/// The machine at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Architecture and operating system.
    pub platform: Platform,
    /// Processors that the process may use.
    pub cpus: usize,
    /// Memory of the machine, in bytes.
    pub memory_bytes: u64,
    /// Release of the kernel.
    pub kernel_version: String,
    /// Name of the distribution, as it calls itself.
    pub os_name: String,
    /// Version of the distribution; empty where it has none.
    pub os_version: String,
    /// Whether the kernel forwards IPv4.
    pub is_forwarding_ipv4: bool,
    /// What can be limited.
    pub cgroups: CgroupSupport,
}

impl HostFacts {
    /// Reads the facts. What the kernel does not tell stays zero or empty.
    pub(crate) fn read() -> Self {
        let uname = rustix::system::uname();
        let os_release = OS_RELEASE.iter().find_map(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            platform: Platform {
                architecture: uname.machine().to_string_lossy().into_owned(),
                os: std::env::consts::OS.to_owned(),
            },
            cpus: std::thread::available_parallelism().map_or(1, NonZero::get),
            memory_bytes: memory_total(&read("/proc/meminfo")).unwrap_or(0),
            kernel_version: uname.release().to_string_lossy().into_owned(),
            os_name: os_release_field(&os_release, "PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()),
            os_version: os_release_field(&os_release, "VERSION_ID").unwrap_or_default(),
            is_forwarding_ipv4: read("/proc/sys/net/ipv4/ip_forward").trim() == "1",
            cgroups: cgroup_support(Path::new(CGROUP_ROOT), &read("/proc/cgroups")),
        }
    }

    /// Processors and memory as a node reports them.
    pub fn resources(&self) -> Resources {
        let cpus = i64::try_from(self.cpus).unwrap_or(i64::MAX);
        Resources {
            nano_cpus: cpus.saturating_mul(1_000_000_000),
            memory_bytes: i64::try_from(self.memory_bytes).unwrap_or(i64::MAX),
        }
    }
}

/// Reads the total memory (bytes) from `/proc/meminfo`.
fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Reads a field of `os-release`, with or without quotes.
fn os_release_field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?.trim();
    let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Some(unquoted.unwrap_or(value).to_owned())
}

/// Finds the controllers of the one hierarchy, or of the old ones that are enabled in `/proc/cgroups`.
fn cgroup_support(root: &Path, proc_cgroups: &str) -> CgroupSupport {
    if let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) {
        let controllers: Vec<_> = controllers.split_whitespace().map(str::to_owned).collect();
        let has_swap_limit = controllers.iter().any(|controller| controller == "memory");
        return CgroupSupport { is_unified: true, controllers, has_swap_limit };
    }
    let enabled = proc_cgroups.lines().filter(|line| !line.starts_with('#')).filter_map(enabled_controller);
    let has_swap_limit = root.join("memory/memory.memsw.limit_in_bytes").exists();
    CgroupSupport { is_unified: false, controllers: enabled.map(str::to_owned).collect(), has_swap_limit }
}

/// Reads a line of `/proc/cgroups`: name, hierarchy, count, enabled.
fn enabled_controller(line: &str) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let name = fields.next()?;
    (fields.nth(2)? == "1").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(memory_total(text), expected, "{text}");
        check("MemTotal:       16384 kB\nMemFree: 1 kB\n", Some(16_777_216));
        check("MemFree: 1 kB\n", None);
        check("MemTotal: many\n", None);
    }

    #[test]
    fn fields_of_os_release_are_read_with_and_without_quotes() {
        let text = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\nID=debian\n";
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(os_release_field(text, name).as_deref(), expected, "{name}");
        };
        check("PRETTY_NAME", Some("Debian GNU/Linux 12 (bookworm)"));
        check("VERSION_ID", Some("12"));
        check("ID", Some("debian"));
        check("VERSION", None);
    }

    #[test]
    fn one_hierarchy_names_its_controllers() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpuset cpu memory pids\n").unwrap();

        let support = cgroup_support(root.path(), "");

        assert!(support.is_unified && support.has_swap_limit);
        assert!(support.has("memory") && support.has("pids") && !support.has("io"));
    }

    #[test]
    fn old_hierarchies_count_where_they_are_enabled() {
        let root = tempfile::tempdir().unwrap();
        let table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nmemory\t0\t1\t0\n";

        let support = cgroup_support(root.path(), table);

        assert!(!support.is_unified && !support.has_swap_limit);
        assert_eq!(support.controllers, ["cpu"]);
    }

    #[test]
    fn processors_become_billionths() {
        let facts = HostFacts { cpus: 2, memory_bytes: 4096, ..HostFacts::default() };

        assert_eq!(facts.resources(), Resources { nano_cpus: 2_000_000_000, memory_bytes: 4096 });
    }
}
