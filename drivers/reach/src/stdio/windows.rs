//! Standard input where it cannot be polled: a reader that may take one more key after the session's end.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, Stdin};

use crate::ReachError;
use crate::process::{PIECE, Source};

/// Standard input.
pub(crate) struct StandardInput {
    stdin: Stdin,
}

impl StandardInput {
    pub(crate) fn open() -> Self {
        Self { stdin: tokio::io::stdin() }
    }

    /// Reads no more.
    pub(crate) async fn close(self) {
        drop(self);
    }
}

#[async_trait]
impl Source for StandardInput {
    async fn next(&mut self) -> Result<Option<Bytes>, ReachError> {
        let mut buffer = vec![0; PIECE];
        match self.stdin.read(&mut buffer).await {
            Ok(0) | Err(_) => Ok(None),
            Ok(length) => {
                buffer.truncate(length);
                Ok(Some(buffer.into()))
            }
        }
    }
}

/// The terminal's size is told once, at the start: there is no signal for its changes here.
pub(crate) fn window_changes(_has_terminal: bool) -> WindowChanges {
    WindowChanges
}

/// See [`window_changes`].
pub(crate) struct WindowChanges;

impl WindowChanges {
    /// Never.
    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}
