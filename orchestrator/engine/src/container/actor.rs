//! The one who changes a container: takes commands, notices its end, starts it again, asks for its health.
//!
//! ```text
//! Stopped ── start ──> Live(container, end) ── end noticed ──> Stopped ── restart due ──> Live …
//! ```
//! One thing at a time: no command finds another half done. Nothing here waits for a program to end: a stop sends its
//! signal and sets the moment of force, and the end is noticed when it comes.

mod end;
mod files;
mod join;
mod live;
mod names;
mod network;
mod probe;
mod remove;
mod start;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use runtime::{Container, Exit, Limits};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::files::FileUses;
pub(super) use self::files::{Ending, FileUse};
use self::live::{Live, at, or_never};
use super::cell::Cell;
use super::restart::Occasion;
use super::{Attachment, ContainerError, ContainerRecord, ContainerState, ContainerStatus, Shared};
use crate::document::FileFailure;
use crate::event::EventKind;

/// Where an answer goes. Nobody may wait for it any more.
pub(super) type Reply<T> = oneshot::Sender<Result<T, ContainerError>>;

/// How a record is changed.
pub(super) type Change = Box<dyn FnOnce(&mut ContainerRecord) + Send>;

/// What is asked of an actor.
pub(super) enum Command {
    /// Start it; whether it did not run. Where the first says so, only if it was never started.
    Start(bool, Reply<bool>),
    /// Make it ready to be started, so that its streams can be connected first; what runs is ready.
    Prepare(Reply<Container>),
    /// Ask it to end, and end it after this grace (`None`: never); whether it ran. Answered before it has ended.
    Stop(i32, Option<Duration>, Reply<bool>),
    /// Send it a signal.
    Kill(i32, Reply<()>),
    /// Make it stand still, or run again.
    Pause(bool, Reply<()>),
    /// Change its record, and its limits where it runs.
    Change(Change, Box<Limits>, Reply<()>),
    /// Give it another name, which is its own already.
    Rename(String, Reply<()>),
    /// Put it into a network.
    Join(Box<Attachment>, Reply<()>),
    /// Take it out of the network of this id and name.
    Leave(String, String, Reply<()>),
    /// Let somebody use its files.
    UseFiles(Reply<FileUse>),
    /// Remove it, also while it runs where the first says so, with its volumes without names where the second does.
    Remove(bool, bool, Reply<()>),
}

impl std::fmt::Debug for Command {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Start(..) => "Start",
            Self::Prepare(_) => "Prepare",
            Self::Stop(..) => "Stop",
            Self::Kill(..) => "Kill",
            Self::Pause(..) => "Pause",
            Self::Change(..) => "Change",
            Self::Rename(..) => "Rename",
            Self::Join(..) => "Join",
            Self::Leave(..) => "Leave",
            Self::UseFiles(_) => "UseFiles",
            Self::Remove(..) => "Remove",
        })
    }
}

/// Whether there is still something to act for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
    End,
}

/// The one who changes a container.
pub(super) struct Actor {
    shared: Arc<Shared>,
    cell: Arc<Cell>,
    state: ContainerState,
    /// What the runtime has of it: ready, running or ended.
    container: Option<Container>,
    live: Option<Live>,
    /// When it is started again by itself.
    restart_at: Option<Instant>,
    /// The pause before its last start by itself.
    last_pause: Option<Duration>,
    /// Who uses its files beside its program.
    files: FileUses,
    /// What answers its questions for names, where something does.
    name_server: JoinSet<()>,
}

/// What an actor notices.
enum Noticed {
    Command(Option<Command>),
    Ended(Exit),
    GraceOver,
    RestartDue,
    Answered(super::ProbeResult),
    QuestionDue,
    FilesUnused,
}

impl Actor {
    pub(super) fn new(shared: Arc<Shared>, cell: Arc<Cell>) -> Self {
        let state = cell.state();
        let (files, name_server) = (FileUses::default(), JoinSet::new());
        Self {
            shared,
            cell,
            state,
            container: None,
            live: None,
            restart_at: None,
            last_pause: None,
            files,
            name_server,
        }
    }

