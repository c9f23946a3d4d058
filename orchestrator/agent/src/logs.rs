//! Gives the managers what this node's tasks have written: it listens to the leader, reads, and publishes.
//!
//! ```text
//! leader ── orders ──> here ── a publisher a subscription ──> leader, one call at a time
//!                                └── a reader a task ──> controller (the container's log)
//! ```
//! All of it stands beside the session, in tasks and on a connection of its own, so that neither much output nor a
//! leader that takes none holds a heartbeat up. A reader that is not taken from stops reading: the container goes on.
//! When a call fails the node listens anew, and the leader says where to go on.

mod lines;
mod publisher;
mod readings;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rand::rngs::StdRng;
use rpc::{Connector, LogClient, TlsState};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::debug;

use crate::AgentView;
use crate::backoff::Backoff;
use crate::controllers::Controllers;
use crate::remotes::Remote;
#[cfg(test)]
pub(crate) use publisher::LogSink;
pub(crate) use readings::Readings;

/// How long the leader has to answer that it tells what to read.
const ANSWER: Duration = Duration::from_secs(5);
/// A listening that lasted so long was a good one: the next begins without a growing pause.
const LASTING: Duration = Duration::from_secs(10);

/// Listens to the leader in session with this node, and publishes.
#[derive(Debug)]
pub(crate) struct LogSource {
    pub(crate) controllers: Arc<Controllers>,
    /// For what the leader says: little, and taken at once.
    pub(crate) connector: Connector,
    /// For a connection that carries output, and is made when there is some.
    pub(crate) tls: TlsState,
    pub(crate) view: watch::Receiver<AgentView>,
    pub(crate) rng: StdRng,
}

impl LogSource {
    /// Listens whenever there is a session, until cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        while let Some(manager) = self.manager(&cancel).await {
            let over = over(self.view.clone(), manager.clone());
            tokio::select! {
                () = cancel.cancelled() => return,
                () = over => {}
                () = self.serve(&manager) => {}
            }
        }
    }

    /// The manager in session with this node, once there is one; nothing when cancelled.
    async fn manager(&mut self, cancel: &CancellationToken) -> Option<Remote> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            view = self.view.wait_for(|view| view.manager.is_some()) => view.ok()?.manager.clone(),
        }
    }

    /// Listens to a manager, and again when it fails, for as long as it is called.
    async fn serve(&mut self, manager: &Remote) {
        let mut backoff = Backoff::new();
        loop {
            let began = Instant::now();
            let status = self.listen(manager).await;
            debug!(manager = %manager.addr, error = %status.message(), "no longer listening for logs to read");
            if status.code() == Code::Unimplemented {
                // It is of a version that reads no logs.
                return std::future::pending().await;
            }
            if began.elapsed() >= LASTING {
                backoff = Backoff::new();
            }
            tokio::time::sleep(backoff.next(&mut self.rng)).await;
        }
    }

    /// Listens until it fails.
    async fn listen(&self, manager: &Remote) -> Status {
        let listening = LogClient::new(self.connector.channel(manager.addr, manager.node.clone()));
        let own = Connector::new(self.tls.clone());
        let publishing = LogClient::new(own.channel(manager.addr, manager.node.clone()));
        let orders = match tokio::time::timeout(ANSWER, listening.listen()).await {
            Ok(Ok(orders)) => orders,
            Ok(Err(status)) => return status,
            Err(_elapsed) => return Status::deadline_exceeded("the leader does not say what to read"),
        };
        let mut readings = Readings::new(Arc::clone(&self.controllers), Arc::new(publishing));
        readings.follow(orders.boxed()).await
    }
}

/// Waits until another manager, or none, is in session with this node, or the agent ends.
async fn over(mut view: watch::Receiver<AgentView>, manager: Remote) {
    let _ = view.wait_for(|view| view.manager.as_ref() != Some(&manager)).await;
}
