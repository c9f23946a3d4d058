//! One process, as `/proc` tells of it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// The ticks of a second in `/proc`: `USER_HZ`, the same on all processors that we run on.
const TICKS: u64 = 100;

/// What is known of a process.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) uid: u32,
    /// Of its program; at most 15 bytes of it.
    pub(super) name: String,
    /// What it was called with; empty for one that is over or of the kernel.
    pub(super) words: String,
    /// The kernel's letter for what it does.
    pub(super) state: char,
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) session: u32,
    /// Its terminal's device number; 0 for none.
    pub(super) terminal: u64,
    /// The group in the foreground of that terminal.
    pub(super) foreground: i64,
    pub(super) nice: i64,
    pub(super) threads: u64,
    /// Processor time, in seconds.
    pub(super) used: u64,
    /// Share of one processor since it began, in percent.
    pub(super) share: f64,
    /// How long it has existed, in seconds.
    pub(super) age: f64,
    /// Address space, in KiB.
    pub(super) virtual_kib: u64,
    /// Memory that it holds, in KiB.
    pub(super) resident_kib: u64,
}

impl Process {
    /// Reads it; `None` where it has ended.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let folder = format!("/proc/{pid}");
        let read = |name: &str| fs::read_to_string(format!("{folder}/{name}")).ok();
        let uid = fs::metadata(&folder).ok()?.uid();
        let words = fs::read(format!("{folder}/cmdline")).ok()?;
        let words = words.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
        let uptime = fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
        let process = Self::parse(&read("stat")?, &read("status")?, uptime)?;
        Some(Self { pid, uid, words: words.trim_end().to_owned(), ..process })
    }

    /// What the files `stat` and `status` say, so many seconds after the host was started.
    fn parse(stat: &str, status: &str, uptime: f64) -> Option<Self> {
        // The name may hold anything, also blanks and brackets.
        let (before, (_, after)) = (stat.split_once('(')?.1, stat.rsplit_once(')')?);
        let name = before.get(..before.len() - after.len() - 1)?.to_owned();
        let fields: Vec<&str> = after.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let small = |at: usize| fields.get(at)?.parse::<u32>().ok();
        let signed = |at: usize| fields.get(at)?.parse::<i64>().ok();
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let used = number(11)? + number(12)?;
        let age = (uptime - seconds(number(19)?)).max(0.0);
        Some(Self {
            pid: 0,
            uid: 0,
            name,
            words: String::new(),
            state: fields.first()?.chars().next()?,
            parent: small(1)?,
            group: small(2)?,
            session: small(3)?,
            terminal: number(4)?,
            foreground: signed(5)?,
            nice: signed(16)?,
            threads: number(17)?,
            used: used / TICKS,
            share: if age > 0.0 { seconds(used) / age * 100.0 } else { 0.0 },
            age,
            virtual_kib: kib("VmSize").unwrap_or(0),
            resident_kib: kib("VmRSS").unwrap_or(0),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a process are far fewer than a double counts exactly")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A process with an odd name, 1000 seconds after the host was started.
    pub(in super::super) fn odd() -> Process {
        let stat = "7 (a) b (c) S 1 7 7 34817 7 0 0 0 0 0 12000 3000 0 0 20 5 3 0 5000 0 0";
        let status = "Name:\ta) b (c\nVmSize:\t    4096 kB\nVmRSS:\t     520 kB\n";
        let process = Process::parse(stat, status, 1000.0).unwrap();
        Process { pid: 7, uid: 4_000_000_000, words: "odd --words".to_owned(), ..process }
    }

    #[test]
    fn a_process_with_an_odd_name_is_read() {
        let process = odd();

        assert_eq!((process.name.as_str(), process.state, process.parent), ("a) b (c", 'S', 1));
        assert_eq!((process.group, process.session, process.foreground, process.terminal), (7, 7, 7, 34817));
        assert_eq!((process.nice, process.threads, process.used), (5, 3, 150));
        assert_eq!((process.virtual_kib, process.resident_kib), (4096, 520));
        assert_eq!(format!("{:.2} {:.1}", process.age, process.share), "950.00 15.8");
    }
}
