//! One agent's connection, as the shim holds it: frames in and out, never waited for.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use serde::Serialize;

use crate::protocol::{HEADER, Kind, Streams, frame, message, parse_header};

/// How much output may wait for an agent before the program is made to wait for it, in bytes.
const WAITING_LIMIT: usize = 1 << 20;
/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Its request has not come yet.
    New,
    /// It wants to know when the program has begun.
    Starting,
    /// It wants to know how the program ends.
    Waiting,
    /// It is connected to the streams.
    Attached(Streams),
    /// It has its answer: what is left is sent, then it is closed.
    Answered,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    pub(super) role: Role,
    received: Vec<u8>,
    waiting: VecDeque<u8>,
    /// Nothing more comes from it.
    ended: bool,
    /// Nothing can be sent to it.
    broken: bool,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            role: Role::New,
            received: Vec::new(),
            waiting: VecDeque::new(),
            ended: false,
            broken: false,
        })
    }

    /// Whether it is of no more use.
    pub(super) fn is_over(&self) -> bool {
        self.broken || self.ended || (self.role == Role::Answered && self.waiting.is_empty())
    }

    /// Whether everything has been sent that can be.
    pub(super) fn is_drained(&self) -> bool {
        self.broken || self.ended || self.waiting.is_empty()
    }

    pub(super) fn wants_to_send(&self) -> bool {
        !self.broken && !self.waiting.is_empty()
    }

    /// Whether the program has to wait for it.
    pub(super) fn is_full(&self) -> bool {
        !self.broken && self.waiting.len() >= WAITING_LIMIT
    }

    /// Takes in what has come; whole frames only are returned. What is not a frame breaks the connection.
    pub(super) fn receive(&mut self) -> Vec<(Kind, Vec<u8>)> {
        let mut chunk = vec![0; CHUNK];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.ended = true,
            Ok(count) => self.received.extend(&chunk[..count]),
            Err(error) if is_later(&error) => {}
            Err(_) => self.broken = true,
        }
        let mut frames = Vec::new();
        while let Some((header, _)) = self.received.split_first_chunk::<HEADER>() {
            let Some((kind, length)) = parse_header(*header) else {
                self.broken = true;
                break;
            };
            if self.received.len() < HEADER + length {
                break;
            }
            frames.push((kind, self.received[HEADER..HEADER + length].to_vec()));
            self.received.drain(..HEADER + length);
        }
        frames
    }

    pub(super) fn push(&mut self, kind: Kind, content: &[u8]) {
        self.waiting.extend(frame(kind, content));
        self.send();
    }

    pub(super) fn reply<T: Serialize>(&mut self, value: &T) {
        self.waiting.extend(message(value));
        self.send();
    }

    /// Replies, and is done with.
    pub(super) fn answer<T: Serialize>(&mut self, value: &T) {
        self.role = Role::Answered;
        self.reply(value);
    }

    /// Sends what it takes at once.
    pub(super) fn send(&mut self) {
        while !self.broken && !self.waiting.is_empty() {
            let (part, _) = self.waiting.as_slices();
            match self.stream.write(part) {
                Ok(0) => self.broken = true,
                Ok(count) => {
                    self.waiting.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_later(&error) => return,
                Err(_) => self.broken = true,
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Whether there is nothing to do just now.
pub(super) fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
