//! What nodes observed of their tasks, on its way to the store.
//!
//! Reads tasks. Writes the observed state of tasks that a node has. Never a wish, and never a state that goes back: a late
//! word of an earlier moment is passed over.

use model::{NodeId, SwarmError, TaskReport, TaskStatus};
use store::{Store, Transaction};
use tracing::debug;

/// Reports of one transaction at most.
const TOGETHER: usize = 64;

/// Commits what a node reports; the store joins what comes from many nodes at a time.
pub(crate) async fn commit(store: &Store, node: &NodeId, reports: Vec<TaskReport>) -> Result<(), SwarmError> {
    let mut reports = reports.into_iter().peekable();
    while reports.peek().is_some() {
        let (node, some): (_, Vec<_>) = (node.clone(), reports.by_ref().take(TOGETHER).collect());
        store.update(move |tx| some.into_iter().try_for_each(|report| note(tx, &node, report))).await?;
    }
    Ok(())
}

fn note(tx: &mut Transaction, node: &NodeId, report: TaskReport) -> Result<(), SwarmError> {
    let TaskReport { task_id, status } = report;
    // No view is held over the change: what a view shares must be copied.
    let Some(task) = tx.view().task(&task_id).filter(|task| task.state.node_id.as_ref() == Some(node)).cloned() else {
        debug!(task = %task_id, %node, "a report of a task that the node does not have");
        return Ok(());
    };
    if status.state < task.state.status.state || is_known(&task.state.status, &status) {
        return Ok(());
    }
    let applied_at = tx.time();
    tx.update_task(&task_id, |task| task.state.status = TaskStatus { applied_at, ..status })
}

/// Whether the same was reported before, in an earlier session.
fn is_known(known: &TaskStatus, told: &TaskStatus) -> bool {
    TaskStatus { applied_at: known.applied_at, running_since: known.running_since, ..told.clone() } == *known
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::TaskState;

    use crate::testing::{node_id, running_store, task};

    use super::*;

    fn report(number: u64, state: TaskState) -> TaskReport {
        TaskReport { task_id: task(number).id, status: TaskStatus::new(state, "reported", Timestamp::UNIX_EPOCH) }
    }

    #[tokio::test]
    async fn reports_of_ones_own_tasks_count_and_never_lead_back() {
        let running = running_store();
        let (mine, other) = (node_id(1), node_id(2));
        for (number, node) in [(1, &mine), (2, &other)] {
            let mut task = task(number);
            task.state.node_id = Some(node.clone());
            running.store.update(|tx| tx.create_task(task)).await.unwrap();
        }

        let reports = vec![report(1, TaskState::Running), report(2, TaskState::Running), report(3, TaskState::Running)];
        commit(&running.store, &mine, reports).await.unwrap();
        commit(&running.store, &mine, vec![report(1, TaskState::Starting)]).await.unwrap();

        let state = |number| running.store.view().task(&task(number).id).unwrap().state.status.state;
        assert_eq!((state(1), state(2)), (TaskState::Running, TaskState::Assigned));
        let applied = running.store.view().task(&task(1).id).unwrap().state.status.applied_at;
        assert!(applied > Timestamp::UNIX_EPOCH, "{applied}");
    }

    #[tokio::test]
    async fn what_is_known_changes_nothing() {
        let running = running_store();
        let mut one = task(1);
        one.state.node_id = Some(node_id(1));
        running.store.update(|tx| tx.create_task(one)).await.unwrap();
        commit(&running.store, &node_id(1), vec![report(1, TaskState::Running)]).await.unwrap();
        let index = running.store.view().index();

        commit(&running.store, &node_id(1), vec![report(1, TaskState::Running)]).await.unwrap();

        assert_eq!(running.store.view().index(), index);
    }
}
