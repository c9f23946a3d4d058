//! Cuts output into lines and writes them as Docker does, each with a time of its own.

use jiff::{SignedDuration, Timestamp};

use super::Stream;

/// How long a piece of a line becomes before it is kept without its end, in bytes: Docker's.
const LINE_LIMIT: usize = 16 << 10;

/// A record, as the log takes it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// When it was made. No other record of its log has the same time.
    pub(crate) time: Timestamp,
    /// As it is written.
    pub(crate) bytes: Vec<u8>,
}

/// Gives records their times: each is later than the one before, whatever the host's clock does, so that a time names a
/// place in the log.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Option<Timestamp>,
}

impl Clock {
    /// One that goes on behind a record.
    pub(crate) fn after(last: Option<Timestamp>) -> Self {
        Self { last }
    }

    fn next(&mut self) -> Timestamp {
        self.at_least(Timestamp::now())
    }

    fn at_least(&mut self, now: Timestamp) -> Timestamp {
        // At the end of time itself two records would share theirs.
        let least = self.last.and_then(|last| last.checked_add(SignedDuration::from_nanos(1)).ok());
        let time = least.map_or(now, |least| now.max(least));
        self.last = Some(time);
        time
    }
}

/// The lines of one stream, cut as they come.
#[derive(Debug)]
pub(crate) struct Lines {
    stream: Stream,
    rest: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, rest: Vec::new() }
    }

    /// Takes output in and returns the records that are complete by it.
    pub(crate) fn push(&mut self, mut bytes: &[u8], clock: &mut Clock) -> Vec<Record> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let room = LINE_LIMIT - self.rest.len();
            let window = &bytes[..bytes.len().min(room)];
            let end = window.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            let (piece, later) = bytes.split_at(end.unwrap_or(window.len()));
            self.rest.extend(piece);
            bytes = later;
            if end.is_some() || self.rest.len() >= LINE_LIMIT {
                records.push(self.take(clock));
            }
        }
        records
    }

    /// The last record, where the output did not end with a line's end.
    pub(crate) fn finish(&mut self, clock: &mut Clock) -> Option<Record> {
        (!self.rest.is_empty()).then(|| self.take(clock))
    }

    /// Which stream they are of.
    pub(crate) fn stream(&self) -> Stream {
        self.stream
    }

    /// The beginning of a line that no record holds yet.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.rest
    }

    fn take(&mut self, clock: &mut Clock) -> Record {
        let time = clock.next();
        let bytes = record(self.stream, &self.rest, time);
        self.rest.clear();
        Record { time, bytes }
    }
}

/// A record with its line's end. What is no text is kept as U+FFFD.
pub(super) fn record(stream: Stream, text: &[u8], time: Timestamp) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let stream = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let mut bytes = Vec::with_capacity(text.len() + 96);
    bytes.extend(b"{\"log\":");
    serde_json::to_writer(&mut bytes, &text).expect("text is written to memory");
    bytes.extend(format!(",\"stream\":\"{stream}\",\"time\":\"{time:.9}\"}}\n").as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(records: &[Record]) -> Vec<String> {
        records
            .iter()
            .map(|record| {
                let value: serde_json::Value = serde_json::from_slice(&record.bytes).unwrap();
                value["log"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    #[test]
    fn a_record_is_as_dockers() {
        let time = "2026-01-02T03:04:05.678Z".parse().unwrap();

        let record = record(Stream::Stderr, b"a \"b\"\xff\n", time);

        let expected =
            "{\"log\":\"a \\\"b\\\"\u{fffd}\\n\",\"stream\":\"stderr\",\"time\":\"2026-01-02T03:04:05.678000000Z\"}\n";
        assert_eq!(String::from_utf8(record).unwrap(), expected);
    }

    #[test]
    fn no_two_records_share_a_time_whatever_the_clock_does() {
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        let noon = moment("2026-01-02T12:00:00Z");
        let mut clock = Clock::after(Some(noon));

        let times = ["11:00:00", "12:00:00", "13:00:00", "13:00:00"];
        let times = times.map(|time| clock.at_least(moment(&format!("2026-01-02T{time}Z"))).to_string());

        let expected = ["12:00:00.000000001", "12:00:00.000000002", "13:00:00", "13:00:00.000000001"];
        assert_eq!(times, expected.map(|time| format!("2026-01-02T{time}Z")));
    }

    #[test]
    fn lines_are_cut_wherever_the_output_was() {
        let (mut lines, mut clock) = (Lines::new(Stream::Stdout), Clock::after(None));

        let first = texts(&lines.push(b"one\ntw", &mut clock));
        let second = texts(&lines.push(b"o\n\nthr", &mut clock));
        let rest = lines.rest().to_vec();
        let last = lines.finish(&mut clock).map(|record| texts(&[record]));

        assert_eq!(first, ["one\n"]);
        assert_eq!(second, ["two\n", "\n"]);
        assert_eq!(rest, b"thr");
        assert_eq!(last, Some(vec!["thr".to_owned()]));
        assert_eq!(lines.finish(&mut clock), None);
    }

    #[test]
    fn a_line_without_end_is_cut_into_pieces() {
        let (mut lines, mut clock) = (Lines::new(Stream::Stdout), Clock::after(None));
        let long = vec![b'x'; LINE_LIMIT + 5];

        let pieces = texts(&lines.push(&long, &mut clock));
        let rest = texts(&lines.push(b"\n", &mut clock));

        assert_eq!(pieces.iter().map(String::len).collect::<Vec<_>>(), [LINE_LIMIT]);
        assert_eq!(rest, ["xxxxx\n"]);
    }
}
