//! The one primitive that carriers offer: a process on the host, with its streams.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::{Output, ReachError};

/// The size of a piece of standard input.
pub(crate) const PIECE: usize = 32 * 1024;
/// How long output may still come once the process has ended: what it left behind may hold its streams for ever.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// A process that runs on a host. Dropping it ends it.
pub(crate) struct Process {
    /// What it says.
    pub(crate) events: Box<dyn Events>,
    /// What it hears.
    pub(crate) input: Box<dyn Input>,
}

/// What a process says, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// It wrote to standard output.
    Stdout(Bytes),
    /// It wrote to standard error.
    Stderr(Bytes),
    /// It ended; nothing follows.
    Ended(i32),
}

/// The events of a process, ending with [`Event::Ended`] or an error.
#[async_trait]
pub(crate) trait Events: Send {
    /// The next one. Cancel-safe: an event is lost only with the process.
    async fn next(&mut self) -> Result<Event, ReachError>;

    /// Tells the process that its terminal has another size; nothing where it has none.
    async fn resize(&mut self, _columns: u32, _rows: u32) {}
}

/// The standard input of a process.
#[async_trait]
pub(crate) trait Input: Send {
    /// Writes a piece; an error means that the process reads no more.
    async fn write(&mut self, piece: Bytes) -> Result<(), ReachError>;

    /// Says that nothing follows.
    async fn finish(&mut self) -> Result<(), ReachError>;
}

/// Where the pieces of standard input come from.
#[async_trait]
pub(crate) trait Source: Send {
    /// The next piece; `None` when nothing follows.
    async fn next(&mut self) -> Result<Option<Bytes>, ReachError>;
}

/// Bytes in memory as a source.
pub(crate) struct Pieces(pub(crate) Bytes);

#[async_trait]
impl Source for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, ReachError> {
        let length = self.0.len().min(PIECE);
        Ok((length > 0).then(|| self.0.split_to(length)))
    }
}

/// Feeds a process from a source until either ends; an error is the source's, never the process's, which may stop
/// reading whenever it likes.
pub(crate) async fn feed(input: &mut dyn Input, source: &mut dyn Source) -> Result<(), ReachError> {
    while let Some(piece) = source.next().await? {
        if input.write(piece).await.is_err() {
            return Ok(());
        }
    }
    // A process that is gone already needs no end of its input.
    let _ = input.finish().await;
    Ok(())
}

/// Runs a process to its end: feeds it and listens to it at the same time, so that neither waits for the other.
pub(crate) async fn drive(
    process: Process,
    source: &mut dyn Source,
    mut hear: impl FnMut(Event),
) -> Result<i32, ReachError> {
    let Process { mut events, mut input } = process;
    let feeding = feed(input.as_mut(), source);
    tokio::pin!(feeding);
    let mut is_fed = false;
    loop {
        let event = tokio::select! {
            fed = &mut feeding, if !is_fed => {
                fed?;
                is_fed = true;
                continue;
            }
            event = events.next() => event?,
        };
        match event {
            Event::Ended(status) => return Ok(status),
            Event::Stdout(_) | Event::Stderr(_) => hear(event),
        }
    }
}

/// Runs a process to its end and keeps what it wrote, up to a limit for each stream.
pub(crate) async fn collect(process: Process, stdin: Bytes, limit: usize) -> Result<Output, ReachError> {
    let mut stdout = Kept::new(limit);
    let mut stderr = Kept::new(limit);
    let status = drive(process, &mut Pieces(stdin), |event| match event {
        Event::Stdout(bytes) => stdout.push(&bytes),
        Event::Stderr(bytes) => stderr.push(&bytes),
        Event::Ended(_) => {}
    })
    .await?;
    let is_truncated = stdout.is_truncated || stderr.is_truncated;
    Ok(Output { status, stdout: stdout.bytes.freeze(), stderr: stderr.bytes.freeze(), is_truncated })
}

/// Output that is kept up to a limit.
struct Kept {
    bytes: BytesMut,
    limit: usize,
    is_truncated: bool,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self { bytes: BytesMut::new(), limit, is_truncated: false }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = (self.limit - self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.is_truncated |= room < bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_beyond_the_limit_is_dropped_and_said() {
        let mut kept = Kept::new(5);

        kept.push(b"abc");
        let was_truncated = kept.is_truncated;
        kept.push(b"defg");

        assert_eq!((was_truncated, kept.is_truncated, &kept.bytes[..]), (false, true, &b"abcde"[..]));
    }
}
