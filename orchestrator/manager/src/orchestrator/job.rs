//! Jobs: so many completions, or one on each node, for every iteration. Pure.
//!
//! A task of a job is to complete; its place is done when one has. What belongs to a former iteration is forgotten, and
//! a slot that was given up is not tried again before the next one.

use std::collections::BTreeMap;

use model::{ReplicatedJobMode, TaskState};

use super::change::Decision;
use super::decide::{forget, forget_place};
use super::global::{Claim, claims, retire, settle_untouched};
use super::place::{Occupants, Place, is_live};
use super::replicated::new_slots;
use super::settle::{is_given_up, settle, start_waiting};
use super::situation::Situation;

/// Decides what a job needs now.
pub(crate) fn decide(places: &BTreeMap<Place, Occupants<'_>>, situation: &Situation, decision: &mut Decision) {
    let iteration = situation.service.job_iteration();
    situation.tasks.iter().filter(|task| task.state.job_iteration != iteration).for_each(|task| forget(task, decision));
    if !decision.groups.is_empty() {
        return;
    }
    match &situation.service.spec.mode.replicated_job {
        Some(mode) => decide_replicated(mode, places, situation, decision),
        None => decide_global(places, situation, decision),
    }
}

fn decide_replicated(
    mode: &ReplicatedJobMode,
    places: &BTreeMap<Place, Occupants<'_>>,
    situation: &Situation,
    decision: &mut Decision,
) {
    let mut busy = 0_u64;
    for (place, occupants) in places.iter().filter(|(_, occupants)| !occupants.is_vacant() && !is_done(occupants)) {
        settle(place, occupants, situation, decision);
        if !is_given_up(place, occupants) {
            busy += 1;
        }
    }
    let room = usize::try_from(mode.concurrency().saturating_sub(busy)).unwrap_or(usize::MAX);
    decision.groups.extend(new_slots(places, situation, room, mode.completions()));
}

fn decide_global(places: &BTreeMap<Place, Occupants<'_>>, situation: &Situation, decision: &mut Decision) {
    let claims = claims(situation);
    for (place, occupants) in places.iter().filter(|(_, occupants)| !is_done(occupants)) {
        match place.node().and_then(|node| claims.get(node)) {
            Some(Claim::Wanted) => settle(place, occupants, situation, decision),
            Some(Claim::Kept) => start_waiting(occupants, situation, decision),
            Some(Claim::Unwanted) => retire(occupants, decision),
            None => forget_place(occupants, decision),
        }
    }
    settle_untouched(places, &claims, situation, decision);
}

/// Whether a task of this iteration has completed here.
fn is_done(occupants: &Occupants<'_>) -> bool {
    let has_completed = |state: TaskState| state == TaskState::Complete;
    let mut counting = occupants.all().filter(|task| task.state.desired < TaskState::Remove);
    counting.any(|task| has_completed(task.state.status.state)) && !occupants.all().any(is_live)
}
