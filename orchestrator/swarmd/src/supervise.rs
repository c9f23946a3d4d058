//! `swarmd supervise`: keeps the agent running on a host where no systemd does.
//!
//! One process in a session of its own, with its PID and start time in a file. It restarts the agent with growing
//! waits and writes bounded logs. When it is killed, the agent lives on; the next `swarmd service start` ends that
//! agent and starts both afresh.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use links::Process;
use model::Supervision;

use crate::answer;
use crate::arguments::{LogFormat, SuperviseArguments};
use crate::keeper::Keeper;
use crate::layout;
use crate::log;
use crate::process::write_pid_file;
use crate::run_dir;

/// What the supervisor writes to standard output once it takes commands.
pub(crate) const SUPERVISOR_READY: &str = "ready";

/// Runs the supervisor until SIGTERM, or until it is told to quit.
pub(crate) fn run(arguments: &SuperviseArguments) -> anyhow::Result<()> {
    // Away from the terminal and the session that started us. Who leads a group already was set apart before.
    match rustix::process::setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => {}
        Err(error) => return Err(error).context("failed to start a session of its own"),
    }
    run_dir::ensure().context("failed to make the run directory")?;
    log::to_file(&Path::new(layout::LOG_DIR).join("supervisor.log"), LogFormat::Text)?;
    let own = Process::of(std::process::id()).context("failed to find ourselves")?;
    write_pid_file(&layout::supervisor_file(), own).context("failed to write the supervisor's pid file")?;

    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?
        .block_on(Keeper::new(Supervision::Supervisor, logging_agent_command()).run(!arguments.idle, || {
            answer::bytes(format!("{SUPERVISOR_READY}\n").as_bytes()).map_err(io::Error::other)
        }))
        .context("failed to keep the agent running")
}

/// How a keeper starts the agent: with the settings of the installation, and a log of its own.
pub(crate) fn logging_agent_command() -> Command {
    let mut command = Command::new(layout::BINARY);
    command.args(["run", "--log-dir", layout::LOG_DIR]).stdin(Stdio::null()).stdout(Stdio::null());
    command
}
