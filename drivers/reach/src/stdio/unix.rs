//! Standard input on Unix: read only while somebody listens, so that no key is lost to a reader left behind.

use std::io;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::INPUT_PIECES;
use crate::ReachError;
use crate::process::{PIECE, Source};

/// Standard input, read by a thread of its own that ends when this is closed.
pub(crate) struct StandardInput {
    pieces: mpsc::Receiver<Bytes>,
    /// Closing it wakes and ends the reader.
    alive: Option<OwnedFd>,
    reader: Option<JoinHandle<()>>,
}

impl StandardInput {
    pub(crate) fn open() -> Self {
        let (sender, pieces) = mpsc::channel(INPUT_PIECES);
        let Ok((watched, alive)) = rustix::pipe::pipe() else {
            return Self { pieces, alive: None, reader: None };
        };
        let reader = tokio::task::spawn_blocking(move || read(&watched, &sender));
        Self { pieces, alive: Some(alive), reader: Some(reader) }
    }

    /// Ends the reader and waits for it.
    pub(crate) async fn close(mut self) {
        self.alive = None;
        self.pieces.close();
        if let Some(reader) = self.reader.take() {
            // It ends when its pipe does; a panic in it would be our own bug and has been printed.
            let _ = reader.await;
        }
    }
}

#[async_trait]
impl Source for StandardInput {
    async fn next(&mut self) -> Result<Option<Bytes>, ReachError> {
        Ok(self.pieces.recv().await)
    }
}

/// Hands standard input on until it ends, or until the other end of `watched` is closed.
fn read(watched: &OwnedFd, sender: &mpsc::Sender<Bytes>) {
    let stdin = io::stdin();
    let mut buffer = vec![0; PIECE];
    loop {
        let mut ready = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(watched, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        if ready[0].revents().is_empty() {
            continue;
        }
        match rustix::io::read(&stdin, &mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                if sender.blocking_send(Bytes::copy_from_slice(&buffer[..length])).is_err() {
                    return;
                }
            }
        }
    }
}

/// The moments at which the terminal's size changes; none where there is no terminal.
pub(crate) fn window_changes(has_terminal: bool) -> WindowChanges {
    WindowChanges { signal: has_terminal.then(|| signal(SignalKind::window_change()).ok()).flatten() }
}

/// See [`window_changes`].
pub(crate) struct WindowChanges {
    signal: Option<Signal>,
}

impl WindowChanges {
    /// The next change. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        let changed = match &mut self.signal {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if changed.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
