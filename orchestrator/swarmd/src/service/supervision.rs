//! Who keeps the agent running on this host, and how to tell them.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use model::Supervision;

use super::error::ServiceError;
use crate::keeper::{ControlCommand, ControlReply, ask};
use crate::layout;
use crate::process;
use crate::run_dir;
use crate::stop_word;
use crate::supervise::SUPERVISOR_READY;

/// How long an agent that lost its supervisor may take to drain.
const ORPHAN_GRACE: Duration = Duration::from_secs(10);
/// What a process writes outside of its log is kept up to this size.
const LARGEST_STDERR: u64 = 1 << 20;

/// Who keeps agents running on this host.
pub(crate) fn of_this_host() -> Supervision {
    if is_init(1) {
        Supervision::Init
    } else if Path::new("/run/systemd/system").is_dir() {
        Supervision::Systemd
    } else {
        Supervision::Supervisor
    }
}

/// Whether a process is `swarmd init`.
fn is_init(pid: u32) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    process::name_of(pid).as_deref() == Some("swarmd") && line.split(|byte| *byte == 0).nth(1) == Some(b"init")
}

/// Starts the agent; it serves when this returns.
pub(crate) fn start(supervision: Supervision) -> Result<(), ServiceError> {
    if !Path::new(layout::BINARY).exists() {
        return Err(ServiceError::NotInstalled);
    }
    match supervision {
        Supervision::Systemd => systemctl(&["start", layout::UNIT_NAME]),
        Supervision::Init => tell(ControlCommand::Start).and_then(came_up),
        Supervision::Supervisor => {
            if control(ControlCommand::Status)?.is_none() {
                end_orphans()?;
                start_supervisor()?;
            }
            tell(ControlCommand::Start).and_then(came_up)
        }
    }
}

/// Stops the agent until it is started again, and has it tell the swarm so; it is gone when this returns.
pub(crate) fn stop(supervision: Supervision) -> Result<(), ServiceError> {
    let run_dir = Path::new(layout::RUN_DIR);
    stop_word::leave(run_dir).map_err(|source| ServiceError::file("write", layout::stop_word(run_dir), source))?;
    let stopped = end(supervision);
    if stopped.is_err() {
        // It goes on for now, and whatever ends it later has not said that it is for good.
        take_stop_word_away()?;
    }
    stopped
}

/// Stops the agent, which announces that it comes back in a moment; it is gone when this returns.
pub(crate) fn stop_for_restart(supervision: Supervision) -> Result<(), ServiceError> {
    take_stop_word_away()?;
    end(supervision)
}

fn take_stop_word_away() -> Result<(), ServiceError> {
    let run_dir = Path::new(layout::RUN_DIR);
    stop_word::take_away(run_dir).map_err(|source| ServiceError::file("remove", layout::stop_word(run_dir), source))
}

fn end(supervision: Supervision) -> Result<(), ServiceError> {
    match supervision {
        Supervision::Systemd if !Path::new(layout::UNIT).exists() => Ok(()),
        Supervision::Systemd => systemctl(&["stop", layout::UNIT_NAME]),
        Supervision::Init => tell(ControlCommand::Stop).map(drop),
        Supervision::Supervisor => match control(ControlCommand::Stop)? {
            Some(_) => Ok(()),
            None => end_orphans(),
        },
    }
}

/// Stops the agent and starts it again; it serves when this returns.
pub(crate) fn restart(supervision: Supervision) -> Result<(), ServiceError> {
    take_stop_word_away()?;
    match supervision {
        Supervision::Systemd => systemctl(&["restart", layout::UNIT_NAME]),
        Supervision::Init => tell(ControlCommand::Restart).and_then(came_up),
        Supervision::Supervisor => match control(ControlCommand::Restart)? {
            Some(reply) => came_up(reply),
            None => start(supervision),
        },
    }
}

/// Ends the supervisor with its agent; nothing of either is left when this returns.
pub(crate) fn quit(supervision: Supervision) -> Result<(), ServiceError> {
    stop(supervision)?;
    if supervision == Supervision::Supervisor {
        control(ControlCommand::Quit)?;
        end_orphans()?;
    }
    Ok(())
}

