//! `docker top`: the processes of a container, as `ps -ef` shows them, read from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use jiff::{Timestamp, Unit};

use super::{ContainerError, Containers};
use crate::document::blocking;
use crate::event::EventKind;
use crate::settings::InvalidSettings;

/// The ticks of a second in `/proc`: `USER_HZ`, the same on all processors that we run on.
const TICKS: u64 = 100;
/// The columns of `ps -ef`.
const TITLES: [&str; 8] = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];

/// The processes of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessTable {
    /// The names of the columns.
    pub titles: Vec<String>,
    /// A process each.
    pub processes: Vec<Vec<String>>,
}

impl Containers {
    /// The processes of a container that runs. Of the ways in which `ps` shows them there is the usual one.
    pub async fn top(&self, name: &str, arguments: &str) -> Result<ProcessTable, ContainerError> {
        if !matches!(arguments.trim(), "" | "-ef") {
            let words = "processes are shown as by `ps -ef` only, not by";
            return Err(ContainerError::Invalid(InvalidSettings(format!("{words} `ps {arguments}`"))));
        }
        let cell = self.cell(name)?;
        let pids = self.running(&cell)?.processes().await?;
        let processes = blocking(move || {
            let users = users();
            pids.into_iter().filter_map(|pid| row(pid, &users)).collect()
        })
        .await;
        self.shared.events.tell(EventKind::Container, "top", &cell.id, cell.record().attributes());
        Ok(ProcessTable { titles: TITLES.map(str::to_owned).to_vec(), processes })
    }
}

/// The host's users by number.
fn users() -> HashMap<u32, String> {
    let list = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    list.lines().filter_map(user).collect()
}

/// A process as `ps -ef` shows it; `None` where it has ended.
fn row(pid: u32, users: &HashMap<u32, String>) -> Option<Vec<String>> {
    let folder = format!("/proc/{pid}");
    let uid = fs::metadata(&folder).ok()?.uid();
    let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
    let command = fs::read(format!("{folder}/cmdline")).ok()?;
    let stat = Stat::parse(&stat)?;
    let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
    let age = (uptime - seconds(stat.started)).max(0.0);
    let share = if age > 0.0 { (seconds(stat.used) / age * 100.0).min(99.0) } else { 0.0 };
    let started = Timestamp::now().checked_sub(jiff::SignedDuration::from_secs_f64(age)).ok()?;
    let used = stat.used / TICKS;
    let words = command.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    let words = words.trim_end();
    Some(vec![
        users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()),
        pid.to_string(),
        stat.parent.to_string(),
        format!("{share:.0}"),
        started.round(Unit::Minute).ok()?.strftime("%H:%M").to_string(),
        stat.terminal(),
        format!("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
        if words.is_empty() { format!("[{}]", stat.name) } else { words.to_owned() },
    ])
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a process are far fewer than a double counts exactly")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS as f64
}

/// What `/proc/PID/stat` says.
struct Stat {
    name: String,
    parent: u32,
    terminal: u64,
    used: u64,
    started: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name may hold anything, also blanks and brackets.
        let (before, after) = (text.split_once('(')?.1, text.rsplit_once(')')?);
        let name = before.get(..before.len() - after.1.len() - 1)?.to_owned();
        let fields: Vec<&str> = after.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            name,
            parent: fields.get(1)?.parse().ok()?,
            terminal: number(4)?,
            used: number(11)? + number(12)?,
            started: number(19)?,
        })
    }

    fn terminal(&self) -> String {
        let (major, minor) = (self.terminal >> 8 & 0xfff, self.terminal & 0xff | self.terminal >> 12 & 0xf_ff00);
        match major {
            136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
            _ => "?".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name_is_read() {
        let text = "7 (a) b (c) S 1 7 7 34817 7 0 0 0 0 0 120 30 0 0 20 0 1 0 5000 0 0";

        let stat = Stat::parse(text).unwrap();

        assert_eq!((stat.name.as_str(), stat.parent, stat.used, stat.started), ("a) b (c", 1, 150, 5000));
        assert_eq!(stat.terminal(), "pts/1");
    }
}
