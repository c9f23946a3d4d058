//! Where everything of the agent lies on a host. The only place that names these paths.

use std::path::{Path, PathBuf};

/// The agent's binary.
pub(crate) const BINARY: &str = "/usr/local/bin/swarmd";
/// The binary of the agent that is to follow, until it has taken that place.
pub(crate) const NEXT_BINARY: &str = "/usr/local/bin/swarmd.next";
/// What the node keeps for ever.
pub(crate) const DATA_DIR: &str = "/var/lib/swarmd";
/// What lives as long as the host is up; on tmpfs.
pub(crate) const RUN_DIR: &str = "/run/swarmd";
/// Logs, where no journal keeps them.
pub(crate) const LOG_DIR: &str = "/var/log/swarmd";
/// The systemd unit's name.
pub(crate) const UNIT_NAME: &str = "swarmd.service";
/// The systemd unit.
pub(crate) const UNIT: &str = "/etc/systemd/system/swarmd.service";
/// The packet filter table that lets members alone reach 7946 and 4789.
pub(crate) const GUARD_TABLE: &str = "swarmd";
/// The script by which a machine of a cloud ends itself, where its user-data has put one.
pub(crate) const END_SCRIPT: &str = "/usr/local/sbin/swarmup-end";
/// Where the `docker` CLI looks by default.
pub(crate) const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// The cluster that the host belongs to, and the node's name and labels.
pub(crate) fn installation_file() -> PathBuf {
    Path::new(DATA_DIR).join("installation.json")
}

/// The identity on its way to the agent.
pub(crate) fn bootstrap_file() -> PathBuf {
    Path::new(RUN_DIR).join("bootstrap.json")
}

/// Where the supervisor, or PID 1 of a local machine, takes commands.
pub(crate) fn control_socket() -> PathBuf {
    Path::new(RUN_DIR).join("control.sock")
}

/// Where the agent tells its supervisor that it is ready.
pub(crate) fn notify_socket() -> PathBuf {
    Path::new(RUN_DIR).join("notify.sock")
}

/// Who the supervisor is.
pub(crate) fn supervisor_file() -> PathBuf {
    Path::new(RUN_DIR).join("supervisor.pid")
}

/// Who the supervised agent is.
pub(crate) fn agent_file() -> PathBuf {
    Path::new(RUN_DIR).join("agent.pid")
}

/// The lock of the agent whose data directory this is; it says who has it.
pub(crate) fn state_lock(data_dir: &Path) -> PathBuf {
    data_dir.join("agent.lock")
}

/// The word that the end of the agent whose run directory this is is for good.
pub(crate) fn stop_word(run_dir: &Path) -> PathBuf {
    run_dir.join("stops-for-good")
}

/// The Engine API of the agent whose run directory this is.
pub(crate) fn api_socket(run_dir: &Path) -> PathBuf {
    run_dir.join("swarmd.sock")
}
