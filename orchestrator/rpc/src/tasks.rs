//! Tasks that hyper asks for, kept in a set that ends them with its owner.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

/// A set of tasks that several hands may add to. All of them end when the last hand lets go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Adds a task, and forgets those that have ended.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// A hand that adds tasks as long as the set has an owner, and keeps none alive.
    pub(crate) fn weak(&self) -> WeakTasks {
        WeakTasks(Arc::downgrade(&self.0))
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
