//! Keeps one agent running: starts it, waits for its end, starts it again, and takes commands from `swarmd service`.
//!
//! Shared by `swarmd init` (PID 1 of a local machine) and `swarmd supervise` (a host without systemd). Readiness comes
//! by the protocol of systemd (`READY=1` on `NOTIFY_SOCKET`), so the agent need not know who keeps it. Orphans that
//! end are reaped, whoever's children they were. What the agent started is not touched while the keeper lives.

mod control;
mod life;

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use links::Process;
use model::Supervision;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixDatagram, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tracing::{error, info, warn};

pub(crate) use control::{ControlCommand, ControlReply, ask};

use crate::layout;
use crate::process::write_pid_file;
use crate::stop_word;
use control::LONGEST_COMMAND;
use life::{Effect, Input, Life, State};

/// Commands come from people and scripts on the host; more than these at once wait for their turn.
const WAITING_COMMANDS: usize = 16;
/// How long a client may take to say what it wants.
const COMMAND_PATIENCE: Duration = Duration::from_secs(2);

/// Keeps one agent running.
#[derive(Debug)]
pub(crate) struct Keeper {
    supervision: Supervision,
    /// How the agent is started.
    command: Command,
    life: Life,
    agent: Option<Pid>,
    last_end: Option<String>,
    /// Clients that wait for the agent to serve, or to be gone.
    waiting: Vec<Waiting>,
    /// Whether to end once the agent is gone.
    is_quitting: bool,
}

/// A client that waits.
#[derive(Debug)]
struct Waiting {
    client: UnixStream,
    goal: Goal,
}

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// Nothing.
    Any,
    /// The agent serves, or its attempt to has failed.
    Started,
    /// The agent is gone.
    Stopped,
}

impl Keeper {
    /// A keeper of an agent that is started by this command.
    pub(crate) fn new(supervision: Supervision, command: Command) -> Self {
        Self {
            supervision,
            command,
            life: Life::new(),
            agent: None,
            last_end: None,
            waiting: Vec::new(),
            is_quitting: false,
        }
    }

    /// Keeps the agent until told to quit, or by SIGTERM or SIGINT; the agent is gone when this returns.
    ///
    /// `listening` is called once commands are taken.
    pub(crate) async fn run(mut self, start_now: bool, listening: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let listener = bind_afresh(&layout::control_socket(), |path| UnixListener::bind(path))?;
        let notifications = bind_afresh(&layout::notify_socket(), |path| UnixDatagram::bind(path))?;
        self.command.env("NOTIFY_SOCKET", layout::notify_socket());
        let mut ended = signal(SignalKind::child())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (commands, mut inbox) = mpsc::channel(WAITING_COMMANDS);
        let mut readers = JoinSet::new();
        let mut datagram = [0_u8; 512];

        listening()?;
        if start_now {
            self.step(Input::Start);
        }
        while !(self.is_quitting && self.life.state() == State::Down) {
            let deadline = self.life.deadline();
            // Each of these may be dropped and taken up again without losing anything.
            tokio::select! {
                _ = ended.recv() => self.reap(),
                _ = terminate.recv() => self.shut_down(),
                _ = interrupt.recv() => self.quit(),
                () = until(deadline) => self.step(Input::Due),
                Ok((client, _)) = listener.accept() => {
                    let commands = commands.clone();
                    readers.spawn(async move {
                        if let Ok(Some((command, client))) = timeout(COMMAND_PATIENCE, read_command(client)).await {
                            // The keeper holds the other end for as long as it lives.
                            let _ = commands.send((command, client)).await;
                        }
                    });
                }
                Some(_) = readers.join_next() => {}
                Some((command, client)) = inbox.recv() => self.take(command, client),
                Ok(length) = notifications.recv(&mut datagram) => {
                    if datagram[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                        self.step(Input::Ready);
                    }
                }
            }
            self.answer_waiting().await;
        }
        readers.shutdown().await;
        Ok(())
    }

    /// Told by SIGTERM to go: a local machine is switched off by it until somebody switches it on again. A supervisor
    /// of a host gets it when the host restarts, too.
    fn shut_down(&mut self) {
        if self.supervision == Supervision::Init
            && let Err(error) = stop_word::leave(Path::new(layout::RUN_DIR))
        {
            warn!(%error, "the swarm will wait for this node to come back");
        }
        self.quit();
    }

