//! Between a container and its log: a bounded queue and a thread that writes, so that no disk can hold a container up.
//!
//! A healthy disk is waited for, so that nothing is lost in a burst; one that has not moved for [`PATIENCE`] is not:
//! lines are dropped and counted, and the next line that can be written says how many.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::event::{EventfdFlags, eventfd};

use super::reader::last_time;
use super::record::{Record, record};
use super::segment::Writer;
use super::{LogSettings, Stream};

/// How much may wait for the disk, in bytes.
const LIMIT: usize = 4 << 20;
/// How long a container is made to wait for its disk, at most, until the queue has emptied by half again.
const PATIENCE: Duration = Duration::from_millis(250);
/// How much is written at once, in bytes.
const BATCH: usize = 256 << 10;

/// What both sides share.
#[derive(Debug, Default)]
struct Shared {
    records: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
    closed: bool,
    /// The writer has nothing left to write.
    idle: bool,
}

#[derive(Debug)]
struct Meeting {
    shared: Mutex<Shared>,
    changed: Condvar,
    /// Readable when the queue has emptied by half.
    room: OwnedFd,
}

/// The side that takes records in; it never waits.
#[derive(Debug)]
pub(crate) struct LogQueue {
    meeting: Arc<Meeting>,
    settings: LogSettings,
    thread: Option<JoinHandle<()>>,
    full_since: Option<Instant>,
    last: Option<Timestamp>,
}

impl LogQueue {
    /// A queue whose writer starts with the first record: many containers say nothing. It goes on behind what an earlier
    /// run wrote. A folder that cannot be written yet loses lines until it can.
    pub(crate) fn new(settings: LogSettings) -> std::io::Result<Self> {
        let room = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let meeting = Arc::new(Meeting { shared: Mutex::default(), changed: Condvar::new(), room });
        let last = last_time(&settings.folder);
        Ok(Self { meeting, settings, thread: None, full_since: None, last })
    }

    /// The time of the last record that was taken in, now or by an earlier run.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Starts the writer, once. Where that fails, the next record tries again, and what waits is not lost.
    fn ensure_writer(&mut self) {
        if self.thread.is_none() {
            let (theirs, settings) = (Arc::clone(&self.meeting), self.settings.clone());
            let thread = std::thread::Builder::new().name("log".to_owned());
            self.thread = thread.spawn(move || write_all(&theirs, &settings)).ok();
        }
    }

    /// Whether the container should be made to wait, and until when at most.
    pub(crate) fn waits_until(&mut self) -> Option<Instant> {
        let bytes = self.meeting.lock().bytes;
        if bytes < LIMIT / 2 {
            self.full_since = None;
            return None;
        }
        if bytes < LIMIT {
            return None;
        }
        let until = *self.full_since.get_or_insert_with(Instant::now) + PATIENCE;
        (Instant::now() < until).then_some(until)
    }

    /// What becomes readable when there is room again.
    pub(crate) fn room(&self) -> BorrowedFd<'_> {
        self.meeting.room.as_fd()
    }

    /// Takes the news of room.
    pub(crate) fn clear_room(&self) {
        let mut count = [0; 8];
        // There may be none.
        let _ = rustix::io::read(&self.meeting.room, &mut count);
    }

    /// Takes a record in, or counts it where there is no room.
    pub(crate) fn push(&mut self, record: Record) {
        self.ensure_writer();
        let mut shared = self.meeting.lock();
        if shared.bytes >= LIMIT + BATCH
            || (shared.bytes >= LIMIT && self.full_since.is_some_and(|since| since.elapsed() >= PATIENCE))
        {
            shared.dropped += 1;
            return;
        }
        self.last = Some(record.time);
        shared.bytes += record.bytes.len();
        shared.records.push_back(record.bytes);
        shared.idle = false;
        drop(shared);
        self.meeting.changed.notify_all();
    }

    /// Takes no more, and waits until all is written, or for `limit`.
    pub(crate) fn finish(mut self, limit: Duration) {
        if self.thread.is_none() {
            return;
        }
        let mut shared = self.meeting.lock();
        shared.closed = true;
        self.meeting.changed.notify_all();
        let waits = |shared: &mut Shared| !shared.idle;
        let (shared, outcome) =
            self.meeting.changed.wait_timeout_while(shared, limit, waits).unwrap_or_else(PoisonError::into_inner);
        drop(shared);
        // A thread that is stuck in a write ends with the process.
        if let Some(thread) = self.thread.take().filter(|_| !outcome.timed_out()) {
            let _ = thread.join();
        }
    }
}

