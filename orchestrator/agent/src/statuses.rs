//! What a node knows of its tasks, and what of it the managers have not heard yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{SessionId, TaskId, TaskReport, TaskReports, TaskStatus};
use rpc::DispatcherClient;
use tokio::sync::Notify;
use tonic::{Code, Status};

/// Reports of one call at most; a report has some hundred bytes.
const TOGETHER: usize = 1000;

/// The state of each task that the node has, and who is to be told of it.
#[derive(Debug, Default)]
pub(crate) struct Statuses {
    known: Mutex<Known>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Known {
    statuses: BTreeMap<TaskId, TaskStatus>,
    unsent: BTreeSet<TaskId>,
}

impl Statuses {
    /// Notes a state, to be told as soon as a session stands.
    pub(crate) fn note(&self, task: &TaskId, status: TaskStatus) {
        let mut known = self.known();
        known.statuses.insert(task.clone(), status);
        known.unsent.insert(task.clone());
        drop(known);
        self.arrived.notify_one();
    }

    /// Forgets a task: nobody wants to hear of it.
    pub(crate) fn forget(&self, task: &TaskId) {
        let mut known = self.known();
        known.statuses.remove(task);
        known.unsent.remove(task);
    }

    /// Tells the managers everything once more, and then what is new, at once while no call is under way and together
    /// with what came while one was. Returns when a call fails; what it carried is told again in the next session.
    pub(crate) async fn report(&self, client: &DispatcherClient, session: &SessionId) -> Status {
        self.all_anew();
        loop {
            let reports = self.take();
            if reports.is_empty() {
                self.arrived.notified().await;
                continue;
            }
            let reports = TaskReports { session_id: session.clone(), reports };
            match client.report_tasks(reports).await {
                Ok(()) => {}
                // A manager of a version that has no tasks takes no reports of them either.
                Err(status) if status.code() == Code::Unimplemented => std::future::pending().await,
                Err(status) => return status,
            }
        }
    }

    /// What is known of a task.
    #[cfg(test)]
    pub(crate) fn status(&self, task: &TaskId) -> Option<TaskStatus> {
        self.known().statuses.get(task).cloned()
    }

    fn all_anew(&self) {
        let mut known = self.known();
        known.unsent = known.statuses.keys().cloned().collect();
    }

    fn take(&self) -> Vec<TaskReport> {
        let mut known = self.known();
        let Known { statuses, unsent } = &mut *known;
        let mut reports = Vec::new();
        while reports.len() < TOGETHER
            && let Some(task_id) = unsent.pop_first()
        {
            if let Some(status) = statuses.get(&task_id).cloned() {
                reports.push(TaskReport { task_id, status });
            }
        }
        reports
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