/// Whether the agent serves.
pub(crate) fn is_running(supervision: Supervision) -> Result<bool, ServiceError> {
    match supervision {
        Supervision::Systemd => {
            let status = Command::new("systemctl")
                .args(["is-active", "--quiet", layout::UNIT_NAME])
                .status()
                .map_err(|source| ServiceError::file("run", "systemctl", source))?;
            Ok(status.success())
        }
        Supervision::Init => Ok(control(ControlCommand::Status)?.is_some_and(|reply| reply.is_running)),
        Supervision::Supervisor => match control(ControlCommand::Status)? {
            Some(reply) => Ok(reply.is_running),
            // The supervisor was killed; its agent may live on.
            None => match process::read_pid_file(&layout::agent_file()) {
                Some(agent) => Ok(agent.is_alive()?),
                None => Ok(false),
            },
        },
    }
}

/// The agent's process; `None` where there is none.
pub(crate) fn agent(supervision: Supervision) -> Result<Option<u32>, ServiceError> {
    let of_keeper = |reply: ControlReply| reply.pid.and_then(|pid| u32::try_from(pid).ok());
    match supervision {
        Supervision::Systemd => {
            let output = Command::new("systemctl")
                .args(["show", "--property=MainPID", "--value", layout::UNIT_NAME])
                .stdin(Stdio::null())
                .output()
                .map_err(|source| ServiceError::file("run", "systemctl", source))?;
            // 0 where there is none.
            Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|pid| *pid != 0))
        }
        Supervision::Init => Ok(control(ControlCommand::Status)?.and_then(of_keeper)),
        Supervision::Supervisor => match control(ControlCommand::Status)? {
            Some(reply) => Ok(of_keeper(reply)),
            None => match process::read_pid_file(&layout::agent_file()) {
                Some(agent) if agent.is_alive()? => Ok(Some(agent.pid)),
                Some(_) | None => Ok(None),
            },
        },
    }
}

/// Runs systemctl.
pub(crate) fn systemctl(arguments: &[&str]) -> Result<(), ServiceError> {
    let output = Command::new("systemctl")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ServiceError::file("run", "systemctl", source))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ServiceError::Command { command: format!("systemctl {}", arguments.join(" ")), output: text })
}

fn control(command: ControlCommand) -> Result<Option<ControlReply>, ServiceError> {
    ask(&layout::control_socket(), command).map_err(|source| ServiceError::Supervisor { source })
}

fn tell(command: ControlCommand) -> Result<ControlReply, ServiceError> {
    control(command)?.ok_or_else(|| ServiceError::Supervisor { source: io::ErrorKind::NotConnected.into() })
}

fn came_up(reply: ControlReply) -> Result<(), ServiceError> {
    if reply.is_running {
        return Ok(());
    }
    Err(ServiceError::AgentFailed { how: reply.last_end.unwrap_or_else(|| "it was stopped again".to_owned()) })
}

/// Ends what a supervisor that was killed has left behind: the agent, and the supervisor where it no longer answers.
fn end_orphans() -> Result<(), ServiceError> {
    for file in [layout::supervisor_file(), layout::agent_file()] {
        if let Some(process) = process::read_pid_file(&file) {
            process::end(process, ORPHAN_GRACE)?;
        }
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ServiceError::file("remove", &file, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Starts a supervisor and waits until it takes commands.
fn start_supervisor() -> Result<(), ServiceError> {
    run_dir::ensure()?;
    fs::create_dir_all(layout::LOG_DIR).map_err(|source| ServiceError::file("make", layout::LOG_DIR, source))?;
    let path = Path::new(layout::LOG_DIR).join("stderr.log");
    let is_large = fs::metadata(&path).is_ok_and(|file| file.len() > LARGEST_STDERR);
    let stderr = OpenOptions::new()
        .create(true)
        .append(!is_large)
        .write(true)
        .truncate(is_large)
        .mode(0o600)
        .open(&path)
        .map_err(|source| ServiceError::file("open", &path, source))?;
    let mut supervisor = Command::new(layout::BINARY)
        .args(["supervise", "--idle"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .current_dir("/")
        .spawn()
        .map_err(|source| ServiceError::file("run", layout::BINARY, source))?;
    // It says so once it takes commands, and closes its end where it cannot.
    let mut word = String::new();
    if let Some(stdout) = supervisor.stdout.take() {
        BufReader::new(stdout).read_line(&mut word).map_err(|source| ServiceError::Supervisor { source })?;
    }
    if word.trim_end() == SUPERVISOR_READY {
        return Ok(());
    }
    let status = supervisor.wait().map_err(|source| ServiceError::Supervisor { source })?;
    Err(ServiceError::AgentFailed { how: format!("its supervisor ended with {status}") })
}
