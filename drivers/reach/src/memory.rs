//! Hosts that exist in memory only, for the provider `fake`: they keep files, record commands, and answer
//! `swarmd service …` as a real host does, so that phases run without machines.

mod agent;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use model::InstallRequest;

use crate::process::Event;
use crate::stdio::StandardOutputs;
use crate::{
    Command, CommandLine, Content, CopyOptions, Duplex, ForwardTarget, Interaction, Output, ReachError, Session,
    Upload, Uploaded, sha256_hex,
};

/// The hosts in memory, by the names of their machines. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryHosts(Arc<Mutex<BTreeMap<String, Arc<MemoryHost>>>>);

impl MemoryHosts {
    /// The host of a machine; it comes into being when it is first asked for.
    pub fn host(&self, machine: &str) -> Arc<MemoryHost> {
        let mut hosts = lock(&self.0);
        Arc::clone(hosts.entry(machine.to_owned()).or_insert_with(|| Arc::new(MemoryHost::new(machine))))
    }

    /// Forgets the host of a machine that was destroyed.
    pub fn remove(&self, machine: &str) {
        lock(&self.0).remove(machine);
    }

    /// The machines that have a host, in order.
    pub fn names(&self) -> Vec<String> {
        lock(&self.0).keys().cloned().collect()
    }
}

/// A host in memory.
#[derive(Debug)]
pub struct MemoryHost {
    name: String,
    state: Mutex<State>,
}

/// A file of a host in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryFile {
    /// Its permissions.
    pub mode: u32,
    /// What it holds.
    pub bytes: Bytes,
}

/// What a host holds.
#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, MemoryFile>,
    commands: Vec<Command>,
    answers: Vec<(String, Output)>,
    installed: Option<InstallRequest>,
    is_running: bool,
    /// How many calls from now the fault strikes.
    fault: Option<(u32, Fault)>,
}

/// What may go wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The call never arrives.
    Lost,
    /// The call is carried out, its answer never arrives.
    AnswerLost,
}

impl MemoryHost {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), state: Mutex::default() }
    }

    /// All commands that were run, in order.
    pub fn commands(&self) -> Vec<Command> {
        lock(&self.state).commands.clone()
    }

    /// A file, where there is one.
    pub fn file(&self, path: &str) -> Option<MemoryFile> {
        lock(&self.state).files.get(path).cloned()
    }

    /// Puts a file there.
    pub fn put_file(&self, path: &str, file: MemoryFile) {
        lock(&self.state).files.insert(path.to_owned(), file);
    }

    /// What the agent was last installed with, until it is removed.
    pub fn installed(&self) -> Option<InstallRequest> {
        lock(&self.state).installed.clone()
    }

    /// Whether the agent runs.
    pub fn is_running(&self) -> bool {
        lock(&self.state).is_running
    }

    /// Answers commands that begin so from now on; the latest such answer counts.
    pub fn answer(&self, prefix: &str, output: Output) {
        lock(&self.state).answers.push((prefix.to_owned(), output));
    }

    /// Breaks the session in the n-th call from now (1 is the next), before it does anything.
    pub fn lose_call(&self, n: u32) {
        lock(&self.state).fault = Some((n, Fault::Lost));
    }

    /// Carries the n-th call from now (1 is the next) out, and breaks the session before it answers.
    pub fn lose_answer(&self, n: u32) {
        lock(&self.state).fault = Some((n, Fault::AnswerLost));
    }

    /// Does one call under the fault that is due.
    fn call<T>(&self, work: impl FnOnce(&mut State) -> Result<T, ReachError>) -> Result<T, ReachError> {
        let mut state = lock(&self.state);
        let due = match &mut state.fault {
            Some((left, fault)) if *left <= 1 => Some(*fault),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        if due.is_some() {
            state.fault = None;
        }
        match due {
            None => work(&mut state),
            Some(Fault::Lost) => Err(self.broken("the call was lost")),
            Some(Fault::AnswerLost) => {
                work(&mut state)?;
                Err(self.broken("the answer was lost"))
            }
        }
    }

    fn broken(&self, reason: &str) -> ReachError {
        ReachError::Disconnected { peer: self.name.clone(), source: reason.into() }
    }
}

#[async_trait]
impl Session for MemoryHost {
    fn peer(&self) -> &str {
        &self.name
    }

