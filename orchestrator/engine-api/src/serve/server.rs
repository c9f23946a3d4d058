//! Serves the API on its two kinds of listeners until it is told to stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use node::{ApiTls, SwarmNode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::connection::serve;
use super::tls::Gate;
use super::unix_socket::UnixSocket;
use crate::api::{Api, Entrance, Peer};

/// How many connections a listener holds; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 512;
/// How long to wait when the system cannot give us a connection (too many open files, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the API is served no more.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener is broken.
    #[error("failed to accept connections")]
    Accept(#[source] io::Error),
}

/// The Engine API of a node. Starts nothing by itself.
#[derive(Debug, Clone)]
pub struct ApiServer {
    node: Arc<dyn SwarmNode>,
    engine: Arc<Engine>,
}

impl ApiServer {
    /// The API of a node and its engine.
    pub fn new(node: Arc<dyn SwarmNode>, engine: Arc<Engine>) -> Self {
        Self { node, engine }
    }

    /// Serves whoever may open the socket, until cancelled. Requests under way then have a few seconds to end.
    pub async fn serve_unix(&self, socket: UnixSocket, cancel: CancellationToken) -> Result<(), ServeError> {
        let entrance = self.entrance();
        let mut connections = JoinSet::new();
        info!(path = %socket.path().display(), "engine API listening");
        loop {
            let accepted = tokio::select! {
                () = cancel.cancelled() => break,
                Some(ended) = connections.join_next() => { report(ended); continue }
                accepted = socket.listener.accept(), if connections.len() < MAX_CONNECTIONS => accepted,
            };
            if let Some((stream, _)) = usable(accepted).await? {
                connections.spawn(serve(stream, Peer::Local, entrance.clone(), cancel.clone()));
            }
        }
        drop(socket);
        drain(connections).await;
        Ok(())
    }

    /// Serves clients of the client authority, until cancelled. While there are no settings, whoever connects is
    /// turned away at once; new settings count from the next connection on.
    pub async fn serve_tls(
        &self,
        listener: TcpListener,
        mut settings: watch::Receiver<Option<ApiTls>>,
        cancel: CancellationToken,
    ) -> Result<(), ServeError> {
        let entrance = self.entrance();
        let mut connections = JoinSet::new();
        let mut gate = next_gate(None, settings.borrow_and_update().as_ref(), &cancel);
        loop {
            let accepted = tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Ok(()) = settings.changed() => {
                    gate = next_gate(gate, settings.borrow_and_update().as_ref(), &cancel);
                    continue;
                }
                Some(ended) = connections.join_next() => { report(ended); continue }
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => accepted,
            };
            let Some((stream, address)) = usable(accepted).await? else { continue };
            let Some(gate) = gate.clone() else {
                debug!(%address, "turned away: the API has no certificate");
                continue;
            };
            let entrance = entrance.clone();
            connections.spawn(async move {
                let admitted = tokio::select! {
                    () = gate.closing.cancelled() => return,
                    admitted = gate.admit(stream) => admitted,
                };
                match admitted {
                    Ok((stream, peer)) => serve(stream, peer, entrance, gate.closing).await,
                    Err(error) => debug!(%address, error = &error as &dyn std::error::Error, "turned away"),
                }
            });
        }
        drop(listener);
        drain(connections).await;
        Ok(())
    }

    fn entrance(&self) -> Entrance {
        Entrance::new(Api { node: Arc::clone(&self.node), engine: Arc::clone(&self.engine) })
    }
}

/// The gate for the settings that now count. Ends the connections of clients that are trusted no longer.
fn next_gate(before: Option<Gate>, settings: Option<&ApiTls>, cancel: &CancellationToken) -> Option<Gate> {
    let gate = settings.and_then(|settings| {
        Gate::new(settings, before.as_ref(), cancel)
            .inspect_err(|error| error!(error = error as &dyn std::error::Error, "the API's TLS settings are unusable"))
            .ok()
    });
    if let Some(before) = before
        && !gate.as_ref().is_some_and(|gate| gate.shares_clients_with(&before))
    {
        before.closing.cancel();
    }
    gate
}

/// A connection; nothing where the next may do better.
async fn usable<T>(accepted: io::Result<T>) -> Result<Option<T>, ServeError> {
    match accepted {
        Ok(accepted) => Ok(Some(accepted)),
        Err(error) if is_hopeless(&error) => Err(ServeError::Accept(error)),
        Err(error) => {
            warn!(%error, "failed to accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            Ok(None)
        }
    }
}

fn is_hopeless(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected | io::ErrorKind::Unsupported)
}

async fn drain(mut connections: JoinSet<()>) {
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection's task failed");
    }
}
