//! Carries bytes between a program's streams and a client that has taken its connection over.
//!
//! ```text
//! program ── output ──> frames, or raw from a terminal ──> client       ends with the program, or with the client
//! program <── input ── keys that detach, on a terminal <── client
//! ```
//! A slow client makes the program wait, as a pipe does; [`WireOutput`] bounds for how long.

use engine::{ExecInput, ExecStream};
use runtime::{Attachment, AttachmentInput, AttachmentOutput, Output, Stream, Streams};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;

use crate::detach_keys::{DetachKeys, Pressed};
use crate::frames::{FrameStream, frame};
use crate::hijack::{Wire, WireOutput};

/// How much input is read at once, in bytes.
const INPUT_PIECE: usize = 32 << 10;

/// Both sides of a program.
#[derive(Debug)]
pub(crate) enum ProgramStreams {
    /// The first program of a container.
    First(Attachment),
    /// One that was added.
    Added(ExecStream),
}

#[derive(Debug)]
enum ProgramOutput {
    First(AttachmentOutput),
    Added(mpsc::Receiver<Output>),
}

#[derive(Debug)]
enum ProgramInput {
    First(AttachmentInput),
    Added(mpsc::Sender<ExecInput>),
}

/// What it means that the client sends no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndOfInput {
    /// The program's input ends; its output goes on.
    EndsInput,
    /// The client leaves.
    Detaches,
}

/// How a client and a program are connected.
#[derive(Debug)]
pub(crate) struct Relay {
    /// The program.
    pub(crate) program: ProgramStreams,
    /// What goes through. A program's input that is not connected is left alone.
    pub(crate) streams: Streams,
    /// Whether pieces have heads; else they are sent as they are.
    pub(crate) is_framed: bool,
    /// The keys that detach, where there is a terminal.
    pub(crate) detach_keys: Option<DetachKeys>,
    /// What the end of the client's input means.
    pub(crate) end_of_input: EndOfInput,
}

/// Why a relay has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The program has ended, or the client's input has where that ends all.
    Ended,
    /// The client has left by its keys.
    Detached,
    /// The client takes no more.
    Gone,
}

impl Relay {
    /// Carries until either side has left. Dropping it detaches. The client has yet to be told of the end.
    pub(crate) async fn run(self, wire: &mut Wire) -> Left {
        let Self { program, streams, is_framed, detach_keys, end_of_input } = self;
        let (output, input) = program.split();
        let Wire { input: from_client, output: to_client } = wire;
        let forward = async {
            if streams.stdin {
                forward(from_client, input, detach_keys, end_of_input).await
            } else {
                // The streams live as long as both of their sides.
                let _input = input;
                std::future::pending().await
            }
        };
        tokio::select! {
            left = show(output, to_client, streams, is_framed) => left,
            left = forward => left,
        }
    }
}

impl ProgramStreams {
    fn split(self) -> (ProgramOutput, ProgramInput) {
        match self {
            Self::First(attachment) => {
                let (output, input) = attachment.split();
                (ProgramOutput::First(output), ProgramInput::First(input))
            }
            Self::Added(ExecStream { output, input }) => (ProgramOutput::Added(output), ProgramInput::Added(input)),
        }
    }
}

impl ProgramOutput {
    /// What comes next; `None` where nothing does any more, or the words of what went wrong.
    async fn next(&mut self) -> Result<Option<Output>, String> {
        match self {
            Self::First(output) => output.next().await.map_err(|error| model::with_causes(&error)),
            Self::Added(output) => Ok(output.recv().await),
        }
    }
}

impl ProgramInput {
    /// Whether the program still takes input.
    async fn send(&mut self, bytes: Vec<u8>) -> bool {
        match self {
            Self::First(input) => input.send(&bytes).await.is_ok(),
            Self::Added(input) => input.send(ExecInput::Bytes(bytes)).await.is_ok(),
        }
    }

    async fn end(&mut self) {
        // A program that has ended needs no end of its input.
        match self {
            Self::First(input) => drop(input.end().await),
            Self::Added(input) => drop(input.send(ExecInput::End).await),
        }
    }
}

/// Shows the client what the program writes, until one of them has gone.
async fn show(mut program: ProgramOutput, client: &mut WireOutput, streams: Streams, is_framed: bool) -> Left {
    loop {
        let sent = match program.next().await {
            Ok(Some(Output::Bytes(stream, bytes))) if is_wanted(streams, stream) => {
                send(client, stream, &bytes, is_framed).await
            }
            Ok(Some(Output::Bytes(..))) => Ok(()),
            Ok(Some(Output::Exited(_)) | None) => return Left::Ended,
            Err(words) if is_framed => {
                // The client is told, if it is still there.
                let _ = client.send(&frame(FrameStream::SystemError, words.as_bytes())).await;
                return Left::Ended;
            }
            Err(words) => {
                tracing::warn!(error = words, "a program's streams are lost");
                return Left::Ended;
            }
        };
        if sent.is_err() {
            return Left::Gone;
        }
    }
}

fn is_wanted(streams: Streams, stream: Stream) -> bool {
    match stream {
        Stream::Stdout => streams.stdout,
        Stream::Stderr => streams.stderr,
    }
}

/// Sends a piece of output, with a head where pieces have one.
pub(crate) async fn send(
    client: &mut WireOutput,
    stream: Stream,
    bytes: &[u8],
    is_framed: bool,
) -> Result<(), crate::hijack::ClientGone> {
    if !is_framed {
        return client.send(bytes).await;
    }
    let stream = match stream {
        Stream::Stdout => FrameStream::Stdout,
        Stream::Stderr => FrameStream::Stderr,
    };
    client.send(&frame(stream, bytes)).await
}

/// Hands the program what the client sends. Returns where the client leaves.
async fn forward(
    client: &mut (impl AsyncRead + Unpin),
    mut program: ProgramInput,
    mut detach_keys: Option<DetachKeys>,
    end_of_input: EndOfInput,
) -> Left {
    let mut piece = vec![0; INPUT_PIECE];
    loop {
        // An old client ends a connection with TLS by ending what is below it, which is an error here.
        let count = client.read(&mut piece).await.unwrap_or(0);
        if count == 0 && end_of_input == EndOfInput::Detaches {
            return Left::Ended;
        }
        if count == 0 {
            program.end().await;
            break;
        }
        let pressed = match &mut detach_keys {
            Some(keys) => keys.press(&piece[..count]),
            None => Pressed::Input(piece[..count].to_vec()),
        };
        let (bytes, detaches) = match pressed {
            Pressed::Input(bytes) => (bytes, false),
            Pressed::Detach(bytes) => (bytes, true),
        };
        let takes = bytes.is_empty() || program.send(bytes).await;
        if detaches {
            return Left::Detached;
        }
        if !takes {
            break;
        }
    }
    // Output goes on.
    std::future::pending().await
}
