//! What a container uses, in Docker's numbers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::{Group, keyed};

/// What `/proc/stat` counts in: `USER_HZ`, which is 100 on every architecture that we run on.
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

/// What a container uses at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The moment.
    pub read_at: Timestamp,
    /// Processors.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Processes and threads.
    pub pids: PidsStats,
    /// Bytes from and to block devices.
    pub block_bytes: Vec<BlockTransfer>,
    /// Operations on block devices.
    pub block_operations: Vec<BlockTransfer>,
    /// Links of its network namespace, by name; loopback is not counted.
    pub networks: BTreeMap<String, InterfaceStats>,
}

/// Processor time since the container began, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuStats {
    /// All of it.
    pub total: u64,
    /// In programs.
    pub user: u64,
    /// In the kernel.
    pub kernel: u64,
    /// By processor; version 2 does not tell.
    pub per_processor: Vec<u64>,
    /// Processors that the host has.
    pub online: u32,
    /// What all processors of the host have spent, idle or not.
    pub system: u64,
    /// How often its quota held it up.
    pub throttling: Throttling,
}

/// How often a quota held a container up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Throttling {
    /// Periods that it ran in.
    pub periods: u64,
    /// Periods in which it had to wait.
    pub throttled_periods: u64,
    /// How long it waited, in nanoseconds.
    pub throttled_time: u64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MemoryStats {
    /// What it uses.
    pub usage: u64,
    /// The most that it has used, where the kernel tells.
    pub max_usage: Option<u64>,
    /// What it may use; absent without a limit.
    pub limit: Option<u64>,
    /// How often it met its limit.
    pub failures: u64,
    /// The kernel's details, by their names.
    pub details: BTreeMap<String, u64>,
    /// Processes killed because the memory had run out.
    pub oom_kills: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PidsStats {
    /// How many there are.
    pub current: u64,
    /// How many there may be; absent without a limit.
    pub limit: Option<u64>,
}

/// What went between a container and one block device in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockTransfer {
    /// The device's major number.
    pub major: u64,
    /// Its minor number.
    pub minor: u64,
    /// `read`, `write`, and what else the kernel tells, in lower case.
    pub operation: String,
    /// Bytes or operations.
    pub value: u64,
}

/// The counters of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the words of /proc/net/dev")]
pub struct InterfaceStats {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

impl Group {
    /// Reads what the group uses. What a kernel does not count is zero or absent. `process` is one inside of the
    /// container's network namespace.
    pub(crate) fn stats(&self, process: u32) -> Stats {
        let (mut cpu, memory, pids, (block_bytes, block_operations)) = match self.unified() {
            Some(folder) => (unified_cpu(&folder), unified_memory(&folder), pids(&folder), unified_blocks(&folder)),
            None => (
                self.cpu(),
                self.memory(),
                self.version_1("pids").map_or_else(PidsStats::default, |at| pids(&at)),
                self.blocks(),
            ),
        };
        let (system, online) = system(&text(Path::new("/proc/stat")));
        (cpu.system, cpu.online) = (system, online);
        let networks = interfaces(&text(&Path::new("/proc").join(process.to_string()).join("net/dev")));
        Stats { read_at: Timestamp::now(), cpu, memory, pids, block_bytes, block_operations, networks }
    }

    fn cpu(&self) -> CpuStats {
        let mut stats = CpuStats::default();
        if let Some(folder) = self.version_1("cpuacct") {
            stats.total = number(&folder.join("cpuacct.usage")).unwrap_or(0);
            let percpu = text(&folder.join("cpuacct.usage_percpu"));
            stats.per_processor = percpu.split_ascii_whitespace().filter_map(|part| part.parse().ok()).collect();
            let ticks = keyed(&text(&folder.join("cpuacct.stat")));
            let time = |name: &str| ticks.get(name).copied().unwrap_or(0).saturating_mul(NANOSECONDS_PER_TICK);
            (stats.user, stats.kernel) = (time("user"), time("system"));
        }
        if let Some(folder) = self.version_1("cpu") {
            let counts = keyed(&text(&folder.join("cpu.stat")));
            stats.throttling = throttling(&counts, "throttled_time", 1);
        }
        stats
    }

    fn memory(&self) -> MemoryStats {
        let Some(folder) = self.version_1("memory") else { return MemoryStats::default() };
        let details = keyed(&text(&folder.join("memory.stat")));
        // Without a limit the kernel shows the largest number of whole pages that fits.
        let limit = number(&folder.join("memory.limit_in_bytes")).filter(|&limit| limit < (1 << 62));
        MemoryStats {
            usage: number(&folder.join("memory.usage_in_bytes")).unwrap_or(0),
            max_usage: number(&folder.join("memory.max_usage_in_bytes")),
            limit,
            failures: number(&folder.join("memory.failcnt")).unwrap_or(0),
            details,
            oom_kills: self.oom_kills(),
        }
    }

