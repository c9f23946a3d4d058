//! What a node is asked to do, one at a time.

use ca::UnlockKey;
use model::{NodeId, SwarmError};
use tokio::sync::oneshot;

use crate::{InitRequest, JoinRequest, words};

/// Somebody who waits for an answer; whether they still do is their business.
#[derive(Debug)]
pub(crate) struct Answer<T>(pub(crate) oneshot::Sender<Result<T, SwarmError>>);

impl<T> Answer<T> {
    /// Whether anybody still waits.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.0.is_closed()
    }

    /// Gives the answer.
    pub(crate) fn give(self, answer: Result<T, SwarmError>) {
        // A caller that has gone has lost interest, and there is nobody else to tell.
        let _ = self.0.send(answer);
    }
}

/// What a node is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Start a swarm.
    Init { request: Box<InitRequest>, answer: Answer<NodeId> },
    /// Join a swarm.
    Join { request: Box<JoinRequest>, answer: Answer<()> },
    /// Open the keys of a locked manager.
    Unlock { key: UnlockKey, answer: Answer<()> },
    /// Leave the swarm.
    Leave { force: bool, answer: Answer<()> },
}

impl Command {
    /// Refuses it, whatever it is. Who would unlock a node is told that it is not locked: it has been a moment ago.
    pub(crate) fn refuse(self, refusal: SwarmError) {
        match self {
            Self::Init { answer, .. } => answer.give(Err(refusal)),
            Self::Unlock { answer, .. } => answer.give(Err(words::not_locked())),
            Self::Join { answer, .. } | Self::Leave { answer, .. } => answer.give(Err(refusal)),
        }
    }
}
