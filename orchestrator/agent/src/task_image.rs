//! Has the image of a task here: it is here, or comes from its registry, or from another node.
//!
//! ```text
//!  here ─ no ─> registry ─┬─ gives it: done
//!                         ├─ refuses, fails, or is silent for two seconds ──> other nodes ─┬─ one gives it: done
//!                         └─ answers: it has its time                  none: the registry has its time
//! ```
//!
//! What a registry refuses and no node has is nowhere: the task is rejected, in Docker's words. While a registry or the
//! nodes cannot be asked, the task waits and is tried again.

use std::sync::Arc;
use std::time::Duration;

use engine::Images;
use image::{Credentials, ImageError, Progress, ProgressLine, Reference, RegistryError};
use model::{TaskId, with_causes};
use tokio::sync::watch;

use crate::TaskFailure;
use crate::peers::{PeerFailure, PeerImages};

/// How long a registry may be silent before other nodes are asked as well: one that is there answers sooner.
const SILENCE: Duration = Duration::from_secs(2);

/// The image of a task.
#[derive(Debug)]
pub(crate) struct TaskImage<'a> {
    pub(crate) images: &'a Images,
    /// The other nodes.
    pub(crate) peers: Option<PeerImages>,
    pub(crate) task: &'a TaskId,
    /// As the task names it.
    pub(crate) name: &'a str,
}

impl TaskImage<'_> {
    /// On return the image is here, under this name.
    pub(crate) async fn ensure(&self, credentials: &Credentials) -> Result<(), TaskFailure> {
        let store = self.images.store();
        if store.find(self.name).is_ok() {
            return Ok(());
        }
        let reference: Reference = self.name.parse().map_err(|error| TaskFailure::fatal(format!("{error}")))?;
        if store.adopt(&reference).await.map_err(|error| self.missing(&error))?.is_some() {
            return Ok(());
        }
        let contact = Arc::new(Contact::default());
        let progress = Arc::<Contact>::clone(&contact);
        let mut pull = std::pin::pin!(self.images.pull(&reference, None, credentials, progress));
        let first = tokio::select! {
            pulled = &mut pull => Some(pulled),
            () = contact.silence() => None,
        };
        if let Some(Ok(_)) = first {
            return Ok(());
        }
        let peers = match self.ask_peers(&reference).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let pulled = match first {
            Some(pulled) => pulled,
            None => pull.await,
        };
        match pulled {
            Ok(_) => Ok(()),
            Err(ImageError::Registry(error)) => Err(self.verdict(&error, &peers)),
            Err(error) => Err(self.missing(&error)),
        }
    }

    async fn ask_peers(&self, reference: &Reference) -> Result<(), PeerFailure> {
        match &self.peers {
            Some(peers) => peers.fetch(self.images, self.task, reference).await.map(drop),
            None => Err(PeerFailure::Nowhere),
        }
    }

    /// What becomes of the task when neither its registry nor another node gives the image.
    fn verdict(&self, registry: &RegistryError, peers: &PeerFailure) -> TaskFailure {
        match peers {
            PeerFailure::Nowhere if !registry.is_transient() => self.missing(registry),
            PeerFailure::Nowhere | PeerFailure::Later(_) => {
                let (name, registry) = (self.name, with_causes(registry));
                TaskFailure::temporary(format!("image {name} cannot be had now: {registry}; {peers}"))
            }
            PeerFailure::Own(_) => self.missing(peers),
        }
    }

    /// Docker's words, which say what is missing rather than why.
    fn missing(&self, error: &(dyn std::error::Error + 'static)) -> TaskFailure {
        TaskFailure::fatal(format!("No such image: {} ({})", self.name, with_causes(error)))
    }
}

/// Whether a registry has said anything of use.
#[derive(Debug)]
struct Contact(watch::Sender<bool>);

impl Default for Contact {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Contact {
    /// Returns when the registry has been silent for too long; never, once it has spoken before that.
    async fn silence(&self) {
        let mut has_spoken = self.0.subscribe();
        let spoken = has_spoken.wait_for(|has_spoken| *has_spoken);
        if tokio::time::timeout(SILENCE, spoken).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }
}

impl Progress for Contact {
    fn report(&self, _: ProgressLine) {
        self.0.send_replace(true);
    }
}
