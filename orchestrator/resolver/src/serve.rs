//! Serving one container: datagrams and streams, each bounded.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::answer::{Reply, answer, failure};
use crate::forward::{Way, forward, read_message, write_message};
use crate::{Names, ResolverError, Sockets};

/// How many questions of one container others are being asked at once; more are dropped, and asked again by their askers.
const FORWARDS: usize = 256;
/// How many connections a container has; more wait until one ends.
const CONNECTIONS: usize = 64;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(10);
/// The longest question in a datagram, in bytes: names have 255, options little.
const LONGEST_QUESTION: usize = 4096;

/// How long after an error of a socket it is used again: the process may have no more descriptors for a moment.
const RECOVERY: Duration = Duration::from_millis(100);

/// Answers the questions of a container until it is dropped. An error says that the sockets could not be taken.
pub async fn serve(sockets: Sockets, names: Arc<dyn Names>) -> Result<(), ResolverError> {
    let datagrams = UdpSocket::from_std(sockets.datagrams).map_err(ResolverError::at("serve"))?;
    let streams = TcpListener::from_std(sockets.streams).map_err(ResolverError::at("serve"))?;
    let turns = Arc::new(AtomicUsize::new(0));
    tokio::select! {
        never = serve_datagrams(Arc::new(datagrams), Arc::clone(&names), Arc::clone(&turns)) => match never {},
        never = serve_streams(streams, names, turns) => match never {},
    }
}

async fn serve_datagrams(socket: Arc<UdpSocket>, names: Arc<dyn Names>, turns: Arc<AtomicUsize>) -> Infallible {
    let mut forwards = JoinSet::new();
    let mut bytes = [0; LONGEST_QUESTION];
    loop {
        let received = tokio::select! {
            Some(_) = forwards.join_next(), if !forwards.is_empty() => continue,
            received = socket.recv_from(&mut bytes) => received,
        };
        let Some((length, asker)) = usable(received).await else { continue };
        let message = &bytes[..length];
        match answer(message, &*names, turns.fetch_add(1, Ordering::Relaxed), true) {
            Reply::Send(answer) => send(&socket, &answer, asker).await,
            Reply::Forward if forwards.len() < FORWARDS => {
                let (message, servers, socket) = (message.to_vec(), names.servers(), Arc::clone(&socket));
                forwards.spawn(async move {
                    let answer = forward(&message, &servers, Way::Datagram).await;
                    send(&socket, &answer, asker).await;
                });
            }
            Reply::Forward | Reply::Nothing => {}
        }
    }
}

/// What came; nothing after an error, and a while.
async fn usable<T>(came: io::Result<T>) -> Option<T> {
    match came {
        Ok(came) => Some(came),
        Err(error) => {
            tracing::warn!(%error, "a container's name server could not take a question; trying again");
            tokio::time::sleep(RECOVERY).await;
            None
        }
    }
}

/// Sends an answer; who does not take it asks again.
async fn send(socket: &UdpSocket, answer: &[u8], asker: SocketAddr) {
    if let Err(error) = socket.send_to(answer, asker).await {
        tracing::debug!(%asker, %error, "an answer to a container's question was not sent");
    }
}

async fn serve_streams(listener: TcpListener, names: Arc<dyn Names>, turns: Arc<AtomicUsize>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                let Some((stream, _)) = usable(accepted).await else { continue };
                let (names, turns) = (Arc::clone(&names), Arc::clone(&turns));
                connections.spawn(async move {
                    if let Err(error) = serve_stream(stream, &*names, &turns).await {
                        tracing::debug!(%error, "a container's connection to its name server ended");
                    }
                });
            }
        }
    }
}

/// Answers the questions of one connection, one after the other, until nothing more comes.
async fn serve_stream(mut stream: TcpStream, names: &dyn Names, turns: &AtomicUsize) -> io::Result<()> {
    loop {
        let Ok(message) = timeout(IDLE, read_message(&mut stream)).await else { return Ok(()) };
        let message = message?;
        let reply = match answer(&message, names, turns.fetch_add(1, Ordering::Relaxed), false) {
            Reply::Send(answer) => answer,
            Reply::Forward => forward(&message, &names.servers(), Way::Stream).await,
            Reply::Nothing => return Ok(()),
        };
        // One that is too long for a message is as good as none.
        let reply = if reply.len() > usize::from(u16::MAX) { failure(&message) } else { reply };
        let Ok(written) = timeout(IDLE, write_message(&mut stream, &reply)).await else { return Ok(()) };
        written?;
    }
}
