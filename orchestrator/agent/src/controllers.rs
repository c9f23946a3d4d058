//! Who runs each task of this node, for those who ask about a task that is there already.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::TaskId;
use tokio::sync::watch;

use crate::controller::Controller;

/// The controllers of this node's tasks, by task.
pub(crate) struct Controllers {
    known: Mutex<BTreeMap<TaskId, Arc<dyn Controller>>>,
    is_loaded: watch::Sender<bool>,
}

impl Controllers {
    /// None yet, and none loaded.
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default(), is_loaded: watch::Sender::new(false) }
    }

    /// The tasks that were kept over the agent's restart are all there.
    pub(crate) fn loaded(&self) {
        self.is_loaded.send_replace(true);
    }

    /// A task is here.
    pub(crate) fn add(&self, task: TaskId, controller: Arc<dyn Controller>) {
        self.known().insert(task, controller);
    }

    /// A task is gone.
    pub(crate) fn remove(&self, task: &TaskId) {
        self.known().remove(task);
    }

    /// Who runs a task. Waits until those that were kept are loaded; `None` where the task is not here.
    pub(crate) async fn find(&self, task: &TaskId) -> Option<Arc<dyn Controller>> {
        let mut is_loaded = self.is_loaded.subscribe();
        is_loaded.wait_for(|is_loaded| *is_loaded).await.ok()?;
        self.known().get(task).cloned()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<TaskId, Arc<dyn Controller>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Controllers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Controllers").field("tasks", &self.known().len()).finish_non_exhaustive()
    }
}
