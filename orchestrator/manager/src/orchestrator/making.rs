//! The one place where tasks are made.

use jiff::Timestamp;
use model::{Task, TaskId, TaskState};
use rand::rngs::StdRng;

use super::place::Place;
use super::situation::Situation;

/// Makes a task of a service's spec as it is now, for a place; `desired` is what is wanted of it first.
pub(crate) fn new_task(
    situation: &Situation,
    place: &Place,
    desired: TaskState,
    now: Timestamp,
    rng: &mut StdRng,
) -> Task {
    let mut task = Task::of(&situation.service, TaskId::generate(rng), place.slot(), now);
    task.state.node_id = place.node().cloned();
    task.state.desired = desired;
    task.state.log_driver = task.state.log_driver.or_else(|| situation.log_driver.clone());
    task
}
