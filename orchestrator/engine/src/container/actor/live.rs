//! What an actor has in hand while its container's program runs.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use runtime::{Container, Exit};
use tokio::time::Instant;

use crate::container::ProbeResult;
use crate::settings::Health;

/// What Docker says of a program whose end nobody saw.
const UNSEEN: i32 = 255;
/// The pause before a shim that could not be reached is asked again.
const WAIT_PAUSE: Duration = Duration::from_secs(1);

/// Something that an actor waits for beside its commands.
pub(super) type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What goes with a program that runs.
pub(super) struct Live {
    /// Done when it has ended.
    pub(super) ending: Waiting<Exit>,
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
            ending: Box::pin(async move { ended(&container).await }),
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

/// Waits until the program has ended. A shim that cannot be reached for a moment, say because there are too many open
/// files, has not ended; it is asked again as long as the runtime knows the container.
async fn ended(container: &Container) -> Exit {
    loop {
        match container.wait().await {
            Ok(exit) => return exit,
            Err(error) if container.state().is_err() => return unseen(Some(model::with_causes(&error))),
            Err(error) => {
                tracing::warn!(container = %container.id(), %error, "a container's end cannot be waited for; trying again");
                tokio::time::sleep(WAIT_PAUSE).await;
            }
        }
    }
}

/// The end of a program that nobody saw.
pub(super) fn unseen(error: Option<String>) -> Exit {
    Exit { code: UNSEEN, signal: None, oom_killed: false, finished_at: Timestamp::now(), error }
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
