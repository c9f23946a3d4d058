//! A session over whatever can start a process on the host.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{OnceCell, oneshot};
use tokio::time;

use crate::process::{self, Event, Pieces, Process, Source};
use crate::{
    Command, CommandLine, Content, CopyOptions, Duplex, ForwardTarget, Interaction, Output, ReachError, Session,
    Upload, Uploaded, copy, quote,
};

/// What stands before an answer of our own scripts: login scripts may print too, and theirs must not be taken for it.
pub(crate) const SENTINEL: &str = "swarmup:";
/// How long a host may take to say whether its user is root, or may become it.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);
/// What an upload may take whatever its size.
const UPLOAD_TIMEOUT: Duration = Duration::from_mins(1);
/// The slowest line that an upload must get through, in bytes a second.
const SLOWEST_LINE: u64 = 64 * 1024;

/// Starts processes on a host.
#[async_trait]
pub(crate) trait Carrier: std::fmt::Debug + Send + Sync + 'static {
    fn peer(&self) -> &str;
    fn host_key(&self) -> Option<&str>;
    /// Whether what it starts runs as root without more.
    fn is_root(&self) -> bool;
    /// Starts a script of `sh`.
    async fn start(&self, script: &str) -> Result<Process, ReachError>;
    /// Runs a line, or a login shell, with this process's own standard streams.
    async fn interact(&self, script: Option<&str>, has_terminal: bool) -> Result<i32, ReachError>;
    async fn forward(&self, target: &ForwardTarget) -> Result<Box<dyn Duplex>, ReachError>;
    fn is_open(&self) -> bool;
    async fn close(&self);
}

/// A session over a carrier.
#[derive(Debug)]
pub(crate) struct Remote<C> {
    carrier: C,
    /// How to become root; asked once, when it is first needed.
    privilege: OnceCell<Privilege>,
}

/// How what must run as root becomes root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Privilege {
    Root,
    Sudo,
}

impl<C: Carrier> Remote<C> {
    pub(crate) fn new(carrier: C) -> Self {
        Self { carrier, privilege: OnceCell::new() }
    }

    /// Starts a script, as root where asked.
    pub(crate) async fn start(&self, script: &str, is_as_root: bool) -> Result<Process, ReachError> {
        self.carrier.start(&self.as_privileged(script, is_as_root).await?).await
    }

    async fn as_privileged(&self, script: &str, is_as_root: bool) -> Result<String, ReachError> {
        if !is_as_root {
            return Ok(script.to_owned());
        }
        match self.privilege.get_or_try_init(|| self.probe()).await? {
            Privilege::Root => Ok(script.to_owned()),
            // sudo keeps nothing of the environment, and what runs as root may ask where the connection comes from.
            Privilege::Sudo => {
                Ok(format!("exec sudo -n -- env SSH_CONNECTION=\"$SSH_CONNECTION\" sh -c {}", quote(script)))
            }
        }
    }

    async fn probe(&self) -> Result<Privilege, ReachError> {
        if self.carrier.is_root() {
            return Ok(Privilege::Root);
        }
        let script = "if [ \"$(id -u)\" = 0 ]; then echo swarmup:root; \
                      elif ! command -v sudo >/dev/null 2>&1; then echo swarmup:none; \
                      elif LC_ALL=C sudo -n true; then echo swarmup:sudo; fi";
        let output = self.run(&Command::shell(script).timeout(PROBE_TIMEOUT)).await?;
        let peer = self.carrier.peer().to_owned();
        match answers(&String::from_utf8_lossy(&output.stdout)).last().map(String::as_str) {
            Some("root") => Ok(Privilege::Root),
            Some("sudo") => Ok(Privilege::Sudo),
            Some("none") => Err(ReachError::NotRoot { peer, reason: "there is no sudo on the host".to_owned() }),
            _ if output.error_text().contains("password") => Err(ReachError::SudoWantsPassword { peer }),
            _ => Err(ReachError::NotRoot { peer, reason: output.error_text() }),
        }
    }

    async fn bounded<T>(
        &self,
        timeout: Duration,
        what: impl FnOnce() -> String,
        work: impl Future<Output = Result<T, ReachError>>,
    ) -> Result<T, ReachError> {
        match time::timeout(timeout, work).await {
            Ok(done) => done,
            Err(_) => {
                Err(ReachError::CommandTimedOut { peer: self.carrier.peer().to_owned(), command: what(), timeout })
            }
        }
    }

