//! Carries bytes between async code, where bodies of requests are, and blocking code, where archives are.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use crate::store::blocking;

/// How many pieces may wait between the two sides.
const WAITING: usize = 8;
/// The size of the pieces that archives are written in.
const PIECE: usize = 64 << 10;

/// Runs blocking work that reads a body. The work may end before the body does.
pub(crate) async fn with_body<T, E>(
    body: impl Stream<Item = io::Result<Bytes>>,
    work: impl FnOnce(BodyReader) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let pump = async move {
        let mut body = std::pin::pin!(body);
        while let Some(piece) = body.next().await {
            // An empty piece is the mark of the end.
            if !matches!(&piece, Ok(bytes) if bytes.is_empty()) && sender.send(piece).await.is_err() {
                return;
            }
        }
        drop(sender.send(Ok(Bytes::new())).await);
    };
    let work = blocking(move || work(BodyReader { receiver, piece: Bytes::new(), is_at_end: false }));
    let ((), outcome) = tokio::join!(pump, work);
    outcome
}

/// Reads a body from blocking code. One that ends without its mark was given up by its sender, which is an error.
#[derive(Debug)]
pub(crate) struct BodyReader {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
    is_at_end: bool,
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            if self.is_at_end {
                return Ok(0);
            }
            self.piece = self.receiver.blocking_recv().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?;
            self.is_at_end = self.piece.is_empty();
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Writes a body from blocking code; whoever reads it sets the pace.
#[derive(Debug)]
pub(crate) struct BodyWriter {
    sender: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
}

impl BodyWriter {
    pub(crate) fn new(sender: mpsc::Sender<Bytes>) -> Self {
        Self { sender, piece: Vec::with_capacity(PIECE) }
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..count]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender.blocking_send(piece.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
