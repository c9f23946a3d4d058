//! Cuts output into lines and writes them as Docker does.

use jiff::Timestamp;

use super::Stream;

/// How long a piece of a line becomes before it is kept without its end, in bytes: Docker's.
const LINE_LIMIT: usize = 16 << 10;

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
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let room = LINE_LIMIT - self.rest.len();
            let window = &bytes[..bytes.len().min(room)];
            let end = window.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            let (piece, later) = bytes.split_at(end.unwrap_or(window.len()));
            self.rest.extend(piece);
            bytes = later;
            if end.is_some() || self.rest.len() >= LINE_LIMIT {
                records.push(record(self.stream, &self.rest, Timestamp::now()));
                self.rest.clear();
            }
        }
        records
    }

    /// The last record, where the output did not end with a line's end.
    pub(crate) fn finish(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| record(self.stream, &rest, Timestamp::now()))
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

    fn texts(records: &[Vec<u8>]) -> Vec<String> {
        records
            .iter()
            .map(|record| {
                let value: serde_json::Value = serde_json::from_slice(record).unwrap();
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
    fn lines_are_cut_wherever_the_output_was() {
        let mut lines = Lines::new(Stream::Stdout);

        let first = texts(&lines.push(b"one\ntw"));
        let second = texts(&lines.push(b"o\n\nthr"));
        let last = lines.finish().map(|record| texts(&[record]));

        assert_eq!(first, ["one\n"]);
        assert_eq!(second, ["two\n", "\n"]);
        assert_eq!(last, Some(vec!["thr".to_owned()]));
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn a_line_without_end_is_cut_into_pieces() {
        let mut lines = Lines::new(Stream::Stdout);
        let long = vec![b'x'; LINE_LIMIT + 5];

        let pieces = texts(&lines.push(&long));
        let rest = texts(&lines.push(b"\n"));

        assert_eq!(pieces.iter().map(String::len).collect::<Vec<_>>(), [LINE_LIMIT]);
        assert_eq!(rest, ["xxxxx\n"]);
    }
}