    async fn put(&self, upload: &Upload) -> Result<Uploaded, ReachError> {
        let process = self.start(&upload_script(upload), true).await?;
        let (ask, asked) = oneshot::channel();
        let mut source = Answering { content: upload.content.clone(), asked: Some(asked), pieces: None };
        let mut ask = Some(ask);
        let mut stdout = String::new();
        let mut stderr = String::new();
        let status = process::drive(process, &mut source, |event| match event {
            Event::Stdout(bytes) => {
                stdout.push_str(&String::from_utf8_lossy(&bytes));
                let Some(wanted) = answers(&stdout).iter().find_map(|answer| Encoding::named(answer)) else { return };
                if let Some(ask) = ask.take() {
                    // The feeding side is gone only where the process is.
                    let _ = ask.send(wanted);
                }
            }
            Event::Stderr(bytes) => stderr.push_str(&String::from_utf8_lossy(&bytes)),
            Event::Ended(_) => {}
        })
        .await?;
        self.conclude(upload, status, &stdout, &stderr)
    }

    fn conclude(&self, upload: &Upload, status: i32, stdout: &str, stderr: &str) -> Result<Uploaded, ReachError> {
        let peer = self.carrier.peer().to_owned();
        let answers = answers(stdout);
        let has = |answer: &str| answers.iter().any(|given| given == answer);
        if has("same") {
            return Ok(Uploaded::AlreadyThere);
        }
        if has("done") {
            return Ok(if has("gzip") { Uploaded::SentCompressed } else { Uploaded::SentRaw });
        }
        if let Some(found) = answers.iter().find_map(|answer| answer.strip_prefix("differs ")) {
            return Err(ReachError::Corrupted {
                peer,
                path: upload.path.clone(),
                expected: upload.sha256.clone(),
                found: found.to_owned(),
            });
        }
        let stderr = stderr.trim().lines().last().unwrap_or("it gave no reason").to_owned();
        Err(ReachError::Failed { peer, command: format!("write {}", upload.path), status, stderr })
    }
}

#[async_trait]
impl<C: Carrier> Session for Remote<C> {
    fn peer(&self) -> &str {
        self.carrier.peer()
    }

    fn host_key(&self) -> Option<&str> {
        self.carrier.host_key()
    }

    async fn run(&self, command: &Command) -> Result<Output, ReachError> {
        let work = async {
            let script = bounded_there(&command.line.to_shell(), command.timeout);
            let process = Box::pin(self.start(&script, command.is_as_root)).await?;
            process::collect(process, command.stdin.clone(), command.output_limit).await
        };
        self.bounded(command.timeout, || command.line.summary(), work).await
    }

    async fn upload(&self, upload: &Upload) -> Result<Uploaded, ReachError> {
        let size = match &upload.content {
            Content::Raw(bytes) | Content::Gzip(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        };
        let timeout = UPLOAD_TIMEOUT + Duration::from_secs(size / SLOWEST_LINE);
        self.bounded(timeout, || format!("write {}", upload.path), self.put(upload)).await
    }

    async fn interact(&self, interaction: &Interaction) -> Result<i32, ReachError> {
        let line = match (&interaction.command, interaction.is_as_root) {
            (None, false) => None,
            (None, true) => Some(self.as_privileged("exec \"${SHELL:-/bin/sh}\" -l", true).await?),
            (Some(line), is_as_root) => Some(self.as_privileged(&CommandLine::to_shell(line), is_as_root).await?),
        };
        self.carrier.interact(line.as_deref(), interaction.has_terminal).await
    }

    async fn send(&self, local: &Path, remote: &str, options: CopyOptions) -> Result<(), ReachError> {
        copy::send(self, local, remote, options).await
    }

    async fn fetch(&self, remote: &str, local: &Path, options: CopyOptions) -> Result<(), ReachError> {
        copy::fetch(self, remote, local, options).await
    }

    async fn forward(&self, target: &ForwardTarget) -> Result<Box<dyn Duplex>, ReachError> {
        self.carrier.forward(target).await
    }

    fn is_open(&self) -> bool {
        self.carrier.is_open()
    }

    async fn close(&self) {
        self.carrier.close().await;
    }
}

/// Bounds a script on the host too: closing a channel ends nothing that neither reads nor writes. A little longer than
/// here, so that it is here where the time-out is told.
fn bounded_there(script: &str, timeout: Duration) -> String {
    let (script, seconds) = (quote(script), timeout.as_secs() + 2);
    format!(
        "if command -v timeout >/dev/null 2>&1; then exec timeout -k 5 {seconds} sh -c {script}; \
         else exec sh -c {script}; fi"
    )
}

/// What the host wants an upload to be sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Raw,
}

