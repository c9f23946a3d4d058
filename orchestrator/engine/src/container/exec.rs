//! Programs that are added to a container that runs: `docker exec`. They end with their container at the latest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::{ExecRequest, Program, Streams, TtySize};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use super::exec_session::{self, ExecStream};
use super::{ContainerError, ContainerStatus, Containers};
use crate::event::EventKind;
use crate::settings::{self, InvalidSettings};

/// How many programs of one container are remembered; of more, the oldest that have ended are forgotten.
const KEPT: usize = 256;
/// How long a new size of a terminal waits for its program: clients send it as soon as they have asked for the start.
const SIZE_PATIENCE: Duration = Duration::from_secs(1);

/// What a program that is added is to be: Docker's `ExecConfig`.
#[expect(clippy::struct_excessive_bools, reason = "they are Docker's")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecConfig {
    /// `user[:group]`; the container's where empty.
    pub user: String,
    /// Whether it holds every capability.
    pub privileged: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Rows and columns of its terminal at first.
    pub console_size: Option<[u16; 2]>,
    /// Whether its input is connected.
    pub attach_stdin: bool,
    /// Whether its errors are connected.
    pub attach_stderr: bool,
    /// Whether its output is connected.
    pub attach_stdout: bool,
    /// The keys that detach. Kept and shown.
    pub detach_keys: String,
    /// Variables beside the container's.
    pub env: Vec<String>,
    /// Where it starts; where the container does if empty.
    pub working_dir: String,
    /// The program and its arguments.
    pub cmd: Vec<String>,
}

/// A program that was added, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecView {
    /// Its id.
    pub id: String,
    /// Its container.
    pub container_id: String,
    /// What it is.
    pub config: ExecConfig,
    /// Whether it runs.
    pub is_running: bool,
    /// Its process, as this host counts; 0 before it was started.
    pub pid: u32,
    /// How it ended; `None` before that.
    pub exit_code: Option<i32>,
}

/// The programs that were added to containers.
#[derive(Debug, Default)]
pub(super) struct Execs {
    known: Mutex<Vec<Arc<Exec>>>,
}

/// A program that was added.
#[derive(Debug)]
pub(super) struct Exec {
    pub(super) id: String,
    pub(super) container_id: String,
    pub(super) config: ExecConfig,
    progress: Mutex<Progress>,
    /// Takes sizes of its terminal, from its start to its end.
    sizes: watch::Sender<Option<mpsc::Sender<TtySize>>>,
}

/// How far it has come.
#[derive(Debug, Default)]
struct Progress {
    is_started: bool,
    pid: u32,
    exit_code: Option<i32>,
}

impl Exec {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes its end. `false` where that was noted before.
    pub(super) fn note_end(&self, exit_code: i32) -> bool {
        self.sizes.send_replace(None);
        self.progress().exit_code.replace(exit_code).is_none()
    }

    fn view(&self) -> ExecView {
        let progress = self.progress();
        ExecView {
            id: self.id.clone(),
            container_id: self.container_id.clone(),
            config: self.config.clone(),
            is_running: progress.pid != 0 && progress.exit_code.is_none(),
            pid: progress.pid,
            exit_code: progress.exit_code,
        }
    }
}

impl Execs {
    fn known(&self) -> MutexGuard<'_, Vec<Arc<Exec>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a program; returns the one that was forgotten for it.
    fn add(&self, exec: Arc<Exec>) -> Option<Arc<Exec>> {
        let mut known = self.known();
        let mut of_container: HashMap<&str, usize> = HashMap::new();
        for exec in known.iter() {
            *of_container.entry(exec.container_id.as_str()).or_default() += 1;
        }
        let is_full = of_container.get(exec.container_id.as_str()).is_some_and(|count| *count >= KEPT);
        let is_over = |known: &Arc<Exec>| known.container_id == exec.container_id && !known.view().is_running;
        let oldest = known.iter().position(is_over).filter(|_| is_full);
        let forgotten = oldest.map(|at| known.remove(at));
        known.push(exec);
        forgotten
    }

    fn find(&self, id: &str) -> Result<Arc<Exec>, ContainerError> {
        let known = self.known();
        let found = known.iter().find(|exec| exec.id == id).cloned();
        found.ok_or_else(|| ContainerError::NoSuchExec(id.to_owned()))
    }

    /// Forgets the programs of a container that is gone.
    pub(super) fn forget(&self, container: &str) {
        self.known().retain(|exec| exec.container_id != container);
    }
}

impl Containers {
    /// Adds a program to a container that runs, without starting it; its id.
    pub fn exec_create(&self, name: &str, config: ExecConfig) -> Result<String, ContainerError> {
        let cell = self.cell(name)?;
        if config.cmd.is_empty() {
            return Err(ContainerError::Invalid(InvalidSettings::new("No exec command specified")));
        }
        let status = cell.state().status;
        if status == ContainerStatus::Paused {
            let words = "is paused, unpause the container before exec";
            return Err(ContainerError::Conflict(format!("container {} {words}", cell.id)));
        }
        if !status.has_process() {
            return Err(ContainerError::Conflict(format!("container {} is not running", cell.id)));
        }
        let id = self.shared.draw(crate::hex_id);
        let action = format!("exec_create: {}", config.cmd.join(" "));
        let (container_id, progress, sizes) = (cell.id.clone(), Mutex::default(), watch::Sender::default());
        let exec = Arc::new(Exec { id: id.clone(), container_id, config, progress, sizes });
        if let Some(forgotten) = self.shared.execs.add(exec) {
            self.running(&cell)?.forget_exec(&forgotten.id)?;
        }
        self.tell_exec(&cell, &action, &id);
        Ok(id)
    }

