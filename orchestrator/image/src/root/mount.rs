//! Mounts a container's root, and takes the mount away.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::ContainerRoot;
use crate::store::boot_id;
use crate::unpack::remove_tree;
use crate::{ImageError, Rootfs};

/// The kernel takes a mount's options from one page, with a zero at its end.
const OPTIONS_LIMIT: usize = 4095;
/// How many mounts may lie on each other where one should be.
const STACK_LIMIT: usize = 16;
/// Names stay what they are and files are copied whole, so that what is in `upper` can be read without overlayfs.
const OPTIONS: &str = "redirect_dir=off,metacopy=off,index=off";

/// What becomes of a container's files when the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What the container synced is there. Unmounting writes the whole file system out, which takes what it takes:
    /// hundreds of milliseconds while others write.
    Synced,
    /// They are lost, and mounting them again is refused. Unmounting takes milliseconds, and syncing within the container
    /// nothing. For tasks: a task whose node lost power is never started again.
    Volatile,
}

impl ContainerRoot {
    /// Mounts the root over these layers; returns where it is. Mounted already, it stays as it is.
    pub fn mount(&self, rootfs: &Rootfs, durability: Durability) -> Result<PathBuf, ImageError> {
        let merged = self.merged();
        if is_mounted(&merged)? {
            return Ok(merged);
        }
        self.make(rootfs)?;
        self.check_boot()?;
        let failed = |source: io::Error| ImageError::Io { action: "mount overlayfs at", path: merged.clone(), source };
        let (upper, work) = (self.upper(), self.work());
        let options = options(rootfs, &upper, &work, durability).map_err(failed)?;
        mount_from(rootfs.store(), &merged, &options).map_err(failed)?;
        Ok(merged)
    }

    /// Refuses files that were mounted as volatile in another boot: what of them reached the disk nobody knows.
    fn check_boot(&self) -> Result<(), ImageError> {
        let (note, mark) = (self.boot_note(), self.work().join("work/incompat"));
        let boot = boot_id()?;
        // overlayfs leaves its mark when it is unmounted, too, and would refuse all that bears it.
        if mark.join("volatile").exists() {
            if fs::read_to_string(&note).ok().as_deref() != Some(&boot) {
                let source = io::Error::other("the machine stopped before the container's files were on the disk");
                return Err(ImageError::Io { action: "mount again", path: self.upper(), source });
            }
            remove_tree(&mark).map_err(ImageError::io("remove", &mark))?;
        }
        fs::write(&note, boot).map_err(ImageError::io("write", &note))
    }

    /// Takes the mount away, also where something still uses it: it goes when that does. Not mounted is fine.
    pub fn unmount(&self) -> Result<(), ImageError> {
        unmount(&self.merged())
    }
}

/// Takes away what is mounted exactly here, also where something still uses it: it goes when that does. Not mounted is
/// fine.
pub fn unmount(place: &Path) -> Result<(), ImageError> {
    for _ in 0..STACK_LIMIT {
        if !is_mounted(place)? {
            return Ok(());
        }
        match rustix::mount::unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(error) => return Err(ImageError::io("unmount", place)(error.into())),
        }
    }
    Err(ImageError::io("unmount", place)(io::Error::other("mounts lie on it without end")))
}

fn options(rootfs: &Rootfs, upper: &Path, work: &Path, durability: Durability) -> io::Result<CString> {
    let (upper, work) = (upper.display().to_string(), work.display().to_string());
    if [&upper, &work].iter().any(|path| path.contains([',', '\\'])) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has a comma or a backslash in it"));
    }
    let volatile = if durability == Durability::Volatile { ",volatile" } else { "" };
    let lower = rootfs.lowers.join(":");
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work},{OPTIONS}{volatile}");
    if options.len() > OPTIONS_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the layers do not fit into one page of options"));
    }
    CString::new(options).map_err(io::Error::other)
}

/// Mounts with paths relative to a folder. A thread of its own goes there, as a process has one current folder.
fn mount_from(folder: &Path, target: &Path, options: &CStr) -> io::Result<()> {
    let work = || {
        #[expect(unsafe_code, reason = "rustix marks unshare as unsafe for the sake of CLONE_FILES")]
        // SAFETY: only the current folder and the umask of this thread are unshared, no file descriptors.
        unsafe {
            unshare_unsafe(UnshareFlags::FS)?;
        }
        rustix::process::chdir(folder)?;
        rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), options)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("mount".to_owned()).spawn_scoped(scope, work)?;
        match thread.join() {
            Ok(outcome) => outcome.map_err(Into::into),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Whether something is mounted exactly here; no file system is asked that may be far away. Where nothing is, nothing is
/// mounted.
pub fn is_mounted(path: &Path) -> Result<bool, ImageError> {
    match rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS) {
        Ok(stat) => Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(ImageError::io("look at", path)(error.into())),
    }
}
