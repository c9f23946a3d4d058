//! One container, in the hands of an agent: this one, or the next that adopts it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::attachment::{Attachment, Connection, ExecSession};
use super::{blocking, collect, wire};
use crate::RuntimeError;
use crate::bundle::{Bundle, Program, TtySize};
use crate::cgroup::{Group, Stats};
use crate::error::Doing;
use crate::limits::Limits;
use crate::log::{LogQuery, LogReader};
use crate::protocol::{Attach, Exec, Reply, Request, Streams};
use crate::state::{self, BUNDLE, Exit, Phase, STATE, State};

/// How long a shim may take to end by itself once its container has.
const SHIM_LIMIT: Duration = Duration::from_secs(2);

/// A container. Cheap to copy; every copy is the same container.
#[derive(Debug, Clone)]
pub struct Container {
    folder: Arc<PathBuf>,
    bundle: Arc<Bundle>,
    group: Arc<Group>,
}

/// A program to run in a container beside its first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// Names it among the others of its container: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The program; its environment is its own, not the container's.
    pub program: Program,
    /// Whether it holds every capability.
    pub privileged: bool,
    /// What to connect; input that is not connected is empty.
    pub streams: Streams,
}

impl Container {
    /// Opens the container of a state folder; an error that is "not found" where it holds no whole one.
    pub(super) fn open(folder: PathBuf) -> Result<Self, RuntimeError> {
        let bundle: Bundle = state::read(&folder.join(BUNDLE))?;
        let _: State = state::read(&folder.join(STATE))?;
        let group = Group::new(&bundle.cgroup);
        Ok(Self { folder: Arc::new(folder), bundle: Arc::new(bundle), group: Arc::new(group) })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.bundle.id
    }

