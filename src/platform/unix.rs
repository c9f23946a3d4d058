//! Linux and macOS: modes, locks, the user behind sudo, signals.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use driver::keep::Caller;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk, test_kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Locks a file for this process, or says that another one has. The lock ends with the process, and with the first of
/// its descriptors of the file that is closed.
pub fn try_lock(file: &File) -> Result<(), TryLockError> {
    match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        // POSIX leaves the choice.
        Err(Errno::AGAIN | Errno::ACCESS) => Err(TryLockError::WouldBlock),
        Err(error) => Err(TryLockError::Error(error.into())),
    }
}

/// The process that has a file locked, where the kernel can tell.
pub fn lock_holder(file: &File) -> Option<u32> {
    let blocking = fcntl_getlk(file, &Flock::from(FlockType::WriteLock)).ok().flatten()?;
    u32::try_from(blocking.pid?.as_raw_pid()).ok()
}

/// Whether a file that is open has no name any more.
pub fn is_removed(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() == 0)
}

/// Lets a file be run by everybody.
pub fn set_executable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// The home of the user behind sudo; absent where there is no sudo.
pub fn caller_home() -> Option<PathBuf> {
    let caller = Caller::behind_sudo()?;
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let fields = line.split(':').collect::<Vec<_>>();
        let uid = fields.get(2)?.parse::<u32>().ok()?;
        (uid == caller.uid).then(|| fields.get(5).map(PathBuf::from))?
    })
}

/// The name of the user, of the one behind sudo where there is one.
pub fn caller_name() -> Option<String> {
    let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Caller::behind_sudo().and_then(|_| read("SUDO_USER")).or_else(|| read("USER")).or_else(|| read("LOGNAME"))
}

/// What this workstation calls itself.
pub fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

/// Whether [`process_start`] tells anything.
pub const CAN_WATCH_PROCESSES: bool = true;

/// When a process started, in clock ticks since the workstation did (`/proc/PID/stat`, field 22), or `Some(None)` where
/// only its number is known; nothing where none of that number runs. One that has ended and was not collected does not.
pub fn process_start(pid: u32) -> Option<Option<u64>> {
    if !Path::new("/proc/self/stat").exists() {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        // Somebody else's may not be signalled, but it is there.
        return matches!(test_kill_process(number), Ok(()) | Err(Errno::PERM)).then_some(None);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let started = fields.nth(18)?.parse().ok()?;
    (!has_ended).then_some(Some(started))
}

/// Leaves the terminal and what hangs on it: closing it does not end this process.
pub fn leave_session() {
    // Refused to the first of a process group, which no terminal's closing reaches by way of another.
    let _ = rustix::process::setsid();
}

/// The signals by which a user or a CI system asks to stop.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// A client of HTTP whose connections all go to a socket in the file system.
pub fn client_on_socket(socket: &Path) -> io::Result<reqwest::Client> {
    reqwest::Client::builder().unix_socket(socket).build().map_err(io::Error::other)
}
