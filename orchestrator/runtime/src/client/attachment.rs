//! A connection to the streams of a program.

use std::path::PathBuf;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::wire::{self, Frame};
use crate::RuntimeError;
use crate::bundle::TtySize;
use crate::error::Doing;
use crate::log::Stream;
use crate::protocol::{Kind, Reply, Request};
use crate::state::{self, Exit};

/// How much input one frame carries, in bytes.
const INPUT_PIECE: usize = 64 << 10;

/// A connection to a shim that has answered, and what came behind the answer.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: UnixStream,
    pub(super) received: Vec<u8>,
}

/// What comes from a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A piece of what it wrote.
    Bytes(Stream, Vec<u8>),
    /// It has ended; nothing follows.
    Exited(Exit),
}

/// A connection to the streams of a program. Dropping it detaches.
#[derive(Debug)]
pub struct Attachment {
    output: AttachmentOutput,
    input: AttachmentInput,
}

/// The side of an attachment that receives.
#[derive(Debug)]
pub struct AttachmentOutput {
    container: String,
    stream: OwnedReadHalf,
    /// The beginning of a frame whose rest has not come.
    received: Vec<u8>,
}

/// The side of an attachment that sends.
#[derive(Debug)]
pub struct AttachmentInput {
    container: String,
    stream: OwnedWriteHalf,
}

impl Attachment {
    pub(super) fn new(container: &str, connection: Connection) -> Self {
        let Connection { stream, received } = connection;
        let (output, input) = stream.into_split();
        let container = container.to_owned();
        Self {
            output: AttachmentOutput { container: container.clone(), stream: output, received },
            input: AttachmentInput { container, stream: input },
        }
    }

    /// What comes next: see [`AttachmentOutput::next`].
    pub async fn next(&mut self) -> Result<Option<Output>, RuntimeError> {
        self.output.next().await
    }

    /// The side that sends.
    pub fn input(&mut self) -> &mut AttachmentInput {
        &mut self.input
    }

    /// Both sides, for two tasks.
    pub fn split(self) -> (AttachmentOutput, AttachmentInput) {
        (self.output, self.input)
    }
}

impl AttachmentOutput {
    /// What comes next; `None` where the shim is lost, or an earlier call told of the end. May be cancelled without losing
    /// a piece.
    pub async fn next(&mut self) -> Result<Option<Output>, RuntimeError> {
        let action = || format!("receive output of container `{}`", self.container);
        match wire::receive(&mut self.stream, &mut self.received).await.doing(action)? {
            Some(Frame::Output(stream, bytes)) => Ok(Some(Output::Bytes(stream, bytes))),
            Some(Frame::Message(bytes)) => match serde_json::from_slice(&bytes) {
                Ok(Reply::Exited(exit)) => Ok(Some(Output::Exited(exit))),
                Ok(_) | Err(_) => Err(RuntimeError::Malformed {
                    what: format!("a message of the shim of container `{}`", self.container),
                    reason: String::from_utf8_lossy(&bytes).into_owned(),
                }),
            },
            None => Ok(None),
        }
    }
}

impl AttachmentInput {
    /// Sends input; waits while the program takes none.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), RuntimeError> {
        for piece in bytes.chunks(INPUT_PIECE) {
            self.frame(Kind::Stdin, piece).await?;
        }
        Ok(())
    }

    /// Ends the input; output goes on.
    pub async fn end(&mut self) -> Result<(), RuntimeError> {
        self.frame(Kind::StdinEnd, &[]).await
    }

    /// Gives the program's terminal another size.
    pub async fn resize(&mut self, size: TtySize) -> Result<(), RuntimeError> {
        let content = serde_json::to_vec(&Request::Resize(size)).expect("it is a plain value");
        self.frame(Kind::Message, &content).await
    }

    async fn frame(&mut self, kind: Kind, content: &[u8]) -> Result<(), RuntimeError> {
        match wire::send(&mut self.stream, kind, content).await {
            Err(error) if wire::is_gone(&error) => Err(RuntimeError::ShimGone { id: self.container.clone() }),
            outcome => outcome.doing(|| format!("send input to container `{}`", self.container)),
        }
    }
}

/// A program that runs in a container beside its first, and the connection to its streams.
#[derive(Debug)]
pub struct ExecSession {
    pid: u32,
    file: PathBuf,
    attachment: Attachment,
}

impl ExecSession {
    pub(super) fn new(pid: u32, file: PathBuf, attachment: Attachment) -> Self {
        Self { pid, file, attachment }
    }

    /// The number of its process, as this host counts.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its streams. Dropping them lets the program run on.
    pub fn attachment(&mut self) -> &mut Attachment {
        &mut self.attachment
    }

    /// Its streams, for whoever keeps them.
    pub fn into_attachment(self) -> Attachment {
        self.attachment
    }

    /// Waits until it has ended, and returns how; output that comes meanwhile is thrown away.
    pub async fn wait(mut self) -> Result<Exit, RuntimeError> {
        loop {
            match self.attachment.next().await? {
                Some(Output::Bytes(..)) => {}
                Some(Output::Exited(exit)) => return Ok(exit),
                None => return state::read(&self.file),
            }
        }
    }
}
