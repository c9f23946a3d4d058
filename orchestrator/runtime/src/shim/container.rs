//! A container in the hands of its shim, from "prepared" to "gone".
//!
//! ```text
//! Created ── Start, and the program has begun ──> Running ── the program has ended ──> Exited
//!    └────────────────────── it could not begin, or was killed before ───────────────────┘
//! ```

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::connection::{Connection, Role};
use super::create::Created;
use super::session::Session;
use super::system::{Ended, Side, collect, fork, hold, send_signal};
use super::{exec, reasons};
use crate::RuntimeError;
use crate::bundle::{Bundle, Namespace};
use crate::cgroup::Group;
use crate::error::{Doing, StartFailure};
use crate::last_steps::LastWord;
use crate::log::LogQueue;
use crate::protocol::{Exec, Reply, Request};
use crate::state::{self, EXECS, Exit, LIBRARY, Phase, SOCKET, STATE, State};

/// How long the end of a container waits for its log to be written.
const LOG_LIMIT: Duration = Duration::from_secs(1);
/// How long a shim waits for programs that `exec` added to be told of, once their container has ended.
const EXEC_LIMIT: Duration = Duration::from_secs(2);
/// How many connections a shim serves at once.
const CONNECTION_LIMIT: usize = 256;

/// A container and everything that its shim holds of it.
#[derive(Debug)]
pub(super) struct Container {
    folder: PathBuf,
    bundle: Bundle,
    group: Group,
    prepared: libcontainer::container::Container,
    state: State,
    session: Session,
    listener: UnixListener,
    signals: OwnedFd,
    init: OwnedFd,
    word: Option<OwnedFd>,
    last_word: Vec<u8>,
    is_starting: bool,
    execs: BTreeSet<u32>,
}

impl Container {
    pub(super) fn new(folder: &Path, signals: OwnedFd, created: Created, state: State) -> Result<Self, RuntimeError> {
        let Created { bundle, container, init, stdio, word } = created;
        std::env::set_current_dir(folder).doing(|| format!("enter `{}`", folder.display()))?;
        std::fs::create_dir_all(EXECS).doing(|| format!("make a folder in `{}`", folder.display()))?;
        // Relative, because the path of a socket is short.
        let listener = UnixListener::bind(SOCKET).doing(|| format!("listen in `{}`", folder.display()))?;
        listener.set_nonblocking(true).doing(|| "prepare a socket")?;
        let log = bundle.log.clone().map(LogQueue::new).transpose().doing(|| "start the log")?;
        let init = hold(init.pid).doing(|| "hold on to the first program")?;
        Ok(Self {
            folder: folder.to_owned(),
            group: Group::new(&bundle.cgroup),
            session: Session::new(stdio, log, bundle.stdin_once),
            bundle,
            prepared: container,
            listener,
            signals,
            init,
            word: Some(word).filter(|_| state.phase == Phase::Created),
            last_word: Vec::new(),
            is_starting: false,
            state,
            execs: BTreeSet::new(),
        })
    }

    pub(super) fn save(&self) -> Result<(), RuntimeError> {
        state::write(&self.folder.join(STATE), &self.state)
    }

    /// Serves the container until it has ended and everyone knows.
    pub(super) fn serve(mut self) -> ExitCode {
        let ended = loop {
            match self.step() {
                Ok(None) => {}
                Ok(Some(ended)) => break ended,
                // Without its loop a shim is of no use; whoever finds it gone ends the container.
                Err(_) => return ExitCode::FAILURE,
            }
        };
        self.finish(ended);
        ExitCode::SUCCESS
    }

    /// One turn of the loop; how the program ended, once it has.
    fn step(&mut self) -> io::Result<Option<Ended>> {
        let mut own = vec![self.signals.as_fd()];
        own.extend(self.word.as_ref().map(OwnedFd::as_fd));
        let has_word = own.len() > 1;
        // A shim that is full does not even look, or it would look without end.
        own.extend((self.session.connections.len() < CONNECTION_LIMIT).then_some(self.listener.as_fd()));
        let turn = self.session.turn(&own)?;
        let is_ready = |index: usize| turn.ready.get(index) == Some(&true);
        let (word_is_ready, is_called) = (has_word && is_ready(1), is_ready(1 + usize::from(has_word)));
        // Before its end: a program may have begun and ended since.
        if word_is_ready {
            self.read_word();
        }
        if is_called {
            self.accept();
        }
        for (index, request) in turn.requests {
            self.serve_request(index, request);
        }
        let mut found = None;
        if turn.ready[0] {
            for ended in collect(&self.signals) {
                if ended.pid == self.state.init.pid {
                    found = Some(ended);
                } else {
                    self.execs.remove(&ended.pid);
                }
            }
        }
        if found.is_some() {
            self.read_word();
        }
        Ok(found)
    }

    fn accept(&mut self) {
        while self.session.connections.len() < CONNECTION_LIMIT
            && let Ok((stream, _)) = self.listener.accept()
        {
            if let Ok(connection) = Connection::new(stream) {
                self.session.connections.push(connection);
            }
        }
    }

