//! What starts the agent again when the host comes up: the host's own means, whichever are really there.
//!
//! systemd has the unit. Elsewhere a hook starts the supervisor: OpenRC's or SysV's where that runs the host, else
//! cron's `@reboot` where a cron is running. A host with none of them does not start the agent again by itself, and
//! the report says so. A hook that stops the agent announces a restart, as a unit that is stopped does: it runs when
//! the host reboots, too.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use model::Supervision;

use super::error::ServiceError;
use crate::layout;
use crate::process;

/// The script of OpenRC and SysV.
const SCRIPT: &str = "/etc/init.d/swarmd";
/// OpenRC's default runlevel.
const OPENRC_LINK: &str = "/etc/runlevels/default/swarmd";
/// The runlevels in which SysV starts services.
const SYSV_START_LINKS: [&str; 4] =
    ["/etc/rc2.d/S99swarmd", "/etc/rc3.d/S99swarmd", "/etc/rc4.d/S99swarmd", "/etc/rc5.d/S99swarmd"];
/// The runlevels in which it stops them.
const SYSV_STOP_LINKS: [&str; 3] = ["/etc/rc0.d/K01swarmd", "/etc/rc1.d/K01swarmd", "/etc/rc6.d/K01swarmd"];
/// cron's table.
const CRON_TABLE: &str = "/etc/cron.d/swarmd";

/// The means of a host without systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hook {
    OpenRc,
    SysV,
    Cron,
}

impl Hook {
    /// The one that really starts services on this host.
    fn of_this_host() -> Option<Self> {
        if Path::new("/run/openrc/softlevel").exists() && Path::new("/etc/runlevels/default").is_dir() {
            Some(Self::OpenRc)
        } else if Path::new("/etc/inittab").exists()
            && Path::new("/etc/rc2.d").is_dir()
            && process::name_of(1).as_deref() == Some("init")
        {
            Some(Self::SysV)
        } else if Path::new("/etc/cron.d").is_dir() && is_cron_running() {
            Some(Self::Cron)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::OpenRc => "openrc",
            Self::SysV => "sysv",
            Self::Cron => "cron",
        }
    }

    /// Whether it is in place.
    fn is_installed(self) -> bool {
        let file = match self {
            Self::OpenRc => OPENRC_LINK,
            Self::SysV => SYSV_START_LINKS[0],
            Self::Cron => CRON_TABLE,
        };
        fs::symlink_metadata(file).is_ok()
    }
}

/// A cron in this PID namespace. Debian's and cronie read `/etc/cron.d`; busybox's does not, and is called `crond` too,
/// but keeps no such folder.
fn is_cron_running() -> bool {
    process::all_pids().into_iter().filter_map(process::name_of).any(|name| matches!(name.as_str(), "cron" | "crond"))
}

/// What starts the agent at boot; `None` where nothing does.
pub(crate) fn starter(supervision: Supervision) -> Option<&'static str> {
    match supervision {
        Supervision::Systemd => Path::new(layout::UNIT).exists().then_some("systemd"),
        Supervision::Init => layout::installation_file().exists().then_some("swarmd init"),
        Supervision::Supervisor => {
            [Hook::OpenRc, Hook::SysV, Hook::Cron].into_iter().find(|hook| hook.is_installed()).map(Hook::name)
        }
    }
}

/// Puts the host's hook in place; does nothing on a host that has no means.
pub(crate) fn ensure() -> Result<(), ServiceError> {
    match Hook::of_this_host() {
        None => Ok(()),
        Some(Hook::OpenRc) => {
            write(SCRIPT, &openrc_script(), 0o755)?;
            link(OPENRC_LINK, SCRIPT)
        }
        Some(Hook::SysV) => {
            write(SCRIPT, &sysv_script(), 0o755)?;
            SYSV_START_LINKS.into_iter().chain(SYSV_STOP_LINKS).try_for_each(|path| link(path, "../init.d/swarmd"))
        }
        Some(Hook::Cron) => write(CRON_TABLE, &cron_table(), 0o644),
    }
}

/// Every file that [`ensure`] may have made, on this host or in an earlier life of it.
pub(crate) fn files() -> impl Iterator<Item = PathBuf> {
    [OPENRC_LINK, CRON_TABLE]
        .into_iter()
        .chain(SYSV_START_LINKS)
        .chain(SYSV_STOP_LINKS)
        .chain([SCRIPT])
        .map(PathBuf::from)
}

fn openrc_script() -> String {
    format!(
        "#!/sbin/openrc-run\n\
         description=\"swarmup node agent\"\n\
         depend() {{ need net; }}\n\
         start() {{ {binary} service start >/dev/null; }}\n\
         stop() {{ {binary} service stop --for-restart >/dev/null; }}\n\
         status() {{ {binary} service status; }}\n",
        binary = layout::BINARY
    )
}

fn sysv_script() -> String {
    format!(
        "#!/bin/sh\n\
         ### BEGIN INIT INFO\n\
         # Provides:          swarmd\n\
         # Required-Start:    $network $local_fs $remote_fs\n\
         # Required-Stop:     $network $local_fs $remote_fs\n\
         # Default-Start:     2 3 4 5\n\
         # Default-Stop:      0 1 6\n\
         # Short-Description: swarmup node agent\n\
         ### END INIT INFO\n\
         case \"$1\" in\n\
         start|restart|status) exec {binary} service \"$1\" ;;\n\
         stop) exec {binary} service stop --for-restart ;;\n\
         force-reload) exec {binary} service restart ;;\n\
         *) echo \"usage: $0 start|stop|restart|status\" >&2; exit 2 ;;\n\
         esac\n",
        binary = layout::BINARY
    )
}

fn cron_table() -> String {
    format!("# swarmup node agent\n@reboot root {} service start >/dev/null 2>&1\n", layout::BINARY)
}

fn write(path: &str, content: &str, mode: u32) -> Result<(), ServiceError> {
    fs::write(path, content).map_err(|source| ServiceError::file("write", path, source))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|source| ServiceError::file("set the mode of", path, source))
}

fn link(path: &str, target: &str) -> Result<(), ServiceError> {
    match symlink(target, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(ServiceError::file("make", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_sysv_script_is_one_that_a_shell_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("swarmd");
        fs::write(&path, sysv_script()).unwrap();

        let status = Command::new("sh").arg("-n").arg(&path).status().unwrap();

        assert!(status.success());
    }

    #[test]
    fn cron_starts_the_agent_as_root() {
        assert!(cron_table().lines().any(|line| line.starts_with("@reboot root /usr/local/bin/swarmd service start")));
    }
}
