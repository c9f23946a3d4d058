//! A process that cannot be mistaken for another one that was given its number later.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use crate::KernelError;
use crate::error::Doing;

/// The field of `/proc/PID/stat` that says when the process started, counted after the command's name.
const START_TIME_FIELD: usize = 19;

/// A process, named by its number and the moment it started (clock ticks since boot).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its number, as the reader of `/proc` counts.
    pub pid: u32,
    /// When it started: `/proc/PID/stat`, field 22.
    pub started: u64,
}

impl Process {
    /// Names the process that has this number now.
    pub fn of(pid: u32) -> Result<Self, KernelError> {
        Ok(Self { pid, started: start_time(pid).doing(|| format!("read the start time of process {pid}"))? })
    }

    /// Takes hold of the process; `None` where it has ended, or its number belongs to another one by now.
    pub fn open(&self) -> Result<Option<ProcessHandle>, KernelError> {
        let action = || format!("open process {}", self.pid);
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(KernelError::new(action(), error)),
        };
        let handle = ProcessHandle { descriptor, pid: self.pid };
        match start_time(self.pid) {
            Ok(started) if started == self.started => {}
            Ok(_) => return Ok(None),
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(KernelError::new(action(), error)),
        }
        Ok(handle.is_alive()?.then_some(handle))
    }

    /// Whether the process still runs.
    pub fn is_alive(&self) -> Result<bool, KernelError> {
        Ok(self.open()?.is_some())
    }
}

/// A hold on one running process: signals and waits reach it and no other.
#[derive(Debug)]
pub struct ProcessHandle {
    descriptor: OwnedFd,
    pid: u32,
}

impl ProcessHandle {
    /// Asks the process to end (`SIGTERM`). One that has ended already is fine.
    pub fn terminate(&self) -> Result<(), KernelError> {
        self.signal(Signal::TERM)
    }

    /// Ends the process (`SIGKILL`). One that has ended already is fine.
    pub fn kill(&self) -> Result<(), KernelError> {
        self.signal(Signal::KILL)
    }

    /// Waits until the process has ended, with everything in its PID namespace where it was the first one there.
    /// Returns whether it has.
    pub fn wait(&self, limit: Duration) -> Result<bool, KernelError> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
            let mut descriptors = [PollFd::new(&self.descriptor, PollFlags::IN)];
            match poll(&mut descriptors, Some(&timeout)) {
                Ok(0) => return Ok(false),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(KernelError::new(format!("wait for process {}", self.pid), error)),
            }
        }
        self.reap();
        Ok(true)
    }

    /// Whether the process has not ended.
    pub fn is_alive(&self) -> Result<bool, KernelError> {
        Ok(!self.wait(Duration::ZERO)?)
    }

    /// Collects the process where it is our own child: nobody else will while we live.
    fn reap(&self) {
        if let Err(error) =
            waitid(WaitId::PidFd(self.descriptor.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
        {
            tracing::trace!(pid = self.pid, %error, "not a child of this process");
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), KernelError> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(KernelError::new(format!("signal process {}", self.pid), error)),
        }
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The running processes that have this text among their environment's entries, by number.
pub fn with_environment(entry: &str) -> Result<Vec<u32>, KernelError> {
    let mut found = Vec::new();
    for directory in fs::read_dir("/proc").doing(|| "list processes")?.flatten() {
        let Some(pid) = directory.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ended meanwhile has no environment to read.
        let environment = fs::read(directory.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|candidate| candidate == entry.as_bytes()) {
            found.push(pid);
        }
    }
    Ok(found)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

fn start_time(pid: u32) -> io::Result<u64> {
    let line = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    parse_start_time(&line).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A command's name may hold blanks and parentheses, so fields are counted from its last parenthesis.
fn parse_start_time(line: &str) -> Option<u64> {
    line.rsplit_once(')')?.1.split_ascii_whitespace().nth(START_TIME_FIELD)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_start_time_is_found_behind_a_name_with_parentheses() {
        let line = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 2 3";

        assert_eq!(parse_start_time(line), Some(4242));
        assert_eq!(parse_start_time("7 (short) S 1"), None);
    }

    #[test]
    fn a_process_that_has_ended_is_gone_though_nobody_collected_it() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();

        let handle = process.open().unwrap().expect("it runs");
        handle.kill().unwrap();

        assert!(handle.wait(Duration::from_secs(5)).unwrap());
        assert!(process.open().unwrap().is_none());
        assert!(child.wait().is_err(), "it was collected while it was waited for");
    }

    #[test]
    fn another_process_under_the_same_number_is_not_the_one() {
        let own = Process::of(std::process::id()).unwrap();

        assert!(own.is_alive().unwrap());
        assert!(!Process { started: own.started + 1, ..own }.is_alive().unwrap());
    }

    #[test]
    fn a_process_is_found_by_its_environment() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo up; read line"]).env("LINKS_TEST_MARK", "a-7");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Until its program has begun, a process may have no environment.
        child.stdout.take().unwrap().read_exact(&mut [0; 3]).unwrap();

        let found = with_environment("LINKS_TEST_MARK=a-7").unwrap();
        child.kill().unwrap();
        child.wait().unwrap();

        assert_eq!(found, [child.id()]);
    }
}
