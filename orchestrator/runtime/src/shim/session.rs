//! One program's streams and those who are connected to them: a loop that waits for whatever comes first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::connection::{Connection, Role};
use super::stdio::{CHUNK, Stdio};
use crate::log::{Clock, Lines, LogQueue, Stream};
use crate::protocol::{Attach, Kind, Reply, Request, Streams};

/// The streams of a program, and who gets what of them.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stdio: Stdio,
    pub(super) connections: Vec<Connection>,
    pub(super) log: Option<LogQueue>,
    pub(super) lines: [Lines; 2],
    /// Of the log's records.
    pub(super) clock: Clock,
    pub(super) stdin_once: bool,
}

/// What one turn of the loop brought.
#[derive(Debug)]
pub(super) struct Turn {
    /// Which of the caller's own descriptors are ready.
    pub(super) ready: Vec<bool>,
    /// New requests, by the connection's index, which holds until the next turn.
    pub(super) requests: Vec<(usize, Request)>,
}

/// What a descriptor in the list of a turn is.
#[derive(Debug, Clone, Copy)]
enum Watched {
    Own(usize),
    Output(Stream),
    Input,
    LogRoom,
    Connection(usize),
}

impl Session {
    pub(super) fn new(stdio: Stdio, log: Option<LogQueue>, stdin_once: bool) -> Self {
        let lines = [Lines::new(Stream::Stdout), Lines::new(Stream::Stderr)];
        let clock = Clock::after(log.as_ref().and_then(LogQueue::last));
        Self { stdio, connections: Vec::new(), log, lines, clock, stdin_once }
    }

    /// Connects a client to the streams from now on. Behind the log, it is told of the log's last record and sent what
    /// none holds yet: output is taken between turns only, so nothing is missed or comes twice.
    pub(super) fn attach(&mut self, index: usize, attach: Attach) {
        let connection = &mut self.connections[index];
        connection.role = Role::Attached(attach.streams);
        if !attach.behind_log {
            return connection.reply(&Reply::Done);
        }
        connection.reply(&Reply::Attached { logged: self.log.as_ref().and_then(LogQueue::last) });
        for lines in &self.lines {
            if is_wanted(attach.streams, lines.stream()) && !lines.rest().is_empty() {
                connection.push(kind_of(lines.stream()), lines.rest());
            }
        }
    }

    /// Waits until something happens, and does what concerns the streams.
    pub(super) fn turn(&mut self, own: &[BorrowedFd<'_>]) -> io::Result<Turn> {
        self.retire();
        let (watched, ready) = self.wait(own)?;
        let mut turn = Turn { ready: vec![false; own.len()], requests: Vec::new() };
        for (watched, events) in watched.into_iter().zip(ready) {
            if events.is_empty() {
                continue;
            }
            match watched {
                Watched::Own(index) => turn.ready[index] = true,
                Watched::Input => self.stdio.send_input(),
                Watched::LogRoom => self.log.as_ref().map(LogQueue::clear_room).unwrap_or_default(),
                Watched::Connection(index) => {
                    if events.contains(PollFlags::OUT) {
                        self.connections[index].send();
                    }
                    if events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                        self.listen_to(index, &mut turn.requests);
                    }
                }
                Watched::Output(stream) => {
                    self.read_output(stream);
                }
            }
        }
        Ok(turn)
    }