impl Encoding {
    fn named(answer: &str) -> Option<Self> {
        match answer {
            "gzip" => Some(Self::Gzip),
            "raw" => Some(Self::Raw),
            _ => None,
        }
    }
}

/// The content of an upload, once the host has said how it wants it.
struct Answering {
    content: Content,
    asked: Option<oneshot::Receiver<Encoding>>,
    pieces: Option<Pieces>,
}

#[async_trait]
impl Source for Answering {
    async fn next(&mut self) -> Result<Option<Bytes>, ReachError> {
        if let Some(asked) = self.asked.take() {
            // Dropped unasked where the process ended first: then there is nothing to send.
            let Ok(wanted) = asked.await else { return Ok(None) };
            self.pieces = Some(Pieces(match (&self.content, wanted) {
                (Content::Gzip(bytes), Encoding::Raw) => unpack(bytes)?,
                (Content::Raw(bytes), _) | (Content::Gzip(bytes), Encoding::Gzip) => bytes.clone(),
            }));
        }
        match &mut self.pieces {
            Some(pieces) => pieces.next().await,
            None => Ok(None),
        }
    }
}

pub(crate) fn unpack(gzip: &[u8]) -> Result<Bytes, ReachError> {
    use std::io::Read as _;

    let mut raw = Vec::new();
    flate2::read::GzDecoder::new(gzip).read_to_end(&mut raw).map_err(|source| ReachError::LocalFile {
        action: "unpack",
        path: "the agent's bundle".into(),
        source,
    })?;
    Ok(raw.into())
}

/// The answers of our own among what was written, complete lines only.
pub(crate) fn answers(text: &str) -> Vec<String> {
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.lines().filter_map(|line| line.strip_prefix(SENTINEL)).map(|answer| answer.trim().to_owned()).collect()
}

/// The host's half of an upload: says `same`, or asks for `gzip` or `raw`, then says `done` or `differs`.
/// The file appears under its name complete and verified, or not at all.
/// What arrives is stored before it is unpacked: an sshd whose command reads slowly spends more on its own buffers than
/// the unpacking costs. OpenSSL takes the digest in a quarter of the time that coreutils need, and is on most hosts.
fn upload_script(upload: &Upload) -> String {
    let path = quote(&upload.path);
    let digest = &upload.sha256;
    let mode = format!("{:04o}", upload.mode & 0o7777);
    let receive = match upload.content {
        Content::Gzip(_) => {
            "if command -v gzip >/dev/null 2>&1; then echo swarmup:gzip; cat >\"$draft.gz\"; \
             gzip -dc <\"$draft.gz\" >\"$draft\"; rm \"$draft.gz\"; \
             else echo swarmup:raw; cat >\"$draft\"; fi"
        }
        Content::Raw(_) => "echo swarmup:raw; cat >\"$draft\"",
    };
    format!(
        "set -eu; umask 077; path={path}; folder=${{path%/*}}; \
         digest() {{ openssl dgst -sha256 -r <\"$1\" 2>/dev/null || sha256sum <\"$1\"; }}; \
         if [ -f \"$path\" ] && found=$(digest \"$path\") && [ \"${{found%% *}}\" = {digest} ]; then \
         chmod {mode} \"$path\"; echo swarmup:same; exit 0; fi; \
         [ -d \"$folder\" ] || mkdir -p -m 755 \"$folder\"; draft=$(mktemp \"$folder/.swarmup.XXXXXX\"); \
         trap 'rm -f \"$draft\" \"$draft.gz\"' EXIT; trap 'exit 1' HUP INT TERM; \
         {receive}; \
         found=$(digest \"$draft\"); found=${{found%% *}}; \
         if [ \"$found\" != {digest} ]; then echo \"swarmup:differs $found\"; exit 1; fi; \
         chmod {mode} \"$draft\"; mv -f \"$draft\" \"$path\"; echo swarmup:done"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_what_login_scripts_print() {
        let text = "Welcome to host!\nswarmup:gzip\nnews: swarmup:raw\nswarmup:done\n";

        assert_eq!(answers(text), ["gzip", "done"]);
    }

    #[test]
    fn an_answer_that_is_still_arriving_is_not_taken() {
        assert_eq!(answers("hello\nswarmup:differs abc"), Vec::<String>::new());
    }
}
