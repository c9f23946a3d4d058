//! What a service needs now: a pure function from its situation to changes.
//!
//! Which places there are to be is the mode's business; what goes on in one is settled alike in all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{NodeHealth, Task, TaskState};

use super::change::{Change, Decision};
use super::place::{Occupants, Place, is_live, places};
use super::situation::{Situation, after};
use super::{global, job, replicated, updater};

/// How long a node is down before its tasks count as lost for good (SwarmKit's 24 h, ns).
const ORPHANED_AFTER: i64 = 86_400_000_000_000;

/// Places that are to have a task, with what is in them.
pub(crate) type Kept<'s> = Vec<(&'s Place, &'s Occupants<'s>)>;

/// Decides what a service needs now; does nothing itself. Once all of it is done, the next decision has no changes.
pub(crate) fn decide(situation: &Situation) -> Decision {
    let mut decision = Decision::default();
    let spec = &situation.service.spec;
    let places = places(&situation.tasks);
    if situation.service.state.is_removed {
        for task in &situation.tasks {
            forget(task, &mut decision);
        }
    } else if spec.is_job() {
        job::decide(&places, situation, &mut decision);
    } else {
        let kept = if spec.is_global() {
            global::decide(&places, situation, &mut decision)
        } else {
            replicated::decide(&places, situation, &mut decision)
        };
        // What is out of order comes first; the update goes on at the next look.
        if decision.groups.is_empty() {
            updater::advance(&kept, situation, &mut decision);
        }
    }
    orphan(situation, &mut decision);
    decision
}

/// Whether it makes a difference to a service that a task gets a node or comes to run: an update is under way, or one of
/// two tasks is to make room for the other.
pub(crate) fn is_moving(situation: &Situation) -> bool {
    let mut taken = BTreeSet::new();
    let mut live = situation.tasks.iter().filter(|task| is_live(task));
    updater::is_under_way(&situation.service) || !live.all(|task| taken.insert(Place::of(task)))
}

/// Lets a place be forgotten, with all its history.
pub(crate) fn forget_place(occupants: &Occupants<'_>, decision: &mut Decision) {
    occupants.all().for_each(|task| forget(task, decision));
}

/// Lets a task be forgotten once it has stopped.
pub(crate) fn forget(task: &Task, decision: &mut Decision) {
    if task.state.desired < TaskState::Remove {
        decision.want(&task.id, TaskState::Remove);
    }
}

/// Gives up tasks that nobody wants and whose node is removed, or was down for so long that nobody waits for it: their
/// end will never be heard, and what they hold is freed.
fn orphan(situation: &Situation, decision: &mut Decision) {
    let has_begun = |state: TaskState| state >= TaskState::Assigned && !state.is_terminal();
    let unwanted = |task: &&Arc<Task>| task.state.desired >= TaskState::Shutdown && has_begun(task.state.status.state);
    for task in situation.tasks.iter().filter(unwanted) {
        let node = task.state.node_id.as_ref().and_then(|node| situation.nodes.get(node));
        let lost_at = match node {
            Some(node) if node.state.status.state == NodeHealth::Down => {
                after(node.meta.updated_at.max(task.meta.updated_at), ORPHANED_AFTER)
            }
            Some(_) => continue,
            None => situation.now,
        };
        if lost_at <= situation.now {
            decision.push(vec![Change::Orphan(task.id.clone())]);
        } else {
            decision.wake_at(lost_at);
        }
    }
}
