//! What `ps` shows, by the words it is called with: pure.

use std::collections::HashMap;
use std::fs;

use jiff::{SignedDuration, Timestamp};

use super::process::Process;

/// What is known of the host, to show a process.
#[derive(Debug)]
pub(super) struct Host {
    /// Users by number.
    users: HashMap<u32, String>,
    /// Its memory, in KiB.
    memory_kib: u64,
    now: Timestamp,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Its words for `-o`.
    names: &'static [&'static str],
    /// What stands above it.
    pub(super) title: &'static str,
    /// What it shows of a process.
    pub(super) show: fn(&Process, &Host) -> String,
}

/// Every column that `-o` knows here, by the names of procps.
const COLUMNS: [Column; 25] = [
    Column { names: &["pid"], title: "PID", show: |process, _| process.pid.to_string() },
    Column { names: &["ppid"], title: "PPID", show: |process, _| process.parent.to_string() },
    Column { names: &["pgid", "pgrp"], title: "PGID", show: |process, _| process.group.to_string() },
    Column { names: &["sid", "sess", "session"], title: "SID", show: |process, _| process.session.to_string() },
    Column { names: &["uid", "euid"], title: "UID", show: |process, _| process.uid.to_string() },
    Column { names: &["user", "uname"], title: "USER", show: user },
    Column { names: &["euser"], title: "EUSER", show: user },
    Column { names: &["cmd"], title: "CMD", show: command },
    Column { names: &["args", "command"], title: "COMMAND", show: command },
    Column { names: &["comm", "ucmd", "ucomm"], title: "COMMAND", show: |process, _| process.name.clone() },
    Column { names: &["pcpu", "%cpu"], title: "%CPU", show: |process, _| format!("{:.1}", process.share) },
    Column { names: &["c"], title: "C", show: |process, _| format!("{:.0}", process.share.min(99.0)) },
    Column { names: &["pmem", "%mem"], title: "%MEM", show: memory },
    Column { names: &["vsz", "vsize"], title: "VSZ", show: |process, _| process.virtual_kib.to_string() },
    Column { names: &["rss", "rssize", "rsz"], title: "RSS", show: |process, _| process.resident_kib.to_string() },
    Column { names: &["tty", "tt"], title: "TT", show: terminal },
    Column { names: &["tname"], title: "TTY", show: terminal },
    Column { names: &["stat"], title: "STAT", show: state },
    Column { names: &["s", "state"], title: "S", show: |process, _| process.state.to_string() },
    Column { names: &["time", "cputime"], title: "TIME", show: |process, _| clock(process.used) },
    Column { names: &["etime"], title: "ELAPSED", show: |process, _| elapsed(process) },
    Column { names: &["stime"], title: "STIME", show: started },
    Column { names: &["start_time"], title: "START", show: started },
    Column { names: &["ni", "nice"], title: "NI", show: |process, _| process.nice.to_string() },
    Column { names: &["nlwp", "thcount"], title: "NLWP", show: |process, _| process.threads.to_string() },
];

/// `ps -ef`.
const FULL: [Column; 8] = [
    Column { names: &[], title: "UID", show: user },
    Column { names: &[], title: "PID", show: |process, _| process.pid.to_string() },
    Column { names: &[], title: "PPID", show: |process, _| process.parent.to_string() },
    Column { names: &[], title: "C", show: |process, _| format!("{:.0}", process.share.min(99.0)) },
    Column { names: &[], title: "STIME", show: started },
    Column { names: &[], title: "TTY", show: terminal },
    Column { names: &[], title: "TIME", show: |process, _| clock(process.used) },
    Column { names: &[], title: "CMD", show: command },
];

/// `ps aux`.
const BY_USER: [Column; 11] = [
    Column { names: &[], title: "USER", show: user },
    Column { names: &[], title: "PID", show: |process, _| process.pid.to_string() },
    Column { names: &[], title: "%CPU", show: |process, _| format!("{:.1}", process.share) },
    Column { names: &[], title: "%MEM", show: memory },
    Column { names: &[], title: "VSZ", show: |process, _| process.virtual_kib.to_string() },
    Column { names: &[], title: "RSS", show: |process, _| process.resident_kib.to_string() },
    Column { names: &[], title: "TTY", show: terminal },
    Column { names: &[], title: "STAT", show: state },
    Column { names: &[], title: "START", show: started },
    Column { names: &[], title: "TIME", show: |process, _| format!("{}:{:02}", process.used / 60, process.used % 60) },
    Column { names: &[], title: "COMMAND", show: command },
];

/// The columns for the arguments of `ps`; refused in words where they are others than the usual ones.
pub(super) fn columns_of(arguments: &str) -> Result<Vec<Column>, String> {
    let unknown = || format!("processes are shown as by `ps -ef`, `ps aux` or `ps -o LIST`, not by `ps {arguments}`");
    let mut words = arguments.split_whitespace();
    let mut chosen = Vec::new();
    let mut preset = None;
    while let Some(word) = words.next() {
        let letters = word.strip_prefix('-').unwrap_or(word);
        if let Some((before, list)) = letters.split_once('o').filter(|(before, _)| is_all(before)) {
            preset = preset.or(Some(&FULL[..]).filter(|_| before.contains('f')));
            let list = if list.is_empty() { words.next().ok_or_else(unknown)? } else { list };
            for name in list.split(',') {
                chosen.push(column(name).ok_or_else(|| format!("unknown user-defined format specifier \"{name}\""))?);
            }
        } else if letters.contains('u') && letters.chars().all(|letter| "auxw".contains(letter)) {
            preset = Some(&BY_USER[..]);
        } else if is_all(letters) {
            preset = preset.or(Some(&FULL[..]));
        } else {
            return Err(unknown());
        }
    }
    if chosen.is_empty() {
        return Ok(preset.unwrap_or(&FULL).to_vec());
    }
    // Docker finds the processes by it, and says so.
    if !chosen.iter().any(|column| column.title == "PID") {
        return Err("Couldn't find PID field in ps output".to_owned());
    }
    Ok(chosen)
}