    /// Takes what the program has written, to the last byte that is there.
    pub(super) fn drain_outputs(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.read_output(stream) {}
        }
    }

    /// Ends the log: its last lines are written, or the time is up.
    pub(super) fn finish_log(&mut self, limit: Duration) {
        for lines in &mut self.lines {
            if let (Some(record), Some(log)) = (lines.finish(&mut self.clock), &mut self.log) {
                log.push(record);
            }
        }
        if let Some(log) = self.log.take() {
            log.finish(limit);
        }
    }

    /// Tells everyone who waits for it, or is connected, how the program ended.
    pub(super) fn tell(&mut self, reply: &Reply) {
        for connection in &mut self.connections {
            match connection.role {
                Role::Waiting | Role::Attached(_) => connection.answer(reply),
                Role::New | Role::Starting | Role::Answered => {}
            }
        }
    }

    /// Answers everyone who waits for the program to begin.
    pub(super) fn tell_start(&mut self, reply: &Reply) {
        for connection in self.connections.iter_mut().filter(|connection| connection.role == Role::Starting) {
            connection.answer(reply);
        }
    }

    /// Sends what is left to everyone, and returns once all have it or have gone.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        loop {
            self.connections.retain(|connection| !connection.is_drained());
            if self.connections.is_empty() {
                return Ok(());
            }
            let events = PollFlags::OUT | PollFlags::IN;
            let mut list: Vec<PollFd<'_>> = self
                .connections
                .iter()
                .map(|connection| PollFd::from_borrowed_fd(connection.as_fd(), events))
                .collect();
            wait(&mut list, None)?;
            let ready: Vec<PollFlags> = list.iter().map(PollFd::revents).collect();
            for (connection, ready) in self.connections.iter_mut().zip(ready) {
                connection.send();
                if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                    // What it says no longer matters; that it has gone does.
                    connection.receive();
                }
            }
        }
    }

    /// Lets go of connections that are of no more use.
    fn retire(&mut self) {
        let mut loses_input = false;
        self.connections.retain(|connection| {
            let is_over = connection.is_over();
            loses_input |= is_over && matches!(connection.role, Role::Attached(streams) if streams.stdin);
            !is_over
        });
        if loses_input && self.stdin_once {
            self.stdio.end_input();
        }
    }

    fn wait(&mut self, own: &[BorrowedFd<'_>]) -> io::Result<(Vec<Watched>, Vec<PollFlags>)> {
        let waits_for_log = self.log.as_mut().and_then(LogQueue::waits_until);
        let mut watched = Vec::new();
        let mut list = Vec::new();
        let mut watch = |what: Watched, descriptor, events| {
            watched.push(what);
            list.push(PollFd::from_borrowed_fd(descriptor, events));
        };
        for (index, descriptor) in own.iter().enumerate() {
            watch(Watched::Own(index), *descriptor, PollFlags::IN);
        }
        let is_held_up = self.connections.iter().any(Connection::is_full) || waits_for_log.is_some();
        let outputs = [(Stream::Stdout, &self.stdio.stdout), (Stream::Stderr, &self.stdio.stderr)];
        for (stream, output) in outputs {
            if let Some(output) = output.as_ref().filter(|_| !is_held_up) {
                watch(Watched::Output(stream), output.as_fd(), PollFlags::IN);
            }
        }
        if let Some(input) = self.stdio.input_side() {
            watch(Watched::Input, input, PollFlags::OUT);
        }
        if let Some(log) = self.log.as_ref().filter(|_| waits_for_log.is_some()) {
            watch(Watched::LogRoom, log.room(), PollFlags::IN);
        }
        for (index, connection) in self.connections.iter().enumerate() {
            let mut events = PollFlags::empty();
            let sends_input = matches!(connection.role, Role::Attached(streams) if streams.stdin);
            if !(sends_input && self.stdio.is_full()) {
                events |= PollFlags::IN;
            }
            if connection.wants_to_send() {
                events |= PollFlags::OUT;
            }
            watch(Watched::Connection(index), connection.as_fd(), events);
        }
        let limit = waits_for_log.map(|until| until.saturating_duration_since(Instant::now()));
        wait(&mut list, limit)?;
        let ready = list.iter().map(PollFd::revents).collect();
        Ok((watched, ready))
    }

    /// Takes what a connection sent: its request, or, where it is connected to the streams, input.
    fn listen_to(&mut self, index: usize, requests: &mut Vec<(usize, Request)>) {
        for (kind, content) in self.connections[index].receive() {
            let connection = &mut self.connections[index];
            match (connection.role, kind) {
                (Role::New, Kind::Message) => match serde_json::from_slice(&content) {
                    Ok(request) => requests.push((index, request)),
                    Err(error) => connection.answer(&Reply::Failed(format!("the request is not understood: {error}"))),
                },
                (Role::Attached(streams), Kind::Stdin) if streams.stdin => self.stdio.push_input(&content),
                (Role::Attached(streams), Kind::StdinEnd) if streams.stdin => self.stdio.end_input(),
                (Role::Attached(_), Kind::Message) => {
                    if let Ok(Request::Resize(size)) = serde_json::from_slice(&content) {
                        // A program without a terminal has no size.
                        let _ = self.stdio.resize(size);
                    }
                }
                (Role::New | Role::Starting | Role::Waiting | Role::Answered | Role::Attached(_), _) => {}
            }
        }
    }

    /// Takes one piece of output and hands it on; whether there may be more at once.
    fn read_output(&mut self, stream: Stream) -> bool {
        let (output, lines) = match stream {
            Stream::Stdout => (&mut self.stdio.stdout, &mut self.lines[0]),
            Stream::Stderr => (&mut self.stdio.stderr, &mut self.lines[1]),
        };
        let Some(descriptor) = output else { return false };
        let mut chunk = vec![0; CHUNK];
        let count = match rustix::io::read(&*descriptor, &mut chunk) {
            Ok(0) => {
                *output = None;
                return false;
            }
            Ok(count) => count,
            Err(Errno::AGAIN) => return false,
            Err(Errno::INTR) => return true,
            // A terminal that no program holds any more.
            Err(_) => {
                *output = None;
                return false;
            }
        };
        let bytes = &chunk[..count];
        if let Some(log) = &mut self.log {
            for record in lines.push(bytes, &mut self.clock) {
                log.push(record);
            }
        }
        for connection in &mut self.connections {
            let Role::Attached(streams) = connection.role else { continue };
            if is_wanted(streams, stream) {
                connection.push(kind_of(stream), bytes);
            }
        }
        true
    }
}

fn is_wanted(streams: Streams, stream: Stream) -> bool {
    match stream {
        Stream::Stdout => streams.stdout,
        Stream::Stderr => streams.stderr,
    }
}

fn kind_of(stream: Stream) -> Kind {
    match stream {
        Stream::Stdout => Kind::Stdout,
        Stream::Stderr => Kind::Stderr,
    }
}

fn wait(list: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<()> {
    let limit = limit.map(|limit| Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 }));
    match poll(list, limit.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
