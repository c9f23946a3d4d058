//! Another node as a source of blobs: what it sends must come, and not too slowly.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use image::{BlobSource, Digest};
use model::{BlobRequest, NodeId, TaskId};
use rpc::{BlobPieces, ImagesClient};
use tokio::time::Instant;

use super::desk;

/// How long the first piece may take: there may be others before this node.
const OPENED: Duration = desk::QUEUED.saturating_add(Duration::from_secs(10));
/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(15);
/// Over how long a time it is counted what comes.
const WINDOW: Duration = Duration::from_secs(30);
/// What must come in it: 8 KiB a second. Less keeps a task from the next node.
const LEAST: u64 = 240 << 10;

/// Another node that has the image of a task of this one.
pub(super) struct PeerSource {
    pub(super) client: ImagesClient,
    pub(super) node: NodeId,
    pub(super) task: TaskId,
}

impl fmt::Debug for PeerSource {
    /// The node, by which the log names it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "node {}", self.node)
    }
}

impl BlobSource for PeerSource {
    fn read(&self, digest: Digest) -> BoxStream<'static, io::Result<Bytes>> {
        let request = BlobRequest { task_id: self.task.clone(), digest: digest.to_string() };
        let reading = Reading { client: self.client.clone(), request, pieces: None, counted: 0, since: Instant::now() };
        Box::pin(stream::try_unfold(reading, |mut reading| async move {
            Ok::<_, io::Error>(reading.next().await?.map(|bytes| (bytes, reading)))
        }))
    }
}

/// A blob that comes.
struct Reading {
    client: ImagesClient,
    request: BlobRequest,
    pieces: Option<BlobPieces>,
    counted: u64,
    since: Instant,
}

impl Reading {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let patience = if self.pieces.is_none() { OPENED } else { SILENCE };
        let piece = tokio::time::timeout(patience, self.piece()).await.map_err(|_| slow("it sends nothing"))??;
        if let Some(bytes) = &piece {
            self.counted += bytes.len() as u64;
            if self.since.elapsed() >= WINDOW {
                if self.counted < LEAST {
                    return Err(slow("it sends next to nothing"));
                }
                (self.counted, self.since) = (0, Instant::now());
            }
        }
        Ok(piece)
    }

    /// The next piece; asks for the blob where that was not done.
    async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let failed = |status: tonic::Status| io::Error::other(rpc::from_status(&status).message);
        let pieces = if let Some(pieces) = self.pieces.take() {
            pieces
        } else {
            let pieces = self.client.blob(self.request.clone()).await.map_err(failed)?;
            self.since = Instant::now();
            pieces
        };
        let piece = self.pieces.insert(pieces).message().await.map_err(failed)?;
        Ok(piece.map(|piece| piece.bytes))
    }
}

fn slow(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what.to_owned())
}
