//! Tasks that hyper asks for, kept in a set that ends them with its owner.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use tokio::task::JoinSet;

/// A set of tasks that several hands may add to. All of them end when the last hand lets go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Adds a task, and forgets those that have ended.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Waits until no task is left.
    pub(crate) async fn finished(&self) {
        let next = |context: &mut Context<'_>| self.lock().poll_join_next(context).map(|ended| ended.is_some());
        while poll_fn(next).await {}
    }

    /// A hand that adds tasks as long as the set has an owner, and keeps none alive.
    pub(crate) fn weak(&self) -> WeakTasks {
        WeakTasks(Arc::downgrade(&self.0))
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds tasks to a set without owning it: what tasks of the set may hold themselves.
#[derive(Debug, Clone)]
pub(crate) struct WeakTasks(std::sync::Weak<Mutex<JoinSet<()>>>);

impl<F> hyper::rt::Executor<F> for WeakTasks
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        if let Some(tasks) = self.0.upgrade() {
            Tasks(tasks).spawn(async move {
                future.await;
            });
        }
    }
}