    fn serve_request(&mut self, index: usize, request: Request) {
        let is_running = self.state.phase == Phase::Running;
        let outcome = match request {
            Request::Start => return self.start(index),
            Request::Wait => {
                self.session.connections[index].role = Role::Waiting;
                return;
            }
            Request::Attach(attach) => return self.session.attach(index, attach),
            Request::Exec(exec) if is_running && self.group.is_frozen() => {
                drop(exec);
                Err("is paused, unpause the container before exec".to_owned())
            }
            Request::Exec(exec) if is_running => return self.exec(index, &exec),
            Request::Exec(_) => Err("is not running".to_owned()),
            Request::Signal(signal) if (1..=64).contains(&signal) => {
                send_signal(&self.init, signal).map_err(|error| error.to_string())
            }
            Request::Signal(signal) => Err(format!("there is no signal {signal}")),
            Request::Resize(size) => self.session.stdio.resize(size).map_err(|error| error.to_string()),
        };
        let reply = outcome.map_or_else(Reply::Failed, |()| Reply::Done);
        self.session.connections[index].answer(&reply);
    }

    /// Lets the program begin. Asked again, it answers the same.
    fn start(&mut self, index: usize) {
        if self.state.phase == Phase::Running {
            return self.session.connections[index].answer(&Reply::Started(self.state.init.pid));
        }
        self.session.connections[index].role = Role::Starting;
        if self.is_starting {
            return;
        }
        match self.prepared.start() {
            Ok(()) => self.is_starting = true,
            Err(error) => {
                let reply = Reply::NotStarted { failure: StartFailure::Other, reason: reasons(&error) };
                self.session.connections[index].answer(&reply);
            }
        }
    }

    /// Reads the program's last word: nothing, once it has begun; else why it could not.
    fn read_word(&mut self) {
        let Some(word) = &self.word else { return };
        let mut chunk = [0; 4096];
        match rustix::io::read(word, &mut chunk) {
            Ok(0) => {}
            Ok(count) => return self.last_word.extend(&chunk[..count]),
            Err(Errno::INTR) => return,
            Err(_) => {}
        }
        self.word = None;
        // Killed before it was told to begin, it leaves no word either.
        if !self.is_starting || !self.last_word.is_empty() {
            return;
        }
        self.state.phase = Phase::Running;
        self.state.started_at = Some(Timestamp::now());
        // An agent that reads the older state asks again.
        let _ = self.save();
        self.session.tell_start(&Reply::Started(self.state.init.pid));
    }

    /// Runs another program, in a copy of this process that has nothing but its connection.
    fn exec(&mut self, index: usize, exec: &Exec) {
        match fork() {
            Ok(Side::Parent(pid)) => {
                self.execs.insert(pid);
                // It is the copy's now.
                self.session.connections[index].role = Role::Answered;
            }
            Ok(Side::Child) => {
                let connection = self.session.connections.swap_remove(index);
                self.session.connections.clear();
                self.session.stdio.close();
                // Its thread is the parent's.
                std::mem::forget(self.session.log.take());
                exec::run(&self.folder, &self.bundle, exec, connection, &self.signals)
            }
            Err(error) => self.session.connections[index].answer(&Reply::Failed(error.to_string())),
        }
    }

    /// The program has ended: everyone learns how, and what is left of the container goes.
    fn finish(mut self, ended: Ended) {
        let oom_killed = self.group.oom_kills() > 0;
        if self.bundle.namespaces.pid != Namespace::Own {
            // Nothing else ends what the program left behind.
            let _ = self.control_group().and_then(|group| Ok(group.kill()?));
        }
        self.session.drain_outputs();
        let word = serde_json::from_slice::<LastWord>(&self.last_word).ok();
        let (code, error) = match &word {
            Some(word) => (exit_code(word.failure), Some(word.reason.clone())),
            None => (ended.code, None),
        };
        self.session.finish_log(LOG_LIMIT);
        let exit = Exit { code, signal: ended.signal, oom_killed, finished_at: Timestamp::now(), error };
        self.state.phase = Phase::Exited;
        self.state.exit = Some(exit.clone());
        // A shim that cannot write it is as good as lost, and its container is found so.
        let _ = self.save();
        let not_started = |reason: String, failure| Reply::NotStarted { failure, reason };
        self.session.tell_start(&match word {
            Some(word) => not_started(word.reason, word.failure),
            None => not_started("it was ended before it began".to_owned(), StartFailure::Other),
        });
        // First, so that whoever hears of the end and deletes the container finds little left to wait for.
        self.remove_remains();
        self.session.tell(&Reply::Exited(exit));
        self.wait_for_execs();
        let _ = self.session.flush();
    }

    fn control_group(&self) -> Result<links::cgroup::ControlGroup, RuntimeError> {
        Ok(links::cgroup::ControlGroup::new(crate::client::relative(&self.bundle.cgroup))?)
    }

    /// What cannot be removed now is found by the agent when it deletes the container.
    fn remove_remains(&self) {
        let _ = self.control_group().and_then(|group| Ok(group.remove()?));
        let _ = std::fs::remove_dir_all(self.folder.join(LIBRARY));
        let _ = std::fs::remove_file(self.folder.join(SOCKET));
    }

    fn wait_for_execs(&mut self) {
        let deadline = Instant::now() + EXEC_LIMIT;
        while !self.execs.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 });
            let mut list = [PollFd::new(&self.signals, PollFlags::IN)];
            match poll(&mut list, Some(&limit)) {
                Ok(0) => return,
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            for ended in collect(&self.signals) {
                self.execs.remove(&ended.pid);
            }
        }
    }
}

/// The status that stands for a program that did not begin, as Docker has it.
pub(super) fn exit_code(failure: StartFailure) -> i32 {
    match failure {
        StartFailure::NotFound => 127,
        StartFailure::NotExecutable => 126,
        StartFailure::Other => 128,
    }
}
