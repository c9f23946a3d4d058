//! Processes that outlive whoever started them: their pid files, their names, and how they are ended.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use links::{KernelError, Process};

use crate::installation::write_private;

/// How long a process has to end after SIGKILL; only one stuck in the kernel takes longer.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Writes a pid file: number and start time, for a number alone may be used again.
pub(crate) fn write_pid_file(path: &Path, process: Process) -> io::Result<()> {
    write_private(path, format!("{} {}\n", process.pid, process.started).as_bytes())
}

/// The process that a pid file names; `None` where there is no such file, or nothing of the kind in it.
pub(crate) fn read_pid_file(path: &Path) -> Option<Process> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, started) = text.trim_end().split_once(' ')?;
    Some(Process { pid: pid.parse().ok()?, started: started.parse().ok()? })
}

/// Asks a process to end, waits up to `grace`, then ends it; it is gone when this returns.
pub(crate) fn end(process: Process, grace: Duration) -> Result<(), KernelError> {
    let Some(handle) = process.open()? else { return Ok(()) };
    handle.terminate()?;
    if handle.wait(grace)? {
        return Ok(());
    }
    handle.kill()?;
    if handle.wait(KILL_PATIENCE)? {
        return Ok(());
    }
    Err(KernelError::new(format!("end process {}", process.pid), io::ErrorKind::TimedOut))
}

/// The name of a process, as `ps` shows it.
pub(crate) fn name_of(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

/// All processes of this PID namespace.
pub(crate) fn all_pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_pid_file_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.pid");
        let process = Process { pid: 12, started: 3456 };

        write_pid_file(&path, process).unwrap();

        assert_eq!(read_pid_file(&path), Some(process));
    }

    #[test]
    fn a_pid_file_without_a_start_time_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.pid");
        fs::write(&path, "12\n").unwrap();

        assert_eq!(read_pid_file(&path), None);
    }

    #[test]
    fn a_process_that_ignores_the_request_is_killed() {
        let mut child = Command::new("sh")
            .args(["-c", "trap '' TERM; echo deaf; read forever"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut word = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut word).unwrap();
        let process = Process::of(child.id()).unwrap();

        end(process, Duration::from_millis(50)).unwrap();

        // The handle has collected the child already.
        let _ = child.wait();
        assert_eq!(word, "deaf\n");
        assert!(!process.is_alive().unwrap());
    }
}