impl Meeting {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for records; the next batch with what was dropped before it, `None` at the end.
    fn next(&self) -> Option<(Vec<Vec<u8>>, u64)> {
        let mut shared = self.lock();
        loop {
            if !shared.records.is_empty() || shared.dropped > 0 {
                let was_full = shared.bytes >= LIMIT / 2;
                let mut batch = Vec::new();
                let mut length = 0;
                while length < BATCH
                    && let Some(record) = shared.records.pop_front()
                {
                    length += record.len();
                    batch.push(record);
                }
                shared.bytes -= length;
                // Drops happened behind what waits, so they are told of once that is written.
                let dropped = if shared.records.is_empty() { std::mem::take(&mut shared.dropped) } else { 0 };
                if was_full && shared.bytes < LIMIT / 2 {
                    // Nobody may be waiting for it.
                    let _ = rustix::io::write(&self.room, &1_u64.to_ne_bytes());
                }
                return Some((batch, dropped));
            }
            shared.idle = true;
            self.changed.notify_all();
            if shared.closed {
                return None;
            }
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn write_all(meeting: &Meeting, settings: &LogSettings) {
    let mut writer = None;
    // Lines that no record tells of yet.
    let mut lost: u64 = 0;
    while let Some((batch, dropped)) = meeting.next() {
        let open = match writer.take() {
            Some(open) => Ok(open),
            None => Writer::open(settings.clone()),
        };
        writer = open.ok();
        match &mut writer {
            Some(open) => {
                write_batch(open, &batch, &mut lost);
                lost += dropped;
                tell(open, &mut lost);
            }
            None => lost += u64::try_from(batch.len()).unwrap_or(u64::MAX) + dropped,
        }
    }
}

/// Writes records, as many at once as fit into the file. Those that cannot be written are counted.
fn write_batch(writer: &mut Writer, batch: &[Vec<u8>], lost: &mut u64) {
    let mut together: Vec<u8> = Vec::new();
    let mut count = 0;
    let flush = |writer: &mut Writer, together: &mut Vec<u8>, count: &mut u64, lost: &mut u64| {
        if *count > 0 && (!tell(writer, lost) || writer.append(together).is_err()) {
            *lost += *count;
        }
        together.clear();
        *count = 0;
    };
    for record in batch {
        let length = u64::try_from(together.len() + record.len()).unwrap_or(u64::MAX);
        if length > writer.room() {
            flush(writer, &mut together, &mut count, lost);
        }
        together.extend(record);
        count += 1;
    }
    flush(writer, &mut together, &mut count, lost);
}

/// Writes how many lines were lost, if any were; whether nothing is left to tell.
fn tell(writer: &mut Writer, lost: &mut u64) -> bool {
    if *lost > 0 {
        let text = format!("{lost} lines were dropped: the log could not be written in time\n");
        if writer.append(&record(Stream::Stderr, text.as_bytes(), Timestamp::now())).is_err() {
            return false;
        }
        *lost = 0;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn plain(text: &str) -> Record {
        Record { time: Timestamp::now(), bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn everything_is_written_by_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = LogQueue::new(LogSettings::new(folder.path())).unwrap();

        for number in 0..1000 {
            queue.push(plain(&format!("{number}\n")));
        }
        queue.finish(Duration::from_secs(5));

        let text = fs::read_to_string(folder.path().join("1.log")).unwrap();
        assert_eq!(text.lines().count(), 1000);
        assert_eq!(text.lines().last(), Some("999"));
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_in_a_line_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("logs");
        fs::write(&place, "in the way").unwrap();
        let mut queue = LogQueue::new(LogSettings::new(&place)).unwrap();

        queue.push(plain("lost\n"));
        let shared = queue.meeting.lock();
        let (shared, outcome) =
            queue.meeting.changed.wait_timeout_while(shared, Duration::from_secs(5), |shared| !shared.idle).unwrap();
        drop(shared);
        fs::remove_file(&place).unwrap();
        queue.push(plain("kept\n"));
        queue.finish(Duration::from_secs(5));

        assert!(!outcome.timed_out());
        let text = fs::read_to_string(place.join("1.log")).unwrap();
        assert!(text.contains("1 lines were dropped"), "{text}");
        assert!(text.ends_with("kept\n"));
    }
}