    /// What it was made from.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    pub(super) fn cgroup(&self) -> &Path {
        &self.bundle.cgroup
    }

    /// What is known of it.
    pub fn state(&self) -> Result<State, RuntimeError> {
        state::read(&self.folder.join(STATE))
    }

    /// Whether its processes have been made to stand still.
    pub fn is_paused(&self) -> bool {
        self.group.is_frozen()
    }

    /// Lets its program begin, and returns once it has; the number of its process. One that has begun is fine.
    pub async fn start(&self) -> Result<u32, RuntimeError> {
        let (reply, _) = self.ask(&Request::Start).await?;
        if let Reply::Started(pid) = reply { Ok(pid) } else { Err(self.unexpected(reply)) }
    }

    /// Sends a signal, 1 to 64, to its first program.
    pub async fn signal(&self, signal: i32) -> Result<(), RuntimeError> {
        let done = self.done(&Request::Signal(signal)).await;
        if signal == libc::SIGKILL && self.group.is_frozen() {
            // What stands still cannot be killed, in version 1.
            self.resume().await?;
        }
        done
    }

    /// Ends it: by `signal`, and by force where it has not ended after `grace`. Returns how it ended; one that has
    /// ended is fine.
    pub async fn stop(&self, signal: i32, grace: Duration) -> Result<Exit, RuntimeError> {
        let state = self.state()?;
        if let Some(exit) = state.exit {
            return Ok(exit);
        }
        let mut waiting = std::pin::pin!(self.wait());
        if state.phase == Phase::Running {
            self.end_by(signal).await?;
            if let Ok(exit) = tokio::time::timeout(grace, &mut waiting).await {
                return exit;
            }
        }
        self.end_by(libc::SIGKILL).await?;
        waiting.await
    }

    /// Like [`signal`](Self::signal), and one that has ended meanwhile is fine.
    async fn end_by(&self, signal: i32) -> Result<(), RuntimeError> {
        match self.signal(signal).await {
            Err(RuntimeError::ShimGone { .. }) => Ok(()),
            outcome => outcome,
        }
    }

    /// Waits until it has ended, and returns how. May be cancelled. Where its shim is lost it is ended.
    pub async fn wait(&self) -> Result<Exit, RuntimeError> {
        if let Some(exit) = self.state()?.exit {
            return Ok(exit);
        }
        match self.ask(&Request::Wait).await {
            Ok((Reply::Exited(exit), _)) => Ok(exit),
            Ok((other, _)) => Err(self.unexpected(other)),
            Err(RuntimeError::ShimGone { .. }) => self.end_lost().await,
            Err(error) => Err(error),
        }
    }

    /// Makes all of its processes stand still, and returns once they do.
    pub async fn pause(&self) -> Result<(), RuntimeError> {
        self.check_running()?;
        let group = Arc::clone(&self.group);
        blocking(move || group.freeze()).await
    }

    /// Lets its processes run again.
    pub async fn resume(&self) -> Result<(), RuntimeError> {
        let group = Arc::clone(&self.group);
        blocking(move || group.thaw()).await
    }

    /// Gives its terminal another size.
    pub async fn resize(&self, size: TtySize) -> Result<(), RuntimeError> {
        self.done(&Request::Resize(size)).await
    }

    /// Connects to its streams as they are from now on. Before [`start`](Self::start), that is from the first byte.
    pub async fn attach(&self, streams: Streams) -> Result<Attachment, RuntimeError> {
        match self.ask(&Request::Attach(Attach { streams, behind_log: false })).await? {
            (Reply::Done, connection) => Ok(Attachment::new(self.id(), connection)),
            (other, _) => Err(self.unexpected(other)),
        }
    }

    /// Like [`attach`](Self::attach), with what was written before; both together are all of it, each line once. The log
    /// ends where the streams begin, and waits for lines that its disk has not taken yet; `None` where nothing was written,
    /// or nothing is kept. With a shim of version 1 a line at the seam may come twice. Call within the async runtime.
    pub async fn attach_behind_log(&self, streams: Streams) -> Result<(Attachment, Option<LogReader>), RuntimeError> {
        let (reply, connection) = self.ask(&Request::Attach(Attach { streams, behind_log: true })).await?;
        let log = match reply {
            Reply::Attached { logged: Some(last) } => {
                let (log, state, is_over) = self.log_places();
                Some(LogReader::through(log, state, last, is_over)?)
            }
            Reply::Attached { logged: None } => None,
            Reply::Done => Some(self.logs(LogQuery { until: Some(Timestamp::now()), ..LogQuery::default() })?),
            Reply::Created | Reply::Started(_) | Reply::Exited(_) | Reply::NotStarted { .. } | Reply::Failed(_) => {
                return Err(self.unexpected(reply));
            }
        };
        Ok((Attachment::new(self.id(), connection), log))
    }

    /// Runs another program inside, and returns once it has begun.
    pub async fn exec(&self, request: ExecRequest) -> Result<ExecSession, RuntimeError> {
        let ExecRequest { name, program, privileged, streams } = request;
        if !state::is_id(&name) {
            return Err(RuntimeError::Invalid { reason: format!("`{name}` names no program of a container") });
        }
        let file = state::exec_file(&self.folder, &name);
        let exec = Box::new(Exec { name, program, privileged, streams });
        match self.ask(&Request::Exec(exec)).await {
            Ok((Reply::Started(pid), stream)) => Ok(ExecSession::new(pid, file, Attachment::new(self.id(), stream))),
            Ok((other, _)) => Err(self.unexpected(other)),
            Err(RuntimeError::ShimGone { id }) => Err(RuntimeError::State { id, state: "is not running".to_owned() }),
            Err(error) => Err(error),
        }
    }

    /// How a program that [`exec`](Self::exec) added ended, whoever was connected; `None` while it runs, or where there
    /// was none of this name.
    pub fn exec_exit(&self, name: &str) -> Result<Option<Exit>, RuntimeError> {
        if !state::is_id(name) {
            return Ok(None);
        }
        match state::read(&state::exec_file(&self.folder, name)) {
            Err(error) if error.is_not_found() => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// Removes what is kept of how an added program ended; otherwise it is kept as long as the container. For whoever adds
    /// programs again and again, as health checks do.
    pub fn forget_exec(&self, name: &str) -> Result<(), RuntimeError> {
        if !state::is_id(name) {
            return Ok(());
        }
        let file = state::exec_file(&self.folder, name);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(RuntimeError::at("remove", &file, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What it uses.
    pub async fn stats(&self) -> Result<Stats, RuntimeError> {
        let init = self.state()?.init.pid;
        let group = Arc::clone(&self.group);
        blocking(move || Ok(group.stats(init))).await
    }

    /// The numbers of its processes, as this host counts.
    pub async fn processes(&self) -> Result<Vec<u32>, RuntimeError> {
        self.check_running()?;
        let group = Arc::clone(&self.group);
        blocking(move || group.processes()).await
    }

    /// Changes those of its limits that are present, at once.
    pub async fn update(&self, limits: &Limits) -> Result<(), RuntimeError> {
        let (group, limits) = (Arc::clone(&self.group), limits.clone());
        blocking(move || group.update(&limits)).await
    }

    /// Reads what it has written; empty where its bundle keeps no log. Call within the async runtime.
    pub fn logs(&self, query: LogQuery) -> Result<LogReader, RuntimeError> {
        let (log, state, is_over) = self.log_places();
        LogReader::start(log, state, query, is_over)
    }

    /// Where the log lies, where the state does, and whether nothing more will be written.
    fn log_places(&self) -> (PathBuf, PathBuf, impl Fn() -> bool + Send + 'static) {
        let folder = (*self.folder).clone();
        let place = folder.join(STATE);
        let log = self.bundle.log.as_ref().map_or_else(|| folder.join("log"), |log| log.folder.clone());
        let is_over = move || !state::read::<State>(&place).is_ok_and(|state| state.phase < Phase::Exited);
        (log, folder, is_over)
    }

    /// Removes it: its control group, its shim, its state. Its log stays. One that runs is ended first where `force`
    /// says so, and refused otherwise.
    pub async fn delete(&self, force: bool) -> Result<(), RuntimeError> {
        match self.state() {
            Ok(state) if state.phase != Phase::Exited => {
                if !force && state.phase == Phase::Running && state.shim.process().is_alive()? {
                    return Err(RuntimeError::State { id: self.id().to_owned(), state: "is running".to_owned() });
                }
                self.stop(libc::SIGKILL, Duration::ZERO).await?;
            }
            // Somebody else removed it, perhaps not whole.
            Ok(_) | Err(_) => {}
        }
        let (folder, cgroup) = (Arc::clone(&self.folder), self.bundle.cgroup.clone());
        blocking(move || {
            if let Ok(state) = state::read::<State>(&folder.join(STATE))
                && let Some(shim) = state.shim.process().open()?
            {
                // It removes the control group itself; one that waits for an agent that is stuck is ended below.
                shim.wait(SHIM_LIMIT)?;
            }
            collect::remove(&folder, &cgroup)
        })
        .await
    }

    /// Ends it, its shim being lost; how it ended.
    pub(super) async fn end_lost(&self) -> Result<Exit, RuntimeError> {
        let (folder, cgroup) = (Arc::clone(&self.folder), self.bundle.cgroup.clone());
        blocking(move || collect::end_lost(&folder, &cgroup)).await
    }

    fn check_running(&self) -> Result<(), RuntimeError> {
        match self.state()?.phase {
            Phase::Running => Ok(()),
            Phase::Created | Phase::Exited => {
                Err(RuntimeError::State { id: self.id().to_owned(), state: "is not running".to_owned() })
            }
        }
    }

    async fn done(&self, request: &Request) -> Result<(), RuntimeError> {
        let (reply, _) = self.ask(request).await?;
        if reply == Reply::Done { Ok(()) } else { Err(self.unexpected(reply)) }
    }

    /// Asks the shim; its answer, and the connection.
    async fn ask(&self, request: &Request) -> Result<(Reply, Connection), RuntimeError> {
        let action = || format!("speak to the shim of container `{}`", self.id());
        let gone = || RuntimeError::ShimGone { id: self.id().to_owned() };
        let mut stream = wire::ask(&self.folder, request).await.doing(action)?.ok_or_else(gone)?;
        let mut received = Vec::new();
        let reply = wire::reply(&mut stream, &mut received).await.doing(action)?.ok_or_else(gone)?;
        Ok((reply, Connection { stream, received }))
    }

    /// An answer that is not the one hoped for, as an error.
    fn unexpected(&self, reply: Reply) -> RuntimeError {
        let id = self.id().to_owned();
        match reply {
            Reply::NotStarted { failure, reason } => RuntimeError::Start { id, failure, reason },
            Reply::Failed(state) => RuntimeError::State { id, state },
            Reply::Created | Reply::Done | Reply::Attached { .. } | Reply::Started(_) | Reply::Exited(_) => {
                RuntimeError::Malformed {
                    what: format!("the answer of the shim of container `{id}`"),
                    reason: format!("{reply:?}"),
                }
            }
        }
    }
}
