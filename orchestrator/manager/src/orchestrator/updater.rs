//! Changes the tasks of a service to its new spec, some at a time, and decides what failures mean. Pure.
//!
//! ```text
//!  (none) ──outdated tasks──> updating ──all changed and well for the monitor period──> completed
//!                                │ too many fail: pause                                 paused (until the next spec)
//!                                └─ too many fail: roll back ──> rollback_started ──> rollback_completed
//!                                                                     └─ too many fail ──> rollback_paused
//! ```
//! Nothing is kept beside the store: which tasks an update has made is told by their revision, how far it is by their
//! states, what it waits for by their times. A new leader goes on where the former one was.
//! An operator's new spec sets the status aside, and an operator's rollback sets it to `rollback_started`.

use std::sync::Arc;

use jiff::Timestamp;
use model::{FailureAction, Service, Task, TaskState, UpdateConfig, UpdateOrder, UpdateState, UpdateStatus};

use super::change::{Change, Decision, want};
use super::decide::Kept;
use super::place::{Occupants, Place, is_live};
use super::progress::{Failure, Progress};
use super::settle::make;
use super::situation::{Situation, after};

/// Docker's words for an update under way.
const IN_PROGRESS: &str = "update in progress";
/// Stands between those words and what we add to them.
const SEPARATOR: &str = "; ";

/// The settings that count now: those of rolling back while a service goes back.
pub(crate) fn config(service: &Service) -> UpdateConfig {
    let spec = &service.spec;
    let config = if is_rolling_back(service) { &spec.rollback_config } else { &spec.update_config };
    // SwarmKit's defaults: one at a time, and the rest as absent.
    config.clone().unwrap_or(UpdateConfig { parallelism: 1, ..UpdateConfig::default() })
}

fn is_rolling_back(service: &Service) -> bool {
    let state = service.state.update_status.as_ref().map(|status| status.state);
    matches!(state, Some(UpdateState::RollbackStarted | UpdateState::RollbackPaused))
}

/// Whether tasks are being changed now.
pub(crate) fn is_under_way(service: &Service) -> bool {
    let state = service.state.update_status.as_ref().map(|status| status.state);
    matches!(state, Some(UpdateState::Updating | UpdateState::RollbackStarted))
}

/// Takes the update of a service one step further; its places are in order.
pub(crate) fn advance(places: &Kept<'_>, situation: &Situation, decision: &mut Decision) {
    let is_current = |task: &Arc<Task>| task.state.spec_revision == situation.service.state.spec_revision;
    if !is_under_way(&situation.service) && situation.tasks.iter().all(is_current) {
        return;
    }
    let config = config(&situation.service);
    let all: Vec<Progress> =
        places.iter().map(|(_, occupants)| Progress::of(occupants, situation, config.monitor())).collect();
    let Some(status) = status_now(&all, situation) else { return };
    if let Some(change) = judge(&all, &config, &status, situation) {
        return decision.push(vec![change]);
    }
    if all.iter().all(|progress| !progress.is_outdated && !progress.is_under_way) {
        return complete(&all, &config, &status, situation, decision);
    }
    let note = all.iter().find_map(|progress| progress.unplaced.as_ref());
    let message = message(&status, note.map(Failure::note));
    if situation.service.state.update_status.as_ref() != Some(&status) || message != status.message {
        decision.push(vec![Change::Report(UpdateStatus { message, ..status })]);
    }
    begin_more(places, &all, &config, situation, decision);
    all.iter().filter_map(|progress| progress.unplaced_until).for_each(|moment| decision.wake_at(moment));
}

/// The status of the update that is under way or begins now; none where there is nothing to do.
fn status_now(all: &[Progress], situation: &Situation) -> Option<UpdateStatus> {
    let known = situation.service.state.update_status.as_ref();
    match known.map(|status| status.state) {
        Some(UpdateState::Updating | UpdateState::RollbackStarted) => known.cloned(),
        Some(UpdateState::Paused | UpdateState::RollbackPaused) => None,
        Some(UpdateState::Completed | UpdateState::RollbackCompleted) | None => {
            let begins = all.iter().any(|progress| progress.is_outdated);
            begins.then(|| UpdateStatus {
                state: UpdateState::Updating,
                started_at: situation.now,
                completed_at: None,
                message: IN_PROGRESS.to_owned(),
            })
        }
    }
}

