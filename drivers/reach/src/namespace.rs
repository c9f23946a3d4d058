//! Entering a machine of this workstation: all namespaces of its PID 1, by `nsenter`. Linux only.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::{self, Instant};

use crate::process::{Event, Events, Input, LINGER, PIECE, Process};
use crate::remote::{Carrier, Remote};
use crate::{Duplex, ForwardTarget, ReachError};

/// The field of `/proc/PID/stat` that says when the process started, counted from the one after the name.
const STARTED_FIELD: usize = 19;

/// A machine behind a process.
#[derive(Debug)]
pub(crate) struct Namespace {
    peer: String,
    pid: u32,
    started: u64,
}

/// Makes a session with the machine whose PID 1 this is.
pub(crate) fn enter(pid: u32, started: u64) -> Result<Remote<Namespace>, ReachError> {
    let namespace = Namespace { peer: format!("the machine behind process {pid}"), pid, started };
    namespace.check()?;
    Ok(Remote::new(namespace))
}

impl Namespace {
    /// Refuses where the process is gone, or where another one has its number.
    fn check(&self) -> Result<(), ReachError> {
        match started(self.pid) {
            Ok(started) if started == self.started => Ok(()),
            Ok(_) | Err(_) => Err(ReachError::Gone { pid: self.pid }),
        }
    }

    fn command(&self, arguments: &[&str]) -> Result<Command, ReachError> {
        self.check()?;
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.pid.to_string(), "-m", "-u", "-i", "-n", "-p", "-C", "--"])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("USER", "root")
            .env("SHELL", "/bin/sh")
            .env("TERM", std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned()));
        Ok(command)
    }

    fn broken(&self, source: io::Error) -> ReachError {
        ReachError::Disconnected { peer: self.peer.clone(), source: Box::new(source) }
    }
}

/// When a process started, in clock ticks since boot.
fn started(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name is in parentheses and may hold any character, parentheses too.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let field = fields.split_whitespace().nth(STARTED_FIELD).unwrap_or_default();
    field.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no start time in /proc/PID/stat"))
}

#[async_trait]
impl Carrier for Namespace {
    fn peer(&self) -> &str {
        &self.peer
    }

    fn host_key(&self) -> Option<&str> {
        None
    }

    fn is_root(&self) -> bool {
        true
    }

    async fn start(&self, script: &str) -> Result<Process, ReachError> {
        let script = format!("cd \"$HOME\" 2>/dev/null || cd /; {script}");
        let mut child = self
            .command(&["sh", "-c", &script])?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.broken(error))?;
        let input = LocalInput(child.stdin.take());
        let events = LocalEvents {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            stdout_buffer: BytesMut::new(),
            stderr_buffer: BytesMut::new(),
            peer: self.peer.clone(),
            child,
            status: None,
        };
        Ok(Process { events: Box::new(events), input: Box::new(input) })
    }

    async fn interact(&self, script: Option<&str>, _has_terminal: bool) -> Result<i32, ReachError> {
        let script = match script {
            Some(script) => format!("cd \"$HOME\" 2>/dev/null || cd /; {script}"),
            None => {
                "cd \"$HOME\" 2>/dev/null || cd /; command -v bash >/dev/null && exec bash -l; exec sh -l".to_owned()
            }
        };
        let status = self
            .command(&["sh", "-c", &script])?
            .kill_on_drop(true)
            .status()
            .await
            .map_err(|error| self.broken(error))?;
        Ok(code_of(status))
    }

    async fn forward(&self, target: &ForwardTarget) -> Result<Box<dyn Duplex>, ReachError> {
        self.check()?;
        match target {
            ForwardTarget::Unix { path } => {
                let path: PathBuf = format!("/proc/{}/root{path}", self.pid).into();
                let stream = UnixStream::connect(path).await.map_err(|error| self.broken(error))?;
                Ok(Box::new(stream))
            }
            ForwardTarget::Tcp { .. } => Err(ReachError::Unsupported {
                peer: self.peer.clone(),
                action: "forward TCP: its addresses can be reached from here",
            }),
        }
    }

    fn is_open(&self) -> bool {
        self.check().is_ok()
    }

    async fn close(&self) {}
}

fn code_of(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;

    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// What a process of this workstation says.
struct LocalEvents {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    stdout_buffer: BytesMut,
    stderr_buffer: BytesMut,
    peer: String,
    child: Child,
    /// The exit code, once it is known, and when output that follows is waited for no longer.
    status: Option<(i32, Instant)>,
}

#[async_trait]
impl Events for LocalEvents {
    async fn next(&mut self) -> Result<Event, ReachError> {
        loop {
            if let Some((status, until)) = self.status
                && ((self.stdout.is_none() && self.stderr.is_none()) || Instant::now() >= until)
            {
                return Ok(Event::Ended(status));
            }
            let until = self.status.map(|(_, until)| until);
            tokio::select! {
                read = read(&mut self.stdout, &mut self.stdout_buffer) => match read {
                    Ok(Some(bytes)) => return Ok(Event::Stdout(bytes)),
                    Ok(None) | Err(_) => self.stdout = None,
                },
                read = read(&mut self.stderr, &mut self.stderr_buffer) => match read {
                    Ok(Some(bytes)) => return Ok(Event::Stderr(bytes)),
                    Ok(None) | Err(_) => self.stderr = None,
                },
                ended = self.child.wait(), if until.is_none() => match ended {
                    Ok(status) => self.status = Some((code_of(status), Instant::now() + LINGER)),
                    Err(source) => {
                        return Err(ReachError::Disconnected { peer: self.peer.clone(), source: Box::new(source) });
                    }
                },
                () = time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            }
        }
    }
}

/// Reads a piece; never ready where the stream has ended. Cancel-safe, as `read_buf` is.
async fn read<R: tokio::io::AsyncRead + Unpin>(
    stream: &mut Option<R>,
    buffer: &mut BytesMut,
) -> io::Result<Option<Bytes>> {
    let Some(stream) = stream else { return std::future::pending().await };
    buffer.reserve(PIECE);
    let length = stream.read_buf(buffer).await?;
    Ok((length > 0).then(|| buffer.split().freeze()))
}

impl Drop for LocalEvents {
    /// Ends all that the command started and left in its process group: `nsenter` forks to enter a PID namespace.
    fn drop(&mut self) {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            // It may have ended in this very moment.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// What a process of this workstation reads.
struct LocalInput(Option<ChildStdin>);

#[async_trait]
impl Input for LocalInput {
    async fn write(&mut self, piece: Bytes) -> Result<(), ReachError> {
        let Some(stdin) = &mut self.0 else { return Ok(()) };
        stdin
            .write_all(&piece)
            .await
            .map_err(|source| ReachError::Disconnected { peer: "the command".to_owned(), source: Box::new(source) })
    }

    async fn finish(&mut self) -> Result<(), ReachError> {
        self.0 = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_took_the_number_over_is_not_entered() {
        let pid = std::process::id();
        let started = started(pid).unwrap();

        assert!(enter(pid, started).is_ok());
        assert!(matches!(enter(pid, started + 1), Err(ReachError::Gone { .. })));
    }
}
