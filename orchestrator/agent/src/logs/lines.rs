//! Puts lines together again that were kept in pieces, so that pieces of several tasks are not mixed in one line. Pure.
//!
//! A piece without a line's end is either full, and more of its line follows, or the last that a program wrote.

use model::{LogEntry, LogStream};

/// From which length on a piece is full, in bytes: Docker's, as the runtime cuts them.
const FULL: usize = 16 << 10;
/// How long a line becomes before it is passed on in pieces all the same, in bytes.
pub(super) const LONGEST: usize = 64 << 10;

/// The lines of a task that are not whole yet, one a stream.
#[derive(Debug, Default)]
pub(super) struct Lines {
    stdout: Option<LogEntry>,
    stderr: Option<LogEntry>,
}

impl Lines {
    /// Takes a piece, and gives what is to be passed on.
    pub(super) fn put(&mut self, piece: LogEntry) -> Option<LogEntry> {
        let is_last = piece.text.ends_with('\n') || piece.text.len() < FULL;
        let begun = self.begun(piece.stream);
        let line = match begun.take() {
            Some(mut line) => {
                line.text.push_str(&piece.text);
                line
            }
            None => piece,
        };
        if is_last || line.text.len() >= LONGEST {
            return Some(line);
        }
        *begun = Some(line);
        None
    }

    /// What is left at the end.
    pub(super) fn finish(self) -> impl Iterator<Item = LogEntry> {
        self.stdout.into_iter().chain(self.stderr)
    }

    fn begun(&mut self, stream: LogStream) -> &mut Option<LogEntry> {
        match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn piece(stream: LogStream, text: &str) -> LogEntry {
        LogEntry { time: Timestamp::UNIX_EPOCH, stream, text: text.to_owned() }
    }

    fn length(entry: Option<LogEntry>) -> Option<usize> {
        entry.map(|entry| entry.text.len())
    }

    #[test]
    fn pieces_of_a_line_are_one_line_whatever_comes_between() {
        use LogStream::{Stderr, Stdout};
        let (full, mut lines) = ("x".repeat(FULL), Lines::default());

        assert_eq!(lines.put(piece(Stdout, &full)), None);
        assert_eq!(length(lines.put(piece(Stderr, "oh\n"))), Some(3));
        assert_eq!(lines.put(piece(Stdout, &full)), None);
        assert_eq!(length(lines.put(piece(Stdout, "end\n"))), Some(2 * FULL + 4));

        // The last words of a program may lack the line's end.
        assert_eq!(length(lines.put(piece(Stdout, "bye"))), Some(3));
        assert_eq!(lines.finish().count(), 0);
    }

    #[test]
    fn a_line_without_end_is_passed_on_in_pieces() {
        let (full, mut lines) = ("x".repeat(FULL), Lines::default());
        let mut put = || length(lines.put(piece(LogStream::Stdout, &full)));

        assert_eq!([put(), put(), put(), put()], [None, None, None, Some(LONGEST)]);
        assert_eq!(put(), None);

        assert_eq!(lines.finish().map(|entry| entry.text.len()).collect::<Vec<_>>(), [FULL]);
    }
}