/// What follows from the failures so far, if anything does.
fn judge(all: &[Progress], config: &UpdateConfig, status: &UpdateStatus, situation: &Situation) -> Option<Change> {
    let failures: Vec<&Failure> = all.iter().filter_map(|progress| progress.failure.as_ref()).collect();
    let number = all.iter().filter(|progress| progress.is_outdated || progress.is_touched).count();
    let failure = failures.first()?;
    if share(failures.len(), number) <= config.max_failure_ratio {
        return None;
    }
    let is_rollback = status.state == UpdateState::RollbackStarted;
    let can_go_back = !is_rollback && situation.service.state.previous_spec.is_some();
    match config.failure_action() {
        FailureAction::Continue => None,
        FailureAction::Rollback if can_go_back => {
            let message = failure.message("update rolled back");
            Some(Change::RollBack(UpdateStatus { state: UpdateState::RollbackStarted, message, ..status.clone() }))
        }
        // A rollback is never rolled back.
        FailureAction::Rollback | FailureAction::Pause => {
            let (state, what) = if is_rollback {
                (UpdateState::RollbackPaused, "rollback paused")
            } else {
                (UpdateState::Paused, "update paused")
            };
            Some(Change::Report(UpdateStatus { state, message: failure.message(what), ..status.clone() }))
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "compared with the operator's ratio, which is as coarse")]
fn share(part: usize, whole: usize) -> f32 {
    part as f32 / whole.max(1) as f32
}

/// Declares the update done once the last task was well for the monitor period.
fn complete(
    all: &[Progress],
    config: &UpdateConfig,
    status: &UpdateStatus,
    situation: &Situation,
    decision: &mut Decision,
) {
    let last = all.iter().filter_map(|progress| progress.settled_at).max();
    let well_at = last.map_or(Timestamp::MIN, |moment| after(moment, config.monitor()));
    if situation.now < well_at {
        return decision.wake_at(well_at);
    }
    let (state, message) = if status.state == UpdateState::RollbackStarted {
        (UpdateState::RollbackCompleted, "rollback completed")
    } else {
        (UpdateState::Completed, "update completed")
    };
    let completed_at = Some(situation.now);
    decision.push(vec![Change::Report(UpdateStatus {
        state,
        completed_at,
        message: message.to_owned(),
        ..status.clone()
    })]);
}

/// Begins to change as many places as may be changed at a time; a place counts until the delay after it is over.
fn begin_more(
    places: &Kept<'_>,
    all: &[Progress],
    config: &UpdateConfig,
    situation: &Situation,
    decision: &mut Decision,
) {
    let delay_over = |progress: &Progress| progress.settled_at.map(|moment| after(moment, config.delay));
    let is_busy = |progress: &Progress| {
        progress.is_under_way || delay_over(progress).is_some_and(|moment| moment > situation.now)
    };
    let busy = all.iter().filter(|progress| is_busy(progress)).count();
    let parallelism = match config.parallelism {
        0 => usize::MAX,
        number => usize::try_from(number).unwrap_or(usize::MAX),
    };
    let room = parallelism.saturating_sub(busy);
    let outdated = places.iter().zip(all).filter(|(_, progress)| progress.is_outdated);
    for ((place, occupants), _) in outdated.take(room) {
        decision.push(begin(place, occupants, config.order(), situation));
    }
    if room == 0 {
        let moments = all.iter().filter_map(delay_over).filter(|moment| *moment > situation.now);
        moments.for_each(|moment| decision.wake_at(moment));
    }
}

/// Puts a new task beside the outdated one, or in its stead.
fn begin(place: &Place, occupants: &Occupants<'_>, order: UpdateOrder, situation: &Situation) -> Vec<Change> {
    match order {
        UpdateOrder::StartFirst => vec![make(place, occupants, situation, is_live)],
        UpdateOrder::StopFirst => {
            let mut group: Vec<Change> = occupants.live().map(|task| want(&task.id, TaskState::Shutdown)).collect();
            group.push(make(place, occupants, situation, |_| false));
            group
        }
    }
}

/// Docker's words for the status, and what is to be added to them.
fn message(status: &UpdateStatus, note: Option<String>) -> String {
    let words = status.message.split(SEPARATOR).next().unwrap_or_default();
    note.map_or_else(|| words.to_owned(), |note| format!("{words}{SEPARATOR}{note}"))
}
