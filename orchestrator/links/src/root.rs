//! The private file system of a machine that shares the host's software.
//!
//! ```text
//! /usr /bin /sbin /lib* /opt   the host's, read-only
//! /etc /usr/local/bin          the machine's own, in memory, filled with links to the host's entries
//! /etc/hostname hosts resolv.conf   the machine's own
//! /var                         the machine's data directory, which outlives it
//! /dev /run /tmp               the machine's own, in memory
//! /proc /sys                   of the machine's own namespaces; control groups are the host's
//! /run/host                    what links point to: the host's /etc, /usr/local/bin and the agent's binary
//! ```
//! The host's other files cannot be seen. A lab, not a security boundary: the machine's processes are the host's root.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};

use crate::KernelError;
use crate::error::Doing;

/// Directories of the host that a machine sees read-only, where they exist.
const SHARED: [&str; 9] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", "nix"];
/// Files in `/etc` that a machine does not take from the host.
const OWN_FILES: [&str; 5] = ["hostname", "hosts", "resolv.conf", "mtab", "machine-id"];
/// Devices that a machine has.
const DEVICES: [&str; 9] = ["null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse", "net/tun"];
/// Where the agent's binary is found inside a machine.
pub const AGENT_PATH: &str = "/usr/local/bin/swarmd";

/// What a machine's root is made of. The paths are the host's.
#[derive(Debug, Clone, Copy)]
pub struct PrivateRoot<'a> {
    /// The machine's host name.
    pub hostname: &'a str,
    /// An empty directory on which the root is built; afterwards nothing of it can be seen on the host.
    pub root: &'a Path,
    /// What outlives the machine; its `/var`.
    pub data: &'a Path,
    /// Its `/etc/resolv.conf`.
    pub resolv: &'a Path,
    /// Further names for its `/etc/hosts`.
    pub hosts: &'a [(IpAddr, &'a str)],
}

impl PrivateRoot<'_> {
    /// Builds the root, moves the calling process into it and sets the host name.
    ///
    /// The process must be the first of new mount, PID and UTS namespaces and have one thread. Its own binary is
    /// [`AGENT_PATH`] afterwards. After an error the process must end: it stands between two roots.
    pub fn enter(&self) -> Result<(), KernelError> {
        make_mounts_private()?;
        mount_memory(self.root, c"mode=755")?;
        self.share_the_hosts_software()?;
        self.make_run()?;
        self.make_etc()?;
        self.make_local_binaries()?;
        self.make_var()?;
        mount_memory(&self.directory("tmp")?, c"mode=1777")?;
        for empty in ["root", "home", "mnt", "media", "srv"] {
            self.directory(empty)?;
        }
        self.make_devices()?;
        mount_proc(&self.directory("proc")?)?;
        self.make_sys()?;
        self.pivot()?;
        rustix::system::sethostname(self.hostname.as_bytes()).doing(|| "set the host name")
    }

    fn share_the_hosts_software(&self) -> Result<(), KernelError> {
        for name in SHARED {
            let source = Path::new("/").join(name);
            let target = self.root.join(name);
            if let Ok(destination) = fs::read_link(&source) {
                symlink(destination, &target).doing(|| format!("link `{}`", target.display()))?;
            } else if source.is_dir() {
                self.directory(name)?;
                bind(&source, &target, Access::ReadOnly)?;
            }
        }
        Ok(())
    }

    fn make_run(&self) -> Result<(), KernelError> {
        mount_memory(&self.directory("run")?, c"mode=755")?;
        self.directory("run/lock")?;
        bind(Path::new("/etc"), &self.directory("run/host/etc")?, Access::ReadOnly)?;
        let agent = self.root.join("run/host/swarmd");
        fs::write(&agent, "").doing(|| format!("make `{}`", agent.display()))?;
        bind(Path::new("/proc/self/exe"), &agent, Access::ReadOnly)
    }

    fn make_etc(&self) -> Result<(), KernelError> {
        let etc = self.directory("etc")?;
        let action = || format!("fill `{}`", etc.display());
        link_entries(Path::new("/etc"), "/run/host/etc", &etc, &OWN_FILES).doing(action)?;
        let name = self.hostname;
        let mut hosts = format!("127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n");
        hosts.extend(self.hosts.iter().map(|(address, host)| format!("{address} {host}\n")));
        fs::write(etc.join("hostname"), format!("{name}\n")).doing(action)?;
        fs::write(etc.join("hosts"), hosts).doing(action)?;
        fs::copy(self.resolv, etc.join("resolv.conf")).doing(action)?;
        symlink("/proc/self/mounts", etc.join("mtab")).doing(action)
    }

    /// `/usr/local/bin` can be written to, so that an agent can be put there as on any other host.
    fn make_local_binaries(&self) -> Result<(), KernelError> {
        let host = Path::new("/usr/local/bin");
        let target = self.root.join("usr/local/bin");
        if !target.is_dir() {
            return Ok(());
        }
        bind(host, &self.directory("run/host/usr/local/bin")?, Access::ReadOnly)?;
        mount_memory(&target, c"mode=755")?;
        let action = || format!("fill `{}`", target.display());
        link_entries(host, "/run/host/usr/local/bin", &target, &["swarmd"]).doing(action)?;
        symlink("/run/host/swarmd", target.join("swarmd")).doing(action)
    }

    fn make_var(&self) -> Result<(), KernelError> {
        let var = self.directory("var")?;
        bind(self.data, &var, Access::Writable)?;
        for name in ["lib", "log", "cache", "tmp"] {
            self.directory(&format!("var/{name}"))?;
        }
        fs::set_permissions(var.join("tmp"), fs::Permissions::from_mode(0o1777)).doing(|| "open `/var/tmp` to all")?;
        for (name, target) in [("run", "/run"), ("lock", "/run/lock")] {
            match symlink(target, var.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(KernelError::new(format!("link `/var/{name}`"), error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn make_devices(&self) -> Result<(), KernelError> {
        let devices = self.directory("dev")?;
        mount_memory(&devices, c"mode=755")?;
        self.directory("dev/net")?;
        for name in DEVICES {
            let source = Path::new("/dev").join(name);
            if source.exists() {
                let target = devices.join(name);
                fs::write(&target, "").doing(|| format!("make `{}`", target.display()))?;
                bind(&source, &target, Access::Writable)?;
            }
        }
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
        mount("devpts", self.directory("dev/pts")?, "devpts", flags, c"newinstance,ptmxmode=0666,mode=0620")
            .doing(|| "mount `/dev/pts`")?;
        mount_memory(&self.directory("dev/shm")?, c"mode=1777")?;
        let links = [
            ("ptmx", "pts/ptmx"),
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ];
        for (name, target) in links {
            symlink(target, devices.join(name)).doing(|| format!("link `/dev/{name}`"))?;
        }
        Ok(())
    }

    fn make_sys(&self) -> Result<(), KernelError> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("sysfs", self.directory("sys")?, "sysfs", flags | MountFlags::RDONLY, None).doing(|| "mount `/sys`")?;
        let groups = Path::new("/sys/fs/cgroup");
        let target = self.root.join("sys/fs/cgroup");
        if groups.is_dir() && target.is_dir() { bind(groups, &target, Access::Writable) } else { Ok(()) }
    }

    fn pivot(&self) -> Result<(), KernelError> {
        let action = || "change into the machine's root";
        rustix::process::chdir(self.root).doing(action)?;
        rustix::process::pivot_root(".", ".").doing(action)?;
        unmount(".", UnmountFlags::DETACH).doing(|| "let go of the host's root")?;
        rustix::process::chdir("/").doing(action)
    }

    fn directory(&self, relative: &str) -> Result<PathBuf, KernelError> {
        let path = self.root.join(relative);
        fs::create_dir_all(&path).doing(|| format!("make `{}`", path.display()))?;
        Ok(path)
    }
}

/// Keeps mounts made in this mount namespace from showing anywhere else.
pub fn make_mounts_private() -> Result<(), KernelError> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).doing(|| "make mounts private")
}

/// Mounts the process list of the caller's PID namespace.
pub fn mount_proc(target: &Path) -> Result<(), KernelError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", target, "proc", flags, None).doing(|| format!("mount `{}`", target.display()))
}

