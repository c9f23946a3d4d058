//! Reads a log that may be written meanwhile: the last lines, a span of time, and what is to come.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::Stream;
use super::segment::{numbers, path};
use crate::RuntimeError;
use crate::error::Doing;

/// How many entries wait for a reader that is slow; then the file waits.
const ENTRIES_WAITING: usize = 256;
/// How much is read at once, in bytes.
const CHUNK: usize = 64 << 10;
/// How long a record may be; longer ones are no records of ours, and passed over.
const RECORD_LIMIT: usize = 256 << 10;

/// One line of a log, or a piece of one where its text does not end with a line's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was written.
    pub time: Timestamp,
    /// By which stream.
    pub stream: Stream,
    /// The text, with its line's end.
    pub text: String,
}

/// Which part of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only so many records from the end; all if absent.
    pub tail: Option<usize>,
    /// Only what was written then or later.
    pub since: Option<Timestamp>,
    /// Only what was written before.
    pub until: Option<Timestamp>,
    /// Only this stream.
    pub stream: Option<Stream>,
    /// Whether to go on with what is written later, until the container has ended.
    pub follow: bool,
}

#[derive(Deserialize)]
struct Record {
    log: String,
    stream: Stream,
    time: Timestamp,
}

/// Entries of a log, in the order they were written. Dropping it ends the reading.
#[derive(Debug)]
pub struct LogReader {
    entries: mpsc::Receiver<Result<LogEntry, RuntimeError>>,
    /// Closed by dropping, which the reading thread sees.
    _alive: OwnedFd,
}