    /// Acts until the container is gone, or the engine is to close.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut closing = self.shared.closing.subscribe();
        loop {
            let noticed = {
                let grace_over = self.live.as_ref().and_then(|live| live.kill_at);
                let question_at = self.live.as_ref().and_then(Live::question_at);
                let (ending, answer) = match &mut self.live {
                    Some(live) => (Some(&mut live.ending), live.probe.as_mut()),
                    None => (None, None),
                };
                tokio::select! {
                    biased;
                    () = is_closing(&mut closing) => return,
                    exit = or_never(ending) => Noticed::Ended(exit),
                    command = commands.recv() => Noticed::Command(command),
                    () = at(grace_over) => Noticed::GraceOver,
                    () = at(self.restart_at) => Noticed::RestartDue,
                    result = or_never(answer) => Noticed::Answered(result),
                    () = at(question_at) => Noticed::QuestionDue,
                    () = self.files.unused() => Noticed::FilesUnused,
                }
            };
            let next = match noticed {
                Noticed::Command(None) => Next::End,
                Noticed::Command(Some(command)) => self.obey(command).await,
                Noticed::Ended(exit) => self.end(exit).await,
                Noticed::GraceOver => self.force().await,
                Noticed::RestartDue => self.start_again().await,
                Noticed::Answered(result) => self.note_answer(result),
                Noticed::QuestionDue => self.ask_health(),
                Noticed::FilesUnused => self.files_unused().await,
            };
            if next == Next::End {
                return;
            }
        }
    }

    async fn obey(&mut self, command: Command) -> Next {
        match command {
            Command::Start(is_once, reply) => {
                let outcome = self.start_by_hand(is_once).await;
                let next = if outcome.is_err() { self.follow_failed_start().await } else { Next::Go };
                answer(reply, outcome);
                return next;
            }
            Command::Prepare(reply) => answer(reply, self.prepare_by_hand().await),
            Command::Stop(signal, grace, reply) => answer(reply, self.stop(signal, grace).await),
            Command::Kill(signal, reply) => answer(reply, self.kill(signal).await),
            Command::Pause(is_paused, reply) => answer(reply, self.pause(is_paused).await),
            Command::Change(change, limits, reply) => answer(reply, self.change(change, &limits).await),
            Command::Rename(name, reply) => answer(reply, self.rename(&name)),
            Command::Join(attachment, reply) => answer(reply, self.join(*attachment).await),
            Command::Leave(network, name, reply) => answer(reply, self.leave(&network, &name).await),
            Command::UseFiles(reply) => answer(reply, self.use_files().await),
            Command::Remove(is_forced, with_volumes, reply) => {
                let outcome = self.remove(is_forced, with_volumes).await;
                let next = if outcome.is_ok() { Next::End } else { Next::Go };
                answer(reply, outcome);
                return next;
            }
        };
        Next::Go
    }

    /// Changes the state: for readers, and on the disk.
    fn update(&mut self, change: impl FnOnce(&mut ContainerState)) {
        change(&mut self.state);
        self.cell.set_state(self.state.clone());
        if let Err(error) = self.state.write(&self.cell.folder) {
            // The runtime knows what runs; what is lost is how the last run ended.
            tracing::warn!(container = %self.cell.id, %error, "the state of a container is not kept");
        }
    }

    fn tell<const N: usize>(&self, action: &str, more: [(&str, String); N]) {
        let mut attributes = self.cell.record().attributes();
        attributes.extend(more.map(|(name, value)| (name.to_owned(), value)));
        self.shared.events.tell(EventKind::Container, action, &self.cell.id, attributes);
    }

    /// The container that runs.
    fn running(&self) -> Result<&Container, ContainerError> {
        match &self.container {
            Some(container) if self.state.status.has_process() => Ok(container),
            Some(_) | None => Err(ContainerError::Conflict(format!("container {} is not running", self.cell.id))),
        }
    }

    async fn change(&mut self, change: Change, limits: &Limits) -> Result<(), ContainerError> {
        let mut record = ContainerRecord::clone(&self.cell.record());
        change(&mut record);
        if let Ok(container) = self.running() {
            container.update(limits).await?;
        }
        self.put_record(record)?;
        self.tell("update", []);
        Ok(())
    }

    fn rename(&mut self, name: &str) -> Result<(), ContainerError> {
        let mut record = ContainerRecord::clone(&self.cell.record());
        let old = std::mem::replace(&mut record.name, name.to_owned());
        self.put_record(record)?;
        self.enter_names();
        self.tell("rename", [("oldName", format!("/{old}"))]);
        Ok(())
    }

    fn put_record(&self, record: ContainerRecord) -> Result<(), FileFailure> {
        record.write(&self.cell.folder)?;
        self.cell.set_record(record);
        Ok(())
    }

    /// How long the program has run so far.
    fn running_for(&self) -> Duration {
        let started = self.state.started_at.unwrap_or_else(Timestamp::now);
        Timestamp::now().duration_since(started).try_into().unwrap_or_default()
    }

    /// Goes on where an earlier engine was: with what the runtime still has, and what was begun.
    pub(super) async fn resume(&mut self, container: Option<Container>) -> bool {
        let was_running = self.state.status.is_running();
        let next = self.take_up(container).await;
        if next == Next::End {
            return false;
        }
        if !self.state.status.has_process() {
            let policy = self.cell.record().host_config.restart_policy.clone();
            let occasion = Occasion::Opened { was_running };
            if super::restart::is_restarted(&policy, &self.state, occasion) {
                self.restart_at = Some(Instant::now());
                self.update(|state| state.status = ContainerStatus::Restarting);
            }
        }
        true
    }
}

/// Waits until the engine is to close.
async fn is_closing(closing: &mut watch::Receiver<bool>) {
    // The sender lives as long as the actor's share.
    let _ = closing.wait_for(|is_closing| *is_closing).await;
}

fn answer<T>(reply: Reply<T>, outcome: Result<T, ContainerError>) -> Next {
    // Who does not wait any more has not changed their mind.
    let _ = reply.send(outcome);
    Next::Go
}