/// Mounts an empty file system in memory.
pub fn mount_memory(target: &Path, options: &std::ffi::CStr) -> Result<(), KernelError> {
    mount("tmpfs", target, "tmpfs", MountFlags::NOSUID, options).doing(|| format!("mount `{}`", target.display()))
}

/// Takes away what [`mount_memory`] mounted; a directory on which nothing is mounted, or none at all, is fine.
pub fn unmount_memory(target: &Path) -> Result<(), KernelError> {
    match rustix::mount::unmount(target, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(KernelError::new(format!("unmount `{}`", target.display()), error)),
    }
}

/// Whether what is bound may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    ReadOnly,
    Writable,
}

fn bind(source: &Path, target: &Path, access: Access) -> Result<(), KernelError> {
    let action = || format!("bind `{}`", source.display());
    if source.is_dir() { mount_bind_recursive(source, target) } else { mount_bind(source, target) }.doing(action)?;
    if access == Access::ReadOnly {
        mount_remount(target, MountFlags::BIND | MountFlags::RDONLY, c"").doing(action)?;
    }
    Ok(())
}

/// Fills a directory with links to the entries of one of the host's. Links of the host are copied as they are, since
/// they may be relative.
fn link_entries(host: &Path, seen_at: &str, target: &Path, except: &[&str]) -> io::Result<()> {
    for entry in fs::read_dir(host)? {
        let name = entry?.file_name();
        if except.iter().any(|own| name == **own) {
            continue;
        }
        let destination = fs::read_link(host.join(&name)).unwrap_or_else(|_| Path::new(seen_at).join(&name));
        symlink(destination, target.join(&name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_filled_with_links_and_the_hosts_links_are_copied() {
        let host = tempfile::tempdir().unwrap();
        let own = tempfile::tempdir().unwrap();
        fs::write(host.path().join("passwd"), "").unwrap();
        fs::write(host.path().join("hostname"), "").unwrap();
        symlink("../usr/lib/os-release", host.path().join("os-release")).unwrap();

        link_entries(host.path(), "/run/host/etc", own.path(), &OWN_FILES).unwrap();

        let target = |name: &str| fs::read_link(own.path().join(name)).ok();
        assert_eq!(target("passwd"), Some("/run/host/etc/passwd".into()));
        assert_eq!(target("os-release"), Some("../usr/lib/os-release".into()));
        assert_eq!(target("hostname"), None);
    }
}