impl LogReader {
    /// Begins to read the log in `folder`. A follower ends once `is_over` says that nothing more will be written and all
    /// has been read; it asks when the log or the folder `state` changes.
    pub(crate) fn start(
        folder: PathBuf,
        state: PathBuf,
        query: LogQuery,
        is_over: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self, RuntimeError> {
        Self::begin(folder, state, query, None, is_over)
    }

    /// Reads a log that nobody writes any more, of a container whose state went with the system's memory. Nothing follows,
    /// whatever the query says. Call within the async runtime.
    pub fn at_rest(folder: PathBuf, mut query: LogQuery) -> Result<Self, RuntimeError> {
        query.follow = false;
        Self::start(folder.clone(), folder, query, || true)
    }

    /// Like [`start`](Self::start), from the beginning through the record of that time, which is waited for while the
    /// container runs. Where it was never written, the reading ends before the first later one.
    pub(crate) fn through(
        folder: PathBuf,
        state: PathBuf,
        last: Timestamp,
        is_over: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self, RuntimeError> {
        let query = LogQuery { follow: true, ..LogQuery::default() };
        Self::begin(folder, state, query, Some(last), is_over)
    }

    fn begin(
        folder: PathBuf,
        state: PathBuf,
        query: LogQuery,
        last: Option<Timestamp>,
        is_over: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self, RuntimeError> {
        let (gone, alive) = pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe")?;
        let (sender, entries) = mpsc::channel(ENTRIES_WAITING);
        tokio::task::spawn_blocking(move || {
            let mut reading = Reading { cursor: Cursor::new(folder), query, last, sender };
            if let Err(error) = reading.run(&state, &gone, &is_over) {
                // A reader that has gone needs no reason.
                let _ = reading.sender.blocking_send(Err(error));
            }
        });
        Ok(Self { entries, _alive: alive })
    }

    /// The next entry; `None` at the end. May be cancelled without losing one.
    pub async fn next(&mut self) -> Option<Result<LogEntry, RuntimeError>> {
        self.entries.recv().await
    }
}

struct Reading {
    cursor: Cursor,
    query: LogQuery,
    /// The time of the last record to read.
    last: Option<Timestamp>,
    sender: mpsc::Sender<Result<LogEntry, RuntimeError>>,
}

impl Reading {
    fn run(&mut self, state: &Path, gone: &OwnedFd, is_over: &impl Fn() -> bool) -> Result<(), RuntimeError> {
        let folder = self.cursor.folder.clone();
        let action = || format!("read the log in `{}`", folder.display());
        let watch = if self.query.follow { Some(watch(&folder, state).doing(action)?) } else { None };
        self.cursor.start(self.query.tail).doing(action)?;
        loop {
            // Asked first: what was written before it was over is read below.
            let was_over = is_over();
            while let Some(line) = self.cursor.next_line().doing(action)? {
                let Ok(record) = serde_json::from_slice::<Record>(&line) else { continue };
                let is_behind = |last| record.time > last;
                if self.query.until.is_some_and(|until| record.time >= until) || self.last.is_some_and(is_behind) {
                    return Ok(());
                }
                let is_last = self.last == Some(record.time);
                if self.is_wanted(&record) {
                    let entry = LogEntry { time: record.time, stream: record.stream, text: record.log };
                    if self.sender.blocking_send(Ok(entry)).is_err() {
                        return Ok(());
                    }
                }
                if is_last {
                    return Ok(());
                }
            }
            let Some(watch) = watch.as_ref().filter(|_| !was_over) else { return Ok(()) };
            if !wait(watch, gone).doing(action)? {
                return Ok(());
            }
        }
    }

    fn is_wanted(&self, record: &Record) -> bool {
        self.query.since.is_none_or(|since| record.time >= since)
            && self.query.stream.is_none_or(|stream| record.stream == stream)
    }
}

/// A place in a log.
struct Cursor {
    folder: PathBuf,
    number: u64,
    file: Option<File>,
    rest: Vec<u8>,
    /// How much of `rest` has been looked through without finding a line's end.
    searched: usize,
}

impl Cursor {
    fn new(folder: PathBuf) -> Self {
        Self { folder, number: 0, file: None, rest: Vec::new(), searched: 0 }
    }

    /// Goes to where so many records are left, or to the beginning.
    fn start(&mut self, tail: Option<usize>) -> io::Result<()> {
        let Some(mut wanted) = tail else { return Ok(()) };
        let numbers = self.numbers()?;
        for &number in numbers.iter().rev() {
            let Ok(mut file) = File::open(path(&self.folder, number)) else { continue };
            let (offset, found) = tail_of(&mut file, wanted)?;
            file.seek(SeekFrom::Start(offset))?;
            (self.number, self.file) = (number, Some(file));
            wanted -= found;
            if wanted == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The next whole line that is there.
    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.rest[self.searched..].iter().position(|&byte| byte == b'\n') {
                let end = self.searched + at + 1;
                let line = self.rest[..end].to_vec();
                self.rest.drain(..end);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.rest.len();
            if self.rest.len() > RECORD_LIMIT {
                self.rest.clear();
                self.searched = 0;
            }
            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    /// Reads on, in a later file where this one is done. Whether there was more.
    fn read_more(&mut self) -> io::Result<bool> {
        // The list comes before the read: once a later file exists, this one does not grow.
        let later = self.numbers()?.into_iter().find(|&number| number > self.number);
        if let Some(file) = &mut self.file {
            let mut chunk = vec![0; CHUNK];
            let count = file.read(&mut chunk)?;
            if count > 0 {
                self.rest.extend(&chunk[..count]);
                return Ok(true);
            }
        }
        let Some(later) = later else { return Ok(false) };
        self.rest.clear();
        self.searched = 0;
        self.number = later;
        // It may be gone already; the next is looked for from there.
        self.file = File::open(path(&self.folder, later)).ok();
        Ok(true)
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        match numbers(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            numbers => numbers,
        }
    }
}

/// Where the last `wanted` whole lines of a file begin, and how many there are.
fn tail_of(file: &mut File, wanted: usize) -> io::Result<(u64, usize)> {
    let mut position = file.metadata()?.len();
    let mut ends = 0;
    let mut end_of_last = position;
    while position > 0 {
        let length = position.min(CHUNK as u64);
        position -= length;
        file.seek(SeekFrom::Start(position))?;
        let mut chunk = Vec::new();
        file.by_ref().take(length).read_to_end(&mut chunk)?;
        for (at, _) in chunk.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = position + at as u64 + 1;
            if ends == 0 {
                end_of_last = after;
            }
            if ends == wanted {
                return Ok((after, wanted));
            }
            ends += 1;
        }
    }
    if wanted == 0 {
        return Ok((end_of_last, 0));
    }
    Ok((0, ends))
}

/// The time of a log's last record; `None` where it has none that can be read.
pub(super) fn last_time(folder: &Path) -> Option<Timestamp> {
    let last_of = |number| {
        let mut file = File::open(path(folder, number)).ok()?;
        let (offset, _) = tail_of(&mut file, 1).ok()?;
        file.seek(SeekFrom::Start(offset)).ok()?;
        let mut line = Vec::new();
        BufReader::new(file.take(RECORD_LIMIT as u64)).read_until(b'\n', &mut line).ok()?;
        Some(serde_json::from_slice::<Record>(&line).ok()?.time)
    };
    numbers(folder).ok()?.into_iter().rev().find_map(last_of)
}

fn watch(folder: &Path, state: &Path) -> io::Result<OwnedFd> {
    use inotify::{CreateFlags, WatchFlags};
    fs::create_dir_all(folder)?;
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(&watch, folder, WatchFlags::MODIFY | WatchFlags::CREATE)?;
    match inotify::add_watch(&watch, state, WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF) {
        Ok(_) | Err(Errno::NOENT) => Ok(watch),
        Err(error) => Err(error.into()),
    }
}

/// Waits for news; whether the reader is still there.
fn wait(watch: &OwnedFd, gone: &OwnedFd) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(watch, PollFlags::IN), PollFd::new(gone, PollFlags::IN)];
    match poll(&mut descriptors, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    if !descriptors[1].revents().is_empty() {
        return Ok(false);
    }
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watch, &mut buffer);
    loop {
        match events.next() {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
