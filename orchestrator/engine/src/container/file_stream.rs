//! Files of a container on their way out, as an archive: at the pace of whoever reads, and no longer than the container is
//! there.
//!
//! ```text
//! blocking work ── bounded ──> pump ── bounded ──> FileStream        a removal ends the pump, which ends the work
//! ```

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::actor::Ending;
use super::{ContainerFilesError, Shared};

/// How many pieces of 64 KiB wait for a reader that is slow; then the work waits.
const PIECES_WAITING: usize = 8;

/// An archive that comes piece by piece. Dropping it ends the work.
#[derive(Debug)]
pub struct FileStream {
    pieces: mpsc::Receiver<Bytes>,
    outcome: oneshot::Receiver<Result<(), ContainerFilesError>>,
}

impl FileStream {
    /// The next piece; `None` where all of it has come. May be cancelled without losing one.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ContainerFilesError> {
        if let Some(piece) = self.pieces.recv().await {
            return Ok(Some(piece));
        }
        // Without a word the archive was cut short.
        (&mut self.outcome).await.unwrap_or(Err(ContainerFilesError::CutShort)).map(|()| None)
    }
}

/// Lets work write an archive; `ending` is the hold that it has on the files.
pub(super) fn start<W>(
    shared: &Shared,
    mut ending: Ending,
    work: impl FnOnce(mpsc::Sender<Bytes>) -> W + Send + 'static,
) -> FileStream
where
    W: Future<Output = Result<(), ContainerFilesError>> + Send + 'static,
{
    let (to_client, pieces) = mpsc::channel(PIECES_WAITING);
    let (mut said, outcome) = oneshot::channel();
    shared.spawn_stream(async move {
        let (sender, mut written) = mpsc::channel(1);
        let pump = async {
            while let Some(piece) = written.recv().await {
                if to_client.send(piece).await.is_err() {
                    break;
                }
            }
            drop(written);
        };
        let both = async {
            let ((), outcome) = tokio::join!(pump, work(sender));
            outcome
        };
        tokio::select! {
            outcome = both => drop(said.send(outcome)),
            // Whatever writes finds that nobody reads.
            () = ending.ended() => {}
            () = said.closed() => {}
        }
    });
    FileStream { pieces, outcome }
}
