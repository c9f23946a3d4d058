//! The program that shims are, through a view that nobody can write to.
//!
//! A container's first process is, for an instant, this program. With a path to it that could be written, a container's
//! root could replace the host's program (CVE-2019-5736). So it is executed through a read-only mount that exists for
//! nothing else and has no place in any file system.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::RuntimeError;
use crate::error::Doing;

/// `MOUNT_ATTR_RDONLY`, `MOUNT_ATTR_NOSUID`, `MOUNT_ATTR_NODEV`.
const ATTRIBUTES: u64 = 0x1 | 0x2 | 0x4;

/// A read-only view of one program.
#[derive(Debug)]
pub(super) struct Executable {
    view: OwnedFd,
}

impl Executable {
    /// Opens a view of a program.
    pub(super) fn open(program: &Path) -> Result<Self, RuntimeError> {
        let action = || format!("make a read-only view of `{}`", program.display());
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let view = open_tree(CWD, program, flags).doing(action)?;
        make_read_only(&view).doing(action)?;
        Ok(Self { view })
    }

    /// The path under which this process, and its children until they execute it, find the view.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.view.as_raw_fd()))
    }
}

fn make_read_only(view: &OwnedFd) -> io::Result<()> {
    /// `struct mount_attr`
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let attributes = Attributes { set: ATTRIBUTES, clear: 0, propagation: 0, user_namespace: 0 };
    let here: &CStr = c"";
    #[expect(unsafe_code, reason = "no safe wrapper sets the attributes of a mount")]
    // SAFETY: the descriptor is open, the path ends with a zero, and the structure is of the length that is given.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            view.as_raw_fd(),
            here.as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&attributes),
            size_of::<Attributes>(),
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::process::Command;

    use super::*;

    #[test]
    fn the_view_can_be_executed_but_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("sh");
        fs::copy("/bin/sh", &program).unwrap();
        let view = Executable::open(&program).unwrap();

        let output = Command::new(view.path()).args(["-c", "readlink /proc/self/exe"]).output().unwrap();
        let refused = OpenOptions::new().write(true).open(view.path()).unwrap_err();

        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(refused.kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert!(OpenOptions::new().write(true).open(&program).is_ok(), "the program itself is as it was");
    }
}
