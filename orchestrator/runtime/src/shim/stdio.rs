//! The streams of a program, as its shim holds them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::tcsetwinsize;

use crate::bundle::TtySize;

/// How much is read of a stream at once, in bytes.
pub(super) const CHUNK: usize = 32 << 10;
/// How much input may wait for the program before its sender has to, in bytes.
const INPUT_LIMIT: usize = 1 << 20;

/// The ends that the program gets.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Our ends of a program's streams.
#[derive(Debug)]
pub(super) struct Stdio {
    stdin: Option<OwnedFd>,
    input: VecDeque<u8>,
    /// The input ends once what waits has been taken.
    input_ends: bool,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    console: Option<OwnedFd>,
}

impl Stdio {
    /// Streams by pipes, with the ends for the program. Where input is not open, it is empty.
    pub(super) fn pipes(stdin_open: bool) -> io::Result<(Self, Ends)> {
        let (program_in, stdin) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stdout, program_out) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, program_err) = pipe_with(PipeFlags::CLOEXEC)?;
        for end in [&stdin, &stdout, &stderr] {
            set_nonblocking(end)?;
        }
        let stdin = stdin_open.then_some(stdin);
        let ours = Self {
            stdin,
            input: VecDeque::new(),
            input_ends: false,
            stdout: Some(stdout),
            stderr: Some(stderr),
            console: None,
        };
        Ok((ours, Ends { stdin: program_in, stdout: program_out, stderr: program_err }))
    }

    /// Streams by a terminal, of which this is the controlling side.
    pub(super) fn console(console: OwnedFd) -> io::Result<Self> {
        set_nonblocking(&console)?;
        Ok(Self {
            stdin: None,
            input: VecDeque::new(),
            input_ends: false,
            stdout: Some(console.try_clone()?),
            stderr: None,
            console: Some(console),
        })
    }

    /// No streams.
    pub(super) fn none() -> Self {
        Self { stdin: None, input: VecDeque::new(), input_ends: true, stdout: None, stderr: None, console: None }
    }

    /// Lets go of every stream.
    pub(super) fn close(&mut self) {
        *self = Self::none();
    }

    pub(super) fn resize(&self, size: TtySize) -> io::Result<()> {
        let Some(console) = &self.console else { return Err(io::Error::other("it has no terminal")) };
        Ok(tcsetwinsize(console, size.window())?)
    }

    /// Whether a program can still be sent input.
    pub(super) fn takes_input(&self) -> bool {
        (self.stdin.is_some() || self.console.is_some()) && !self.input_ends
    }

    /// Whether senders of input have to wait.
    pub(super) fn is_full(&self) -> bool {
        self.input.len() >= INPUT_LIMIT
    }

    pub(super) fn push_input(&mut self, bytes: &[u8]) {
        if self.takes_input() {
            self.input.extend(bytes);
            self.send_input();
        }
    }

    /// The program sees the end of its input once it has taken what waits. A terminal's input has no end.
    pub(super) fn end_input(&mut self) {
        if self.console.is_none() {
            self.input_ends = true;
            self.send_input();
        }
    }

    /// Where input that waits can be sent.
    pub(super) fn input_side(&self) -> Option<BorrowedFd<'_>> {
        let side = self.stdin.as_ref().or(self.console.as_ref())?;
        (!self.input.is_empty()).then_some(side.as_fd())
    }

    /// Hands the program what it takes at once.
    pub(super) fn send_input(&mut self) {
        while !self.input.is_empty() {
            let Some(side) = self.stdin.as_ref().or(self.console.as_ref()) else { break };
            let (part, _) = self.input.as_slices();
            match rustix::io::write(side, part) {
                Ok(count) => {
                    self.input.drain(..count);
                }
                Err(Errno::AGAIN | Errno::INTR) => return,
                // Nobody reads it any more.
                Err(_) => {
                    self.input.clear();
                    self.stdin = None;
                }
            }
        }
        if self.input_ends || self.stdin.is_none() {
            self.input.clear();
            self.stdin = None;
        }
    }
}

fn set_nonblocking(end: &OwnedFd) -> io::Result<()> {
    let flags = fcntl_getfl(end)?;
    Ok(fcntl_setfl(end, flags | OFlags::NONBLOCK)?)
}