/// Letters that choose processes, which are the container's in any case, or the full format.
fn is_all(letters: &str) -> bool {
    letters.chars().all(|letter| "aAefwx".contains(letter))
}

fn column(name: &str) -> Option<Column> {
    COLUMNS.iter().find(|column| column.names.contains(&name)).copied()
}

/// The host as it is now.
pub(super) fn host() -> Host {
    let list = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    Host {
        users: list.lines().filter_map(user).collect(),
        memory_kib: total.unwrap_or(u64::MAX),
        now: Timestamp::now(),
    }
}

fn user(process: &Process, host: &Host) -> String {
    host.users.get(&process.uid).cloned().unwrap_or_else(|| process.uid.to_string())
}

fn command(process: &Process, _: &Host) -> String {
    if process.words.is_empty() { format!("[{}]", process.name) } else { process.words.clone() }
}

#[expect(clippy::cast_precision_loss, reason = "memory in KiB is less than a double counts exactly")]
fn memory(process: &Process, host: &Host) -> String {
    format!("{:.1}", process.resident_kib as f64 / host.memory_kib as f64 * 100.0)
}

fn terminal(process: &Process, _: &Host) -> String {
    let number = process.terminal;
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00);
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        _ => "?".to_owned(),
    }
}

fn state(process: &Process, _: &Host) -> String {
    let marks = [
        (process.nice < 0, '<'),
        (process.nice > 0, 'N'),
        (process.session == process.pid, 's'),
        (process.threads > 1, 'l'),
        (process.foreground == i64::from(process.group), '+'),
    ];
    let marks = marks.into_iter().filter_map(|(is_so, mark)| is_so.then_some(mark));
    std::iter::once(process.state).chain(marks).collect()
}

/// When it began: the time of day, or the day where that is another one.
fn started(process: &Process, host: &Host) -> String {
    let started = host.now.checked_sub(SignedDuration::from_secs_f64(process.age)).unwrap_or(host.now);
    let day = |moment: Timestamp| moment.strftime("%Y-%m-%d").to_string();
    let form = if day(started) == day(host.now) { "%H:%M" } else { "%b%d" };
    started.strftime(form).to_string()
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn elapsed(process: &Process) -> String {
    let seconds = SignedDuration::from_secs_f64(process.age).as_secs();
    let (days, hours) = (seconds / 86400, seconds / 3600 % 24);
    let minutes = format!("{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => minutes,
        (0, hours) => format!("{hours:02}:{minutes}"),
        (days, hours) => format!("{days}-{hours:02}:{minutes}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::tests::odd;
    use super::*;

    fn shown(arguments: &str) -> (String, String) {
        let host = Host {
            users: HashMap::from([(0, "root".to_owned())]),
            memory_kib: 5200,
            now: "2026-01-02T00:10:00Z".parse().unwrap(),
        };
        let columns = columns_of(arguments).unwrap();
        let titles: Vec<_> = columns.iter().map(|column| column.title).collect();
        let values: Vec<_> = columns.iter().map(|column| (column.show)(&odd(), &host)).collect();
        (titles.join(" "), values.join(" "))
    }

    #[test]
    fn the_usual_ways_of_ps_are_known() {
        let full = "4000000000 7 1 16 Jan01 pts/1 00:02:30 odd --words";
        let by_user = "4000000000 7 15.8 10.0 4096 520 pts/1 SNsl+ Jan01 2:30 odd --words";

        for arguments in ["", "-ef", "-e -f", "-A"] {
            assert_eq!(shown(arguments), ("UID PID PPID C STIME TTY TIME CMD".to_owned(), full.to_owned()));
        }
        for arguments in ["aux", "waux", "-aux", "auxww"] {
            let titles = "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND";
            assert_eq!(shown(arguments), (titles.to_owned(), by_user.to_owned()), "{arguments}");
        }
    }

    #[test]
    fn columns_are_chosen_by_their_names() {
        let check = |arguments: &str, titles: &str, values: &str| {
            assert_eq!(shown(arguments), (titles.to_owned(), values.to_owned()), "{arguments}");
        };

        check("-o pid,comm", "PID COMMAND", "7 a) b (c");
        check("-eo ppid,pid,etime -o stat", "PPID PID ELAPSED STAT", "1 7 15:50 SNsl+");
        check("o pid,nlwp,ni,s", "PID NLWP NI S", "7 3 5 S");
        check("-opid", "PID", "7");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let refused = |arguments: &str| columns_of(arguments).unwrap_err();

        assert_eq!(refused("-o comm"), "Couldn't find PID field in ps output");
        assert_eq!(refused("-o pid,wchan"), "unknown user-defined format specifier \"wchan\"");
        let words = "processes are shown as by `ps -ef`, `ps aux` or `ps -o LIST`, not by `ps --forest`";
        assert_eq!(refused("--forest"), words);
        assert_eq!(refused("-o"), words.replace("--forest", "-o"));
    }
}
