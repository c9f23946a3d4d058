//! The handshake with the first process of a machine, over its standard input.
//!
//! ```text
//! driver                                   first process (standard input = one end of a socket pair)
//!   Gate::new(), spawn
//!   (moves a link in, configures it)         builds its root, changes into it
//!   wait_ready()                   <-- ready
//!   (writes down who the process is)
//!   open()                         go -->    starts its work
//! ```
//! A driver that dies before `open` leaves a closed socket, and the first process ends: nothing runs that nobody knows.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use rustix::net::{SendFlags, send};

use crate::KernelError;
use crate::error::Doing;

const READY: &[u8] = b"ready\n";
const GO: &[u8] = b"go\n";

/// The driver's end.
#[derive(Debug)]
pub struct Gate {
    socket: UnixStream,
}

impl Gate {
    /// Makes the pair: the driver's end, and the standard input of the process to start.
    pub fn new() -> Result<(Self, Stdio), KernelError> {
        let (ours, theirs) = UnixStream::pair().doing(|| "make a socket pair")?;
        Ok((Self { socket: ours }, Stdio::from(OwnedFd::from(theirs))))
    }

    /// Waits until the process stands in its own root.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), KernelError> {
        let mut answer = [0; READY.len()];
        self.socket
            .set_read_timeout(Some(limit))
            .and_then(|()| self.socket.read_exact(&mut answer))
            .and_then(|()| expect(&answer, READY))
            .doing(|| "wait for the machine's first process")
    }

    /// Lets the process begin its work.
    pub fn open(self) -> Result<(), KernelError> {
        // A process that ended meanwhile must not end us by SIGPIPE.
        send(&self.socket, GO, SendFlags::NOSIGNAL)
            .map_err(io::Error::from)
            .and_then(|sent| if sent == GO.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) })
            .doing(|| "release the machine's first process")
    }
}

/// Tells the driver that the root stands, then waits until the machine's network stands too.
///
/// Called by the machine's first process. Afterwards its standard input is `/dev/null`. An error means that the
/// driver has died: the process must end.
pub fn ready_and_wait() -> Result<(), KernelError> {
    let mut socket = UnixStream::from(rustix::stdio::stdin().try_clone_to_owned().doing(|| "open standard input")?);
    let mut answer = [0; GO.len()];
    socket
        .write_all(READY)
        .and_then(|()| socket.read_exact(&mut answer))
        .and_then(|()| expect(&answer, GO))
        .doing(|| "wait for the driver")?;
    let null = File::open("/dev/null").doing(|| "open `/dev/null`")?;
    rustix::stdio::dup2_stdin(null).doing(|| "close standard input")
}

fn expect(answer: &[u8], expected: &[u8]) -> io::Result<()> {
    if answer == expected { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn a_process_waits_until_the_gate_opens() {
        let (mut gate, input) = Gate::new().unwrap();
        let script = "echo ready >&0; read line; test \"$line\" = go";
        let mut child = Command::new("sh").args(["-c", script]).stdin(input).spawn().unwrap();

        gate.wait_ready(LIMIT).unwrap();
        gate.open().unwrap();

        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_process_ends_when_its_driver_is_gone() {
        let (mut gate, input) = Gate::new().unwrap();
        let script = "echo ready >&0; read line || exit 7";
        let mut child = Command::new("sh").args(["-c", script]).stdin(input).spawn().unwrap();

        gate.wait_ready(LIMIT).unwrap();
        drop(gate);

        assert_eq!(child.wait().unwrap().code(), Some(7));
    }

    #[test]
    fn a_process_that_ends_before_it_is_ready_is_noticed() {
        let (mut gate, input) = Gate::new().unwrap();
        let mut child = Command::new("true").stdin(input).spawn().unwrap();

        assert_eq!(gate.wait_ready(LIMIT).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        child.wait().unwrap();
    }
}
