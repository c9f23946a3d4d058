//! Keeps one place in order: replaces what was lost or has ended, retires what is too many, starts what has waited.
//!
//! The steps stand in the order in which they are looked at; the first one that has work does it, and the next look does
//! the rest. It never begins an update: that is the updater's.

use model::{RestartCondition, Task, TaskState, UpdateOrder};

use super::change::{Change, Decision, want};
use super::place::{Occupants, Place, has_finished, is_live, is_wanted};
use super::restart::{self, Start};
use super::situation::Situation;
use super::updater;

/// Decides what a place needs that is to have one task.
pub(crate) fn settle(place: &Place, occupants: &Occupants<'_>, situation: &Situation, decision: &mut Decision) {
    if is_in_order(occupants, situation) {
        return;
    }
    let before = decision.groups.len();
    replace_displaced(place, occupants, situation, decision);
    if decision.groups.len() > before {
        return;
    }
    if let Some(ended) = occupants.ended().next() {
        return replace_ended(place, occupants, ended, situation, decision);
    }
    retire_surplus(occupants, situation, decision);
    if decision.groups.len() > before {
        return;
    }
    start_waiting(occupants, situation, decision);
    if occupants.live().next().is_none() && !is_given_up(place, occupants) {
        decision.push(vec![make(place, occupants, situation, is_live)]);
    }
}

/// Whether a place is as nearly all are at nearly all times: its newest task is on its way or runs where it may stay, and
/// nothing else there is wanted.
fn is_in_order(occupants: &Occupants<'_>, situation: &Situation) -> bool {
    let Some((newest, former)) = occupants.0.split_last() else { return false };
    newest.state.desired == situation.goal()
        && is_live(newest)
        && !situation.is_displaced(newest)
        && !former.iter().any(|task| is_wanted(task))
}

/// Starts the tasks of a place that have waited long enough.
pub(crate) fn start_waiting(occupants: &Occupants<'_>, situation: &Situation, decision: &mut Decision) {
    for task in occupants.live().filter(|task| task.state.desired == TaskState::Ready) {
        match restart::start(task, occupants, situation) {
            Start::Now => decision.want(&task.id, situation.goal()),
            Start::NotBefore(moment) => decision.wake_at(moment),
        }
    }
}

/// Whether a place has no live task because its last one ended and is not to be replaced.
pub(crate) fn is_given_up(place: &Place, occupants: &Occupants<'_>) -> bool {
    occupants.latest().is_some_and(|last| {
        let is_never_replaced = restart::condition(last) == RestartCondition::None;
        let is_finished = occupants.has_ended_by_itself(last) && !restart::is_allowed(last, occupants);
        !is_live(last) && (is_finished || (is_never_replaced && place.node().is_none()))
    })
}

/// A task for a place: to run at once, or, where one that does not stay has not stopped yet, to wait for that.
pub(crate) fn make(
    place: &Place,
    occupants: &Occupants<'_>,
    situation: &Situation,
    stays: impl Fn(&Task) -> bool,
) -> Change {
    let must_wait = occupants.all().any(|task| !stays(task) && !situation.has_stopped(task));
    Change::Make { place: place.clone(), desired: if must_wait { TaskState::Ready } else { situation.goal() } }
}

/// Tasks whose node is drained, down or removed are replaced at once and without delay.
fn replace_displaced(place: &Place, occupants: &Occupants<'_>, situation: &Situation, decision: &mut Decision) {
    let (displaced, others): (Vec<&Task>, Vec<&Task>) = occupants.live().partition(|task| situation.is_displaced(task));
    let mut group: Vec<Change> = displaced.iter().map(|task| want(&task.id, TaskState::Shutdown)).collect();
    let is_only_one = others.is_empty() && occupants.ended().next().is_none();
    if is_only_one && displaced.iter().any(|task| restart::condition(task) != RestartCondition::None) {
        group.push(make(place, occupants, situation, |_| false));
    }
    decision.push(group);
}

/// A task that ended by itself is replaced by its policy; one that waited for its start ends its wait first, so that an
/// image which nobody has is not asked for all the time.
fn replace_ended(
    place: &Place,
    occupants: &Occupants<'_>,
    ended: &Task,
    situation: &Situation,
    decision: &mut Decision,
) {
    let retired = want(&ended.id, TaskState::Shutdown);
    if occupants.live().any(|task| situation.is_current(task)) {
        return decision.push(vec![retired]);
    }
    let due = restart::due(ended, occupants);
    if ended.state.desired == TaskState::Ready && situation.now < due {
        return decision.wake_at(due);
    }
    if !has_finished(ended) {
        return decision.push(vec![retired, make(place, occupants, situation, is_live)]);
    }
    if !restart::is_allowed(ended, occupants) {
        return decision.push(vec![retired]);
    }
    let is_delayed = restart::delay(situation.service.spec.task_template.restart_policy.as_ref()) > 0;
    let made = if is_delayed {
        Change::Make { place: place.clone(), desired: TaskState::Ready }
    } else {
        make(place, occupants, situation, is_live)
    };
    decision.push(vec![retired, made]);
}

/// Of several live tasks one stays: one that is current and runs, or else one that is current; next to that, while it does
/// not run yet, the outdated one that does, where the update starts first.
fn retire_surplus(occupants: &Occupants<'_>, situation: &Situation, decision: &mut Decision) {
    let is_running = |task: &&Task| task.state.status.state == TaskState::Running;
    let (current, outdated): (Vec<&Task>, Vec<&Task>) = occupants.live().partition(|task| situation.is_current(task));
    if current.len() + outdated.len() < 2 {
        return;
    }
    let first_running = |tasks: &[&Task]| tasks.iter().copied().find(is_running).map(|task| task.id.clone());
    let first = |tasks: &[&Task]| first_running(tasks).or_else(|| tasks.first().map(|task| task.id.clone()));
    let is_start_first = updater::config(&situation.service).order() == UpdateOrder::StartFirst;
    let mut kept = vec![first(&current).or_else(|| first(&outdated))];
    if is_start_first && !current.is_empty() && first_running(&current).is_none() {
        kept.push(first_running(&outdated));
    }
    let surplus = current.iter().chain(&outdated).filter(|task| !kept.contains(&Some(task.id.clone())));
    decision.push(surplus.map(|task| want(&task.id, TaskState::Shutdown)).collect());
}