    fn blocks(&self) -> (Vec<BlockTransfer>, Vec<BlockTransfer>) {
        let Some(folder) = self.version_1("blkio") else { return (Vec::new(), Vec::new()) };
        let read = |file: &str| blocks(&text(&folder.join(file)));
        (read("blkio.throttle.io_service_bytes_recursive"), read("blkio.throttle.io_serviced_recursive"))
    }
}

fn unified_cpu(folder: &Path) -> CpuStats {
    let counts = keyed(&text(&folder.join("cpu.stat")));
    let time = |name: &str| counts.get(name).copied().unwrap_or(0).saturating_mul(1000);
    CpuStats {
        total: time("usage_usec"),
        user: time("user_usec"),
        kernel: time("system_usec"),
        throttling: throttling(&counts, "throttled_usec", 1000),
        ..CpuStats::default()
    }
}

fn throttling(counts: &BTreeMap<String, u64>, time: &str, nanoseconds: u64) -> Throttling {
    let count = |name: &str| counts.get(name).copied().unwrap_or(0);
    Throttling {
        periods: count("nr_periods"),
        throttled_periods: count("nr_throttled"),
        throttled_time: count(time).saturating_mul(nanoseconds),
    }
}

fn unified_memory(folder: &Path) -> MemoryStats {
    let events = keyed(&text(&folder.join("memory.events")));
    let event = |name: &str| events.get(name).copied().unwrap_or(0);
    MemoryStats {
        usage: number(&folder.join("memory.current")).unwrap_or(0),
        max_usage: number(&folder.join("memory.peak")),
        limit: number(&folder.join("memory.max")),
        failures: event("max"),
        details: keyed(&text(&folder.join("memory.stat"))),
        oom_kills: event("oom_kill"),
    }
}

fn pids(folder: &Path) -> PidsStats {
    PidsStats { current: number(&folder.join("pids.current")).unwrap_or(0), limit: number(&folder.join("pids.max")) }
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`
fn unified_blocks(folder: &Path) -> (Vec<BlockTransfer>, Vec<BlockTransfer>) {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in text(&folder.join("io.stat")).lines() {
        let mut words = line.split_ascii_whitespace();
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let Ok(value) = value.parse() else { continue };
            let (list, operation) = match name {
                "rbytes" => (&mut bytes, "read"),
                "wbytes" => (&mut bytes, "write"),
                "rios" => (&mut operations, "read"),
                "wios" => (&mut operations, "write"),
                _ => continue,
            };
            list.push(BlockTransfer { major, minor, operation: operation.to_owned(), value });
        }
    }
    (bytes, operations)
}

/// `8:0 Read 4096`
fn blocks(text: &str) -> Vec<BlockTransfer> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (major, minor) = device(words.next()?)?;
            let operation = words.next()?.to_ascii_lowercase();
            Some(BlockTransfer { major, minor, operation, value: words.next()?.parse().ok()? })
        })
        .collect()
}

fn device(word: &str) -> Option<(u64, u64)> {
    let (major, minor) = word.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Nanoseconds that all processors have spent, and how many there are, by `/proc/stat`.
fn system(text: &str) -> (u64, u32) {
    let first = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal; guests are in user already.
    let ticks: u64 = first.split_ascii_whitespace().skip(1).take(8).filter_map(|word| word.parse::<u64>().ok()).sum();
    let is_processor = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
    };
    let online = text.lines().filter(is_processor).count();
    (ticks.saturating_mul(NANOSECONDS_PER_TICK), u32::try_from(online).unwrap_or(u32::MAX))
}

/// The counters of `/proc/PID/net/dev`.
fn interfaces(text: &str) -> BTreeMap<String, InterfaceStats> {
    let link = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        let values: Vec<u64> = counters.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        let at = |index: usize| values.get(index).copied().unwrap_or(0);
        let stats = InterfaceStats {
            rx_bytes: at(0),
            rx_packets: at(1),
            rx_errors: at(2),
            rx_dropped: at(3),
            tx_bytes: at(8),
            tx_packets: at(9),
            tx_errors: at(10),
            tx_dropped: at(11),
        };
        Some((name.trim().to_owned(), stats)).filter(|(name, _)| name != "lo")
    };
    text.lines().skip(2).filter_map(link).collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number in a file; `None` where there is no file, or it says `max`.
fn number(path: &Path) -> Option<u64> {
    text(path).trim().parse().ok()
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