    fn host_key(&self) -> Option<&str> {
        None
    }

    async fn run(&self, command: &Command) -> Result<Output, ReachError> {
        self.call(|state| Ok(state.run(command)))
    }

    async fn upload(&self, upload: &Upload) -> Result<Uploaded, ReachError> {
        self.call(|state| state.upload(&self.name, upload))
    }

    async fn interact(&self, interaction: &Interaction) -> Result<i32, ReachError> {
        let line = interaction.command.clone().unwrap_or_else(|| CommandLine::Shell("sh -l".to_owned()));
        let command = match line {
            CommandLine::Argv(arguments) => Command::argv(arguments),
            CommandLine::Shell(script) => Command::shell(script),
        };
        let output = self.run(&command).await?;
        let mut screen = StandardOutputs::open();
        screen.write(&Event::Stdout(output.stdout)).await;
        screen.write(&Event::Stderr(output.stderr)).await;
        Ok(output.status)
    }

    async fn send(&self, local: &Path, remote: &str, _copy: CopyOptions) -> Result<(), ReachError> {
        let bytes = std::fs::read(local).map_err(|source| local_file("read", local, source))?;
        self.call(|state| {
            state.files.insert(remote.to_owned(), MemoryFile { mode: 0o644, bytes: bytes.into() });
            Ok(())
        })
    }

    async fn fetch(&self, remote: &str, local: &Path, _copy: CopyOptions) -> Result<(), ReachError> {
        let file = self.call(|state| {
            state.files.get(remote).cloned().ok_or_else(|| ReachError::Failed {
                peer: self.name.clone(),
                command: format!("read {remote}"),
                status: 1,
                stderr: format!("there is no {remote}"),
            })
        })?;
        let name = remote.rsplit('/').next().unwrap_or(remote);
        let target = if local.is_dir() { local.join(name) } else { local.to_owned() };
        std::fs::write(&target, &file.bytes).map_err(|source| local_file("write", &target, source))
    }

    async fn forward(&self, _target: &ForwardTarget) -> Result<Box<dyn Duplex>, ReachError> {
        Err(ReachError::Unsupported { peer: self.name.clone(), action: "forward: it exists in memory only" })
    }

    fn is_open(&self) -> bool {
        true
    }

    async fn close(&self) {}
}

impl State {
    fn run(&mut self, command: &Command) -> Output {
        self.commands.push(command.clone());
        let line = command.line.to_shell();
        if let Some((_, output)) = self.answers.iter().rev().find(|(prefix, _)| line.starts_with(prefix)) {
            return output.clone();
        }
        if let CommandLine::Argv(arguments) = &command.line
            && let Some(output) = self.agent(arguments, &command.stdin)
        {
            return output;
        }
        output(0, "", "")
    }

    fn upload(&mut self, name: &str, upload: &Upload) -> Result<Uploaded, ReachError> {
        let has_it = self.files.get(&upload.path).is_some_and(|file| sha256_hex(&file.bytes) == upload.sha256);
        if has_it {
            return Ok(Uploaded::AlreadyThere);
        }
        let (bytes, uploaded) = match &upload.content {
            Content::Raw(bytes) => (bytes.clone(), Uploaded::SentRaw),
            Content::Gzip(bytes) => (crate::remote::unpack(bytes)?, Uploaded::SentCompressed),
        };
        let found = sha256_hex(&bytes);
        if found != upload.sha256 {
            return Err(ReachError::Corrupted {
                peer: name.to_owned(),
                path: upload.path.clone(),
                expected: upload.sha256.clone(),
                found,
            });
        }
        self.files.insert(upload.path.clone(), MemoryFile { mode: upload.mode, bytes });
        Ok(uploaded)
    }
}

fn output(status: i32, stdout: &str, stderr: &str) -> Output {
    Output {
        status,
        stdout: Bytes::copy_from_slice(stdout.as_bytes()),
        stderr: Bytes::copy_from_slice(stderr.as_bytes()),
        is_truncated: false,
    }
}

fn local_file(action: &'static str, path: &Path, source: std::io::Error) -> ReachError {
    ReachError::LocalFile { action, path: path.to_owned(), source }
}

/// A panic while the lock was held is a failed test already; what it left is still a host.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
