//! Publishes what is read for one subscription, in batches: what comes while a call is under way goes with the next.

use std::fmt::Debug;

use async_trait::async_trait;
use model::{LogBatch, LogEntry, LogSubscriptionId, TaskId, TaskLogEnd};
use rpc::LogClient;
use tokio::sync::mpsc;
use tonic::{Code, Status};

/// Bytes of the lines of a batch, about.
const BATCH: usize = 64 << 10;
/// Lines of a subscription that wait for the next batch; each has at most [`super::lines::LONGEST`] bytes and a piece.
pub(super) const WAITING: usize = 64;

/// Where batches go.
#[async_trait]
pub(crate) trait LogSink: Debug + Send + Sync + 'static {
    /// Hands a batch over; returns once more may follow.
    async fn publish(&self, batch: LogBatch) -> Result<(), Status>;
}

#[async_trait]
impl LogSink for LogClient {
    async fn publish(&self, batch: LogBatch) -> Result<(), Status> {
        LogClient::publish(self, batch).await
    }
}

/// What readers hand to the publisher.
#[derive(Debug)]
pub(super) enum Read {
    /// A line of a task.
    Line(TaskId, LogEntry),
    /// Nothing more comes of a task.
    End(TaskLogEnd),
}

/// Publishes until nobody reads any more (`Ok`) or a call fails.
pub(super) async fn publish(
    sink: &dyn LogSink,
    subscription: LogSubscriptionId,
    listening: u64,
    mut read: mpsc::Receiver<Read>,
) -> Result<(), Status> {
    while let Some(first) = read.recv().await {
        let mut batch = LogBatch { subscription, listening, entries: Vec::new(), ended: Vec::new() };
        let mut bytes = put(&mut batch, first);
        while bytes < BATCH
            && let Ok(next) = read.try_recv()
        {
            bytes += put(&mut batch, next);
        }
        match sink.publish(batch).await {
            Ok(()) => {}
            Err(status) if rpc::is_answer(&status) && status.code() == Code::NotFound => return Ok(()),
            Err(status) => return Err(status),
        }
    }
    Ok(())
}

/// Adds to a batch, and gives the bytes.
fn put(batch: &mut LogBatch, read: Read) -> usize {
    match read {
        Read::Line(task, entry) => {
            let bytes = entry.text.len();
            batch.entries.push((task, entry));
            bytes
        }
        Read::End(end) => {
            batch.ended.push(end);
            0
        }
    }
}
