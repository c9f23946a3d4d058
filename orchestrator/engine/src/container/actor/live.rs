//! What an actor has in hand while its container's program runs.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use runtime::{Container, Exit, RuntimeError};
use tokio::time::Instant;

use crate::container::ProbeResult;
use crate::settings::Health;

/// Something that an actor waits for beside its commands.
pub(super) type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What goes with a program that runs.
pub(super) struct Live {
    /// Done when it has ended.
    pub(super) ending: Waiting<Result<Exit, RuntimeError>>,
    /// When it is ended by force.
    pub(super) kill_at: Option<Instant>,
    /// Whether an operator has asked it to end.
    pub(super) is_stopping: bool,
    /// How it is asked whether it is well.
    pub(super) health: Option<Health>,
    /// A question that waits for its answer.
    pub(super) probe: Option<Waiting<ProbeResult>>,
    /// When it is asked next.
    pub(super) next_question: Option<Instant>,
}

impl Live {
    pub(super) fn new(container: &Container, health: Option<Health>, first_question: Option<Duration>) -> Self {
        let container = container.clone();
        Self {
            ending: Box::pin(async move { container.wait().await }),
            kill_at: None,
            is_stopping: false,
            health,
            probe: None,
            next_question: first_question.map(|pause| Instant::now() + pause),
        }
    }

    /// When the next question is due; never while one is open.
    pub(super) fn question_at(&self) -> Option<Instant> {
        self.next_question.filter(|_| self.probe.is_none())
    }
}

/// Waits for what may not be there.
pub(super) async fn or_never<T>(waiting: Option<&mut Waiting<T>>) -> T {
    match waiting {
        Some(waiting) => waiting.await,
        None => std::future::pending().await,
    }
}

/// Waits for a moment that may not be set.
pub(super) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
