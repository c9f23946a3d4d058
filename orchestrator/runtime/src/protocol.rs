//! What agent and shim say to each other, over the socket in a container's state folder.
//!
//! ```text
//! frame      kind (1 byte) · length (4 bytes, big endian) · that many bytes
//! kinds      0 a message in JSON   1 standard output   2 standard error   3 standard input   4 its end
//! agent      one request, then, where it is attached: input, its end, new sizes of the terminal
//! shim       one answer, then, where the agent is attached: output, and at last how the program ended
//! ```
//! A connection carries one request, and the agent sends nothing more until it has the answer. An agent that closes it, or dies, is detached; nothing else follows from that.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bundle::{Program, TtySize};
use crate::error::StartFailure;
use crate::state::Exit;

/// The most bytes that a frame carries: a request with its environment must fit.
pub(crate) const FRAME_LIMIT: usize = 1 << 20;
/// The bytes before a frame's content.
pub(crate) const HEADER: usize = 5;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Stdout,
    Stderr,
    Stdin,
    StdinEnd,
}

impl Kind {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Message => 0,
            Self::Stdout => 1,
            Self::Stderr => 2,
            Self::Stdin => 3,
            Self::StdinEnd => 4,
        }
    }

    pub(crate) fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Message,
            1 => Self::Stdout,
            2 => Self::Stderr,
            3 => Self::Stdin,
            4 => Self::StdinEnd,
            _ => return None,
        })
    }
}

/// What the agent asks for, first on a connection, or, for `Resize`, later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Let the program begin; answered once it has.
    Start,
    /// Send a signal to the first program.
    Signal(i32),
    /// Tell when it has ended.
    Wait,
    /// Give the terminal another size.
    Resize(TtySize),
    /// Connect to its streams.
    Attach(Attach),
    /// Run another program.
    Exec(Box<Exec>),
}

/// What to connect, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attach {
    #[serde(flatten)]
    pub(crate) streams: Streams,
    /// Answer with [`Reply::Attached`], so that the log and the streams together are all that was written. A shim of
    /// version 1 does not know of it and answers [`Reply::Done`].
    #[serde(default)]
    pub(crate) behind_log: bool,
}

/// Which streams to connect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Send input.
    pub stdin: bool,
    /// Receive output.
    pub stdout: bool,
    /// Receive what goes to standard error; a terminal has none.
    pub stderr: bool,
}

impl Streams {
    /// All three.
    pub const ALL: Self = Self { stdin: true, stdout: true, stderr: true };
    /// None.
    pub const NONE: Self = Self { stdin: false, stdout: false, stderr: false };
}

/// A program to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exec {
    /// Names the file that tells how it ended.
    pub(crate) name: String,
    pub(crate) program: Program,
    /// Whether it holds every capability and has no filter.
    #[serde(default)]
    pub(crate) privileged: bool,
    /// What to connect; input that is not connected is empty.
    pub(crate) streams: Streams,
}

/// What the shim answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The container is prepared: the first line of a shim's life.
    Created,
    /// Done.
    Done,
    /// Connected behind the log's last record, which was written then; there is none if absent. What no record holds yet
    /// of the lines that have begun follows as output.
    Attached { logged: Option<Timestamp> },
    /// The program runs, under this number.
    Started(u32),
    /// The program has ended.
    Exited(Exit),
    /// It could not begin.
    NotStarted { failure: StartFailure, reason: String },
    /// It cannot be done.
    Failed(String),
}

/// A frame in bytes.
pub(crate) fn frame(kind: Kind, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend(header(kind, content.len()));
    bytes.extend(content);
    bytes
}

/// What comes before a frame's content.
pub(crate) fn header(kind: Kind, length: usize) -> [u8; HEADER] {
    let [a, b, c, d] = u32::try_from(length).expect("frames are bounded").to_be_bytes();
    [kind.byte(), a, b, c, d]
}

/// What a header says; `None` for what no version says.
pub(crate) fn parse_header(header: [u8; HEADER]) -> Option<(Kind, usize)> {
    let [kind, a, b, c, d] = header;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    (length <= FRAME_LIMIT).then_some((Kind::of(kind)?, length))
}

/// A message in bytes.
pub(crate) fn message<T: Serialize>(value: &T) -> Vec<u8> {
    frame(Kind::Message, &serde_json::to_vec(value).expect("messages are plain values"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_unknown_kinds_and_lengths_are_refused() {
        assert_eq!(parse_header(header(Kind::Stdin, 7)), Some((Kind::Stdin, 7)));
        assert_eq!(parse_header([9, 0, 0, 0, 0]), None);
        assert_eq!(parse_header([1, 0xff, 0, 0, 0]), None);
    }
}