    fn quit(&mut self) {
        self.is_quitting = true;
        self.step(Input::Stop);
    }

    fn take(&mut self, command: ControlCommand, client: UnixStream) {
        let goal = match command {
            // Too late: whoever wants an agent starts another keeper.
            ControlCommand::Start | ControlCommand::Restart if self.is_quitting => Goal::Stopped,
            ControlCommand::Start => {
                self.step(Input::Start);
                Goal::Started
            }
            ControlCommand::Restart => {
                self.step(Input::Restart);
                Goal::Started
            }
            ControlCommand::Stop => {
                self.step(Input::Stop);
                Goal::Stopped
            }
            ControlCommand::Quit => {
                self.quit();
                Goal::Stopped
            }
            ControlCommand::Status => Goal::Any,
        };
        self.waiting.push(Waiting { client, goal });
    }

    fn has_reached(&self, goal: Goal) -> bool {
        match self.life.state() {
            State::Down => true,
            State::Serving { .. } | State::Waiting { .. } => goal != Goal::Stopped,
            State::Starting { .. } | State::Ending { .. } => goal == Goal::Any,
        }
    }

    async fn answer_waiting(&mut self) {
        let (reached, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| self.has_reached(waiting.goal));
        self.waiting = waiting;
        if reached.is_empty() {
            return;
        }
        let reply = self.reply();
        for mut waiting in reached {
            // A client that has gone away needs no answer.
            let _ = timeout(COMMAND_PATIENCE, waiting.client.write_all(&reply)).await;
        }
    }

    fn reply(&self) -> Vec<u8> {
        let reply = ControlReply {
            supervision: self.supervision,
            is_running: matches!(self.life.state(), State::Serving { .. }),
            pid: self.agent.map(Pid::as_raw_pid),
            failures: self.life.failures(),
            last_end: self.last_end.clone(),
        };
        let mut line = serde_json::to_vec(&reply).expect("numbers and texts always encode");
        line.push(b'\n');
        line
    }

    fn step(&mut self, input: Input) {
        match self.life.step(input, Instant::now()) {
            Effect::None => {}
            Effect::Spawn => self.spawn(),
            Effect::Terminate => self.signal(Signal::TERM),
            Effect::Kill => {
                warn!("agent did not drain in time; killing it");
                self.signal(Signal::KILL);
            }
        }
    }

    fn spawn(&mut self) {
        match self.command.spawn() {
            Ok(child) => {
                let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                self.agent = pid;
                info!(pid = child.id(), "agent started");
                // An agent that has ended already needs no pid file.
                if let Ok(process) = Process::of(child.id())
                    && let Err(error) = write_pid_file(&layout::agent_file(), process)
                {
                    warn!(%error, "failed to write the agent's pid file");
                }
            }
            Err(error) => {
                error!(%error, "failed to start the agent");
                self.last_end = Some(format!("it could not be started: {error}"));
                self.step(Input::Ended);
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // The process is our child and not reaped yet, so its PID is still its own.
        if let Some(pid) = self.agent
            && let Err(error) = kill_process(pid, signal)
        {
            warn!(%error, "failed to signal the agent");
        }
    }

    /// Collects every child that has ended: the agent, and orphans that became ours.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if self.agent != Some(pid) {
                continue;
            }
            self.agent = None;
            let status = ExitStatus::from_raw(status.as_raw());
            if matches!(self.life.state(), State::Ending { .. }) {
                info!(%status, "agent stopped");
            } else {
                warn!(%status, "agent ended by itself");
                self.last_end = Some(status.to_string());
            }
            self.step(Input::Ended);
        }
    }
}

/// Binds a socket that a dead predecessor may have left behind. The run directory is root's alone.
fn bind_afresh<S>(path: &Path, bind: impl Fn(&Path) -> io::Result<S>) -> io::Result<S> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    bind(path)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn read_command(client: UnixStream) -> Option<(ControlCommand, UnixStream)> {
    let mut reader = BufReader::new(client).take(LONGEST_COMMAND as u64);
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    let command = serde_json::from_str(&line).ok()?;
    Some((command, reader.into_inner().into_inner()))
}
