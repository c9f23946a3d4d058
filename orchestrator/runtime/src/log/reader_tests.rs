//! Logs that are read while, before and after they are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::LogSettings;
use super::super::record::record;
use super::super::segment::Writer;
use super::*;

/// A log whose files hold ten lines each.
struct Log {
    folder: tempfile::TempDir,
    writer: Writer,
    next: u32,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let line = line(100).len() as u64;
        let settings = LogSettings { folder: folder.path().join("log"), max_size: 10 * line, max_files: 3 };
        Self { writer: Writer::open(settings).unwrap(), folder, next: 100 }
    }

    fn write(&mut self, count: u32) {
        for number in self.next..self.next + count {
            self.writer.append(&line(number)).unwrap();
        }
        self.next += count;
    }

    fn read(&self, query: LogQuery, is_over: impl Fn() -> bool + Send + 'static) -> LogReader {
        LogReader::start(self.folder.path().join("log"), self.folder.path().to_owned(), query, is_over).unwrap()
    }
}

/// A line that says when it was written: second so many of an hour.
fn line(number: u32) -> Vec<u8> {
    let stream = if number.is_multiple_of(2) { Stream::Stdout } else { Stream::Stderr };
    record(stream, format!("{number}\n").as_bytes(), time(number))
}

fn time(number: u32) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + i64::from(number)).unwrap()
}

async fn texts(reader: &mut LogReader) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(entry) = reader.next().await {
        texts.push(entry.unwrap().text.trim_end().to_owned());
    }
    texts
}

async fn check(log: &Log, query: LogQuery, expected: impl Iterator<Item = u32>) {
    let texts = texts(&mut log.read(query.clone(), || true)).await;
    assert_eq!(texts, expected.map(|number| number.to_string()).collect::<Vec<_>>(), "{query:?}");
}

#[tokio::test]
async fn the_wanted_part_is_read_across_files() {
    let mut log = Log::new();
    log.write(25);

    check(&log, LogQuery::default(), 100..125).await;
    check(&log, LogQuery { tail: Some(0), ..LogQuery::default() }, 0..0).await;
    check(&log, LogQuery { tail: Some(3), ..LogQuery::default() }, 122..125).await;
    check(&log, LogQuery { tail: Some(5), ..LogQuery::default() }, 120..125).await;
    check(&log, LogQuery { tail: Some(12), ..LogQuery::default() }, 113..125).await;
    check(&log, LogQuery { tail: Some(99), ..LogQuery::default() }, 100..125).await;
    check(&log, LogQuery { since: Some(time(118)), ..LogQuery::default() }, 118..125).await;
    check(&log, LogQuery { until: Some(time(103)), ..LogQuery::default() }, 100..103).await;
    check(&log, LogQuery { stream: Some(Stream::Stderr), ..LogQuery::default() }, (101..125).step_by(2)).await;
}

#[tokio::test]
async fn only_the_newest_files_are_kept() {
    let mut log = Log::new();
    log.write(45);

    check(&log, LogQuery::default(), 120..145).await;
}

#[tokio::test]
async fn a_log_that_does_not_exist_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("none");

    let mut reader = LogReader::start(place, folder.path().to_owned(), LogQuery::default(), || true).unwrap();

    assert_eq!(texts(&mut reader).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_follower_sees_everything_across_files_until_it_is_over() {
    let mut log = Log::new();
    log.write(5);
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_over);
    let mut reader = log.read(LogQuery { follow: true, ..LogQuery::default() }, move || seen.load(Ordering::SeqCst));

    let mut found = Vec::new();
    for round in 0..8 {
        log.write(10);
        for _ in 0..if round == 0 { 15 } else { 10 } {
            let entry = tokio::time::timeout(Duration::from_secs(5), reader.next()).await.unwrap();
            found.push(entry.unwrap().unwrap().text.trim_end().parse::<u32>().unwrap());
        }
    }
    is_over.store(true, Ordering::SeqCst);
    fs::write(log.folder.path().join("state.new"), "").unwrap();
    fs::rename(log.folder.path().join("state.new"), log.folder.path().join("state.json")).unwrap();
    let end = tokio::time::timeout(Duration::from_secs(5), reader.next()).await.unwrap();

    assert_eq!(found, (100..185).collect::<Vec<_>>());
    assert!(end.is_none());
}

#[tokio::test]
async fn a_reading_through_a_record_waits_for_it_and_ends_with_it() {
    let mut log = Log::new();
    log.write(3);
    let through = |last| {
        let (folder, state) = (log.folder.path().join("log"), log.folder.path().to_owned());
        LogReader::through(folder, state, last, || false).unwrap()
    };

    let there = texts(&mut through(time(101))).await;
    let never_written = texts(&mut through(time(101) + jiff::SignedDuration::from_nanos(1))).await;
    let mut late = through(time(104));
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(late.next().await.unwrap().unwrap().text);
    }
    log.write(4);
    let rest = texts(&mut late).await;

    assert_eq!(there, ["100", "101"]);
    assert_eq!(never_written, ["100", "101"]);
    assert_eq!(first.concat(), "100\n101\n102\n");
    assert_eq!(rest, ["103", "104"]);
}

#[test]
fn the_time_of_the_last_record_is_found_in_whatever_file_it_is() {
    let mut log = Log::new();
    let folder = log.folder.path().join("log");

    let nothing = last_time(&folder);
    log.write(10);
    let first_file = last_time(&folder);
    log.write(1);
    let second_file = last_time(&folder);

    assert_eq!((nothing, first_file, second_file), (None, Some(time(109)), Some(time(110))));
    assert_eq!(last_time(Path::new("/nowhere")), None);
}
