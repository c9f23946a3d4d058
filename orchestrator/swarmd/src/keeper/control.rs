//! What `swarmd service` says to a keeper, and hears back: one line of JSON each way on a unix socket.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use model::Supervision;
use serde::{Deserialize, Serialize};

/// A command is short; anything longer is not one.
pub(crate) const LONGEST_COMMAND: usize = 256;
/// The longest that a command takes: the agent drains, is killed, and another one comes up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a keeper that breaks off is asked. One that is dying closes its connections before its socket, or after.
const ATTEMPTS: u32 = 3;

/// What a keeper is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ControlCommand {
    /// Start the agent; answered when it serves, or has failed.
    Start,
    /// Stop it; answered when it is gone.
    Stop,
    /// Stop and start it; answered as `Start`.
    Restart,
    /// Say how it is; answered at once.
    Status,
    /// Stop it and end the keeper too; answered when the agent is gone.
    Quit,
}

/// How the agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ControlReply {
    /// Who keeps it.
    pub(crate) supervision: Supervision,
    /// Whether it serves.
    pub(crate) is_running: bool,
    /// Its PID, where there is a process.
    pub(crate) pid: Option<i32>,
    /// How often in a row it has ended by itself.
    pub(crate) failures: u32,
    /// How it ended last, where it did so by itself.
    pub(crate) last_end: Option<String>,
}

/// Asks the keeper behind a socket; `None` where nobody listens, or nobody does any more: a keeper that is killed
/// breaks off, and whether one is left is what the next connection tells. Every command may be repeated.
pub(crate) fn ask(socket: &Path, command: ControlCommand) -> io::Result<Option<ControlReply>> {
    let mut attempt = 1;
    loop {
        match ask_once(socket, command) {
            Err(error) if is_broken_off(&error) && attempt < ATTEMPTS => attempt += 1,
            outcome => return outcome,
        }
    }
}

fn is_broken_off(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof)
}

fn ask_once(socket: &Path, command: ControlCommand) -> io::Result<Option<ControlReply>> {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(&command)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    if reply.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_str(&reply)?))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_keeper_that_dies_while_it_is_asked_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control");
        let listener = UnixListener::bind(&socket).unwrap();

        let dying = std::thread::spawn(move || {
            let (mut asked, _) = listener.accept().unwrap();
            asked.read_exact(&mut [0]).unwrap();
            // Closing with something unread resets the connection.
        });

        assert_eq!(ask(&socket, ControlCommand::Status).unwrap(), None);
        dying.join().unwrap();
    }

    #[test]
    fn a_keeper_that_only_ever_breaks_off_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control");
        let listener = UnixListener::bind(&socket).unwrap();

        let broken = std::thread::spawn(move || {
            for _ in 0..ATTEMPTS {
                drop(listener.accept().unwrap());
            }
            listener
        });

        assert!(ask(&socket, ControlCommand::Status).is_err());
        drop(broken.join().unwrap());
    }
}
