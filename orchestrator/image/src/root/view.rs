//! A container's files as it sees them, whether or not it runs: its root, and what is mounted into it, in a mount namespace
//! that holds nothing else and ends with the view.
//!
//! Every path is resolved by the kernel within that root, so nothing that a container has made leads out of it. What the
//! container mounts by itself, and its memory file systems, are not seen.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::CopyError;

/// How often a path is resolved again because something was renamed meanwhile, anywhere on the machine.
const RESOLVE_TRIES: u32 = 1000;
/// The mode of what is made so that something can be mounted there.
const PLACE_MODE: u32 = 0o755;

/// Something that is mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewMount {
    /// A file or folder of the host.
    pub source: PathBuf,
    /// Where it is in the container; absolute.
    pub destination: PathBuf,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// Whether what is mounted below the source comes along.
    pub is_recursive: bool,
}

/// A container's files as it sees them. Dropping it takes its mounts away.
#[derive(Debug)]
pub struct FileView {
    root: OwnedFd,
    /// Without it the mounts would fall apart.
    _namespace: OwnedFd,
    /// What the files stand on, as their owner sees it.
    _held: Option<Box<dyn Held>>,
}

/// Something that is held for as long as a view.
pub trait Held: std::fmt::Debug + Send + Sync {}

impl<T: std::fmt::Debug + Send + Sync> Held for T {}

impl FileView {
    /// A view of the files mounted at `root` with these mounts over them, in this order. Places that are missing are
    /// made, as they are when the container is started. Blocks.
    pub fn open(root: &Path, is_read_only: bool, mounts: &[ViewMount]) -> Result<Self, CopyError> {
        let work = || -> io::Result<Self> {
            #[expect(unsafe_code, reason = "rustix marks unshare as unsafe for the sake of CLONE_FILES")]
            // SAFETY: this thread is the closure's alone, and only its mounts and current folder are unshared.
            unsafe {
                unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS)?;
            }
            let namespace = open("/proc/thread-self/ns/mnt", OFlags::RDONLY)?;
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            rustix::mount::mount_change("/", private)?;
            for mount in mounts {
                bind(root, mount)?;
            }
            if is_read_only {
                make_read_only(&open(root, OFlags::PATH | OFlags::DIRECTORY)?)?;
            }
            // Nothing but these mounts stays: the namespace holds up no others.
            rustix::process::chdir(root)?;
            rustix::process::pivot_root(".", ".")?;
            rustix::mount::unmount(".", UnmountFlags::DETACH)?;
            Ok(Self { root: open("/", OFlags::PATH | OFlags::DIRECTORY)?, _namespace: namespace, _held: None })
        };
        let failed = CopyError::io("make a view of", root);
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("view".to_owned()).spawn_scoped(scope, work)?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .map_err(failed)
    }

    /// Holds something for as long as the view is there.
    #[must_use]
    pub fn holding(self, held: Box<dyn Held>) -> Self {
        Self { _held: Some(held), ..self }
    }

    /// Reads a file, up to so many bytes; empty where there is none. Blocks.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, CopyError> {
        let failed = |error| CopyError::at("read", path.as_bytes(), error);
        let opened = match self.resolve(path.as_bytes(), OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
            outcome => outcome.map_err(failed)?,
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&opened).map_err(failed)?.st_mode) != FileType::RegularFile {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        file.and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(CopyError::io("read", path.as_ref()))?;
        Ok(bytes)
    }

    /// Opens a path, which may be relative or absolute: both begin at the root. Links are followed within it.
    pub(super) fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        resolve(&self.root, path, flags)
    }
}

/// Opens a path within a root.
fn resolve(root: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let rules = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RESOLVE_TRIES {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), rules) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            outcome => return outcome,
        }
    }
    Err(Errno::AGAIN)
}

fn open(path: impl rustix::path::Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty())
}

/// Mounts a source at its place below a root, in this thread's namespace.
fn bind(root: &Path, mount: &ViewMount) -> io::Result<()> {
    let recursive = if mount.is_recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | recursive;
    let tree = rustix::mount::open_tree(CWD, &mount.source, flags)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&tree)?.st_mode);
    let root = open(root, OFlags::PATH | OFlags::DIRECTORY)?;
    let place = place(&root, &mount.destination, kind == FileType::Directory)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(&tree, "", &place, "", flags)?;
    if mount.read_only { make_read_only(&tree) } else { Ok(()) }
}

/// The place at a path, made with all above it where it is missing.
fn place(root: &OwnedFd, destination: &Path, is_folder: bool) -> io::Result<OwnedFd> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = destination.as_os_str().as_bytes();
    match resolve(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        outcome => return Ok(outcome?),
    }
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    for depth in 1..=parts.len() {
        let here = parts[..depth].join(&b'/');
        if !matches!(resolve(root, &here, OFlags::PATH), Err(Errno::NOENT)) {
            continue;
        }
        let parent = resolve(root, &parts[..depth - 1].join(&b'/'), OFlags::PATH | OFlags::DIRECTORY)?;
        let (name, access) = (parts[depth - 1], Mode::from_raw_mode(PLACE_MODE));
        let made = if depth < parts.len() || is_folder {
            rustix::fs::mkdirat(&parent, name, access)
        } else {
            rustix::fs::mknodat(&parent, name, FileType::RegularFile, access, 0)
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(resolve(root, path, OFlags::PATH)?)
}

/// Makes the mount that something is the top of read-only.
fn make_read_only(top: &impl AsFd) -> io::Result<()> {
    let path = format!("/proc/thread-self/fd/{}", top.as_fd().as_raw_fd());
    Ok(rustix::mount::mount_remount(path, MountFlags::BIND | MountFlags::RDONLY, "")?)
}
