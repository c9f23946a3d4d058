//! What is read for the leader at the moment: a publisher a subscription, a reader a task of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use model::{LogOrder, LogSubscriptionId, TaskLogEnd, TaskLogOrder};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tonic::Status;
use tracing::warn;

use super::lines::Lines;
use super::publisher::{LogSink, Read, WAITING, publish};
use crate::controller::LogQuery;
use crate::controllers::Controllers;

/// Logs that are read at a time: each takes a thread of the runtime's 512 for as long as it is read.
const READERS: usize = 200;
/// How long a log waits for others to be done with.
const TURN: Duration = Duration::from_secs(10);

/// All that is read in one listening.
#[derive(Debug)]
pub(crate) struct Readings {
    controllers: Arc<Controllers>,
    sink: Arc<dyn LogSink>,
    readers: Arc<Semaphore>,
    open: BTreeMap<LogSubscriptionId, Open>,
    publishers: JoinSet<(LogSubscriptionId, Result<(), Status>)>,
}

/// A subscription. Dropping it ends its readers.
#[derive(Debug)]
struct Open {
    read: mpsc::Sender<Read>,
    publisher: AbortHandle,
    readers: JoinSet<()>,
}

impl Readings {
    /// Nothing is read yet.
    pub(crate) fn new(controllers: Arc<Controllers>, sink: Arc<dyn LogSink>) -> Self {
        let readers = Arc::new(Semaphore::new(READERS));
        Self { controllers, sink, readers, open: BTreeMap::new(), publishers: JoinSet::new() }
    }

    /// Does what it is told until the orders end or a call fails. Dropping it ends all that is read.
    pub(crate) async fn follow(&mut self, mut orders: BoxStream<'static, Result<LogOrder, Status>>) -> Status {
        loop {
            tokio::select! {
                order = orders.next() => match order {
                    Some(Ok(order)) => self.take(order),
                    Some(Err(status)) => return status,
                    None => return Status::unavailable("the leader says no more what to read"),
                },
                Some(ended) = self.publishers.join_next() => match ended {
                    Ok((subscription, Ok(()))) => {
                        self.open.remove(&subscription);
                    }
                    Ok((_, Err(status))) => return status,
                    Err(error) if error.is_cancelled() => {}
                    Err(panic) => {
                        warn!(error = %panic, "the publisher of a subscription to logs has failed");
                        return Status::internal(panic.to_string());
                    }
                },
            }
        }
    }

    fn take(&mut self, order: LogOrder) {
        match order {
            LogOrder::Close { subscription } => {
                if let Some(closed) = self.open.remove(&subscription) {
                    closed.publisher.abort();
                }
            }
            LogOrder::Read { subscription, listening, follow, stdout, stderr, tasks } => {
                let (sink, publishers) = (&self.sink, &mut self.publishers);
                let open = self.open.entry(subscription).or_insert_with(|| {
                    let (read, reads) = mpsc::channel(WAITING);
                    let sink = Arc::clone(sink);
                    let publisher = publishers.spawn(async move {
                        (subscription, publish(sink.as_ref(), subscription, listening, reads).await)
                    });
                    Open { read, publisher, readers: JoinSet::new() }
                });
                while open.readers.try_join_next().is_some() {}
                for order in tasks {
                    let reader = TaskLogReader {
                        controllers: Arc::clone(&self.controllers),
                        readers: Arc::clone(&self.readers),
                        query: LogQuery { follow, stdout, stderr, tail: order.tail, since: order.since },
                        order,
                        read: open.read.clone(),
                    };
                    open.readers.spawn(reader.run());
                }
            }
        }
    }
}

/// Reads the log of one task.
struct TaskLogReader {
    controllers: Arc<Controllers>,
    readers: Arc<Semaphore>,
    query: LogQuery,
    order: TaskLogOrder,
    read: mpsc::Sender<Read>,
}

impl TaskLogReader {
    async fn run(self) {
        let error = self.read().await.err();
        // An error means that nobody reads any more.
        let _ = self.read.send(Read::End(TaskLogEnd { task: self.order.task, error })).await;
    }

    /// Reads to the end, or until it fails.
    async fn read(&self) -> Result<(), String> {
        // A task that is not here any more has left nothing.
        let Some(controller) = self.controllers.find(&self.order.task).await else { return Ok(()) };
        let turn = tokio::time::timeout(TURN, self.readers.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(format!("its node reads {READERS} logs already")) };
        let mut log = controller.logs(self.query).await.map_err(|failure| failure.message)?;
        let mut lines = Lines::default();
        while let Some(entry) = log.next().await {
            let entry = entry.map_err(|failure| failure.message)?;
            if let Some(line) = lines.put(entry) {
                self.pass_on(line).await;
            }
        }
        for line in lines.finish() {
            self.pass_on(line).await;
        }
        Ok(())
    }

    async fn pass_on(&self, line: model::LogEntry) {
        // The channel is closed where nobody reads any more: then this reader is dropped, too.
        let _ = self.read.send(Read::Line(self.order.task.clone(), line)).await;
    }
}
