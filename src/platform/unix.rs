//! Linux and macOS: modes, owners and signals.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The user on whose behalf sudo runs this process.
struct Caller {
    uid: u32,
    gid: u32,
}

impl Caller {
    /// Known only to a process that runs as root under sudo; anybody else could claim to be whoever they like.
    fn behind_sudo() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let read = |name: &str| std::env::var(name).ok()?.parse().ok();
        Some(Self { uid: read("SUDO_UID")?, gid: read("SUDO_GID")? })
    }
}

/// Opens a file that only its owner may read, creating it where it is missing.
pub fn open_private(path: &Path, truncate: bool) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(truncate).mode(0o600).open(path)?;
    give_to_caller(path)?;
    Ok(file)
}

/// Makes a folder, and the ones above it, that only its owner may enter.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|folder| !folder.exists()).collect::<Vec<_>>();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => give_to_caller(folder)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives a file to the user behind sudo, so that the next command needs no sudo to read it.
pub fn give_to_caller(path: &Path) -> io::Result<()> {
    let Some(caller) = Caller::behind_sudo() else { return Ok(()) };
    rustix::fs::chown(path, Some(Uid::from_raw(caller.uid)), Some(Gid::from_raw(caller.gid)))?;
    Ok(())
}

/// Makes the names in a folder durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
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