    /// Starts a program, once; its streams, which may be dropped: it runs on, with an input that has ended. `size` is its terminal's first.
    pub async fn exec_start(&self, id: &str, size: Option<TtySize>) -> Result<ExecStream, ContainerError> {
        let containers = self.clone();
        let exec = self.shared.execs.find(id)?;
        self.owned(async move { containers.begin(exec, size).await }).await
    }

    /// Gives the terminal of a program another size. One that has not begun is waited for, for a second.
    pub async fn exec_resize(&self, id: &str, size: TtySize) -> Result<(), ContainerError> {
        let exec = self.shared.execs.find(id)?;
        let not_running = || ContainerError::Conflict(format!("exec {id} is not running"));
        if exec.progress().exit_code.is_some() {
            return Err(not_running());
        }
        let mut sizes = exec.sizes.subscribe();
        let begun = tokio::time::timeout(SIZE_PATIENCE, sizes.wait_for(Option::is_some));
        let sender = begun.await.ok().and_then(|sizes| sizes.ok()?.clone()).ok_or_else(not_running)?;
        sender.send(size).await.map_err(|_| not_running())
    }

    /// Tells that a client has left a program, which runs on.
    pub fn note_exec_detach(&self, id: &str) {
        if let Ok(exec) = self.shared.execs.find(id)
            && let Ok(cell) = self.cell(&exec.container_id)
        {
            self.tell_exec(&cell, "exec_detach", id);
        }
    }

    /// A program that was added.
    pub fn exec_inspect(&self, id: &str) -> Result<ExecView, ContainerError> {
        Ok(self.shared.execs.find(id)?.view())
    }

    /// The ids of the programs that were added to a container and have not ended, also of those that were not started.
    pub fn execs_of(&self, container_id: &str) -> Vec<String> {
        let known = self.shared.execs.known();
        let is_open = |exec: &&Arc<Exec>| exec.container_id == container_id && exec.progress().exit_code.is_none();
        known.iter().filter(is_open).map(|exec| exec.id.clone()).collect()
    }

    async fn begin(&self, exec: Arc<Exec>, size: Option<TtySize>) -> Result<ExecStream, ContainerError> {
        let cell = self.cell(&exec.container_id)?;
        let container = self.running(&cell)?;
        if std::mem::replace(&mut exec.progress().is_started, true) {
            let words = "has already run";
            return Err(ContainerError::Conflict(format!("exec {} {words}", exec.id)));
        }
        let config = &exec.config;
        let record = cell.record();
        let settings = &record.config;
        let or = |own: &str, other: &str| if own.is_empty() { other.to_owned() } else { own.to_owned() };
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let first_size = config.console_size.map(|[rows, columns]| TtySize { columns, rows });
        let program = Program {
            argv: config.cmd.clone(),
            env: settings::exec_environment(settings, config.tty, &config.env),
            cwd: text(or(&config.working_dir, &settings.working_dir)).map(Into::into),
            user: text(or(&config.user, &settings.user)),
            groups: record.host_config.group_add.clone().unwrap_or_default(),
            tty: config.tty,
            tty_size: size.or(first_size).filter(|size| config.tty && size.rows > 0 && size.columns > 0),
        };
        // Always connected: how it ends is heard there.
        let streams = Streams { stdin: config.attach_stdin, ..Streams::ALL };
        let request = ExecRequest { name: exec.id.clone(), program, privileged: config.privileged, streams };
        let session = match container.exec(request).await {
            Ok(session) => session,
            Err(error) => {
                exec.note_end(exit_code_of(&error));
                return Err(error.into());
            }
        };
        self.tell_exec(&cell, &format!("exec_start: {}", config.cmd.join(" ")), &exec.id);
        Ok(exec_session::connect(&self.shared, &cell, &exec, session, |pid, sizes| {
            exec.progress().pid = pid;
            exec.sizes.send_replace(Some(sizes));
        }))
    }

    fn tell_exec(&self, cell: &super::cell::Cell, action: &str, id: &str) {
        let mut attributes = cell.record().attributes();
        attributes.insert("execID".to_owned(), id.to_owned());
        self.shared.events.tell(EventKind::Container, action, &cell.id, attributes);
    }
}

/// What a shell would say of a program that did not begin.
fn exit_code_of(error: &runtime::RuntimeError) -> i32 {
    let is_missing = matches!(error, runtime::RuntimeError::Start { failure: runtime::StartFailure::NotFound, .. });
    if is_missing { 127 } else { 126 }
}
