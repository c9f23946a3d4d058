//! A client of a connection that is taken over, as the kernel sees it.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::served::PATIENCE;

/// A connection after the head of its answer.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The head, with its empty line.
    pub(crate) head: String,
    stream: UnixStream,
    /// What has come and was not taken.
    received: Vec<u8>,
}

impl Wire {
    /// Sends a POST with these lines in its head, and reads the head of the answer.
    pub(crate) async fn open(socket: &Path, path: &str, lines: &str, body: &str) -> Self {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: docker\r\n{lines}Content-Type: application/json\r\nContent-Length: \
             {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut wire = Self { head: String::new(), stream, received: Vec::new() };
        wire.head = wire.until("\r\n\r\n").await;
        wire
    }

    /// Whether something has come in one piece with the head.
    pub(crate) fn has_more_than_the_head(&self) -> bool {
        !self.received.is_empty()
    }

    /// Sends input.
    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends no more; goes on receiving.
    pub(crate) async fn end_input(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// What comes up to a text, which must come.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            let found = self.received.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                let taken = self.received.drain(..at + text.len()).collect();
                return String::from_utf8(taken).unwrap();
            }
            let mut piece = [0; 4096];
            let count = tokio::time::timeout(PATIENCE, self.stream.read(&mut piece)).await;
            let count = count.unwrap_or_else(|_| panic!("{text:?} does not come")).unwrap();
            assert!(count > 0, "the end before {text:?}: {:?}", String::from_utf8_lossy(&self.received));
            self.received.extend_from_slice(&piece[..count]);
        }
    }

    /// All that comes until the server ends the connection.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut self.received)).await;
        read.expect("the connection ends").unwrap();
        self.received
    }

    /// The same, taken apart: what came of each stream.
    pub(crate) async fn frames(self) -> [String; 4] {
        let bytes = self.rest().await;
        let mut streams = [const { Vec::new() }; 4];
        let mut left = &bytes[..];
        while let Some((head, rest)) = left.split_first_chunk::<8>() {
            let length = u32::from_be_bytes(head[4..].try_into().unwrap()) as usize;
            assert_eq!(head[1..4], [0; 3]);
            streams[usize::from(head[0])].extend_from_slice(&rest[..length]);
            left = &rest[length..];
        }
        assert!(left.is_empty(), "{left:?}");
        streams.map(|bytes| String::from_utf8(bytes).unwrap())
    }
}

/// The frames of these texts, in one piece.
pub(crate) fn texts(stdout: &str, stderr: &str) -> [String; 4] {
    [String::new(), stdout.to_owned(), stderr.to_owned(), String::new()]
}
