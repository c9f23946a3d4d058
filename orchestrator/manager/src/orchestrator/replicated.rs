//! Replicated services: as many numbered slots as there are to be replicas. Pure.

use std::collections::BTreeMap;

use model::{NodeId, Task, TaskState};

use super::change::{Change, Decision};
use super::decide::{Kept, forget_place};
use super::place::{Occupants, Place};
use super::settle::{make, settle};
use super::situation::Situation;

/// The most slots that one decision fills.
const SLOTS_AT_ONCE: usize = 10_000;

/// Decides how many slots there are and settles those that stay; gives those.
pub(crate) fn decide<'s>(
    places: &'s BTreeMap<Place, Occupants<'s>>,
    situation: &Situation,
    decision: &mut Decision,
) -> Kept<'s> {
    let replicas = usize::try_from(situation.service.spec.replicas().unwrap_or(1)).unwrap_or(usize::MAX);
    let occupied: Kept<'s> = places.iter().filter(|(_, occupants)| !occupants.is_vacant()).collect();
    let (kept, surplus) = keep(occupied, replicas);
    for (_, occupants) in &surplus {
        forget_place(occupants, decision);
    }
    for (place, occupants) in &kept {
        settle(place, occupants, situation, decision);
    }
    let missing = replicas.saturating_sub(kept.len());
    decision.groups.extend(new_slots(places, situation, missing, u64::MAX));
    kept
}

/// Makes tasks for so many vacant slots with the lowest numbers, none above `last`.
pub(crate) fn new_slots(
    places: &BTreeMap<Place, Occupants<'_>>,
    situation: &Situation,
    number: usize,
    last: u64,
) -> Vec<Vec<Change>> {
    let nothing = Occupants::default();
    let vacant = (1..=last).map(Place::Slot).filter_map(|place| {
        let occupants = places.get(&place).unwrap_or(&nothing);
        occupants.is_vacant().then(|| vec![make(&place, occupants, situation, |_| false)])
    });
    vacant.take(number.min(SLOTS_AT_ONCE)).collect()
}

/// Splits slots into those that stay and those that go. Those go first that do not run, then those on the nodes with most
/// tasks of the service, and among them those with the higher numbers.
fn keep(mut slots: Kept<'_>, number: usize) -> (Kept<'_>, Kept<'_>) {
    if slots.len() <= number {
        return (slots, Vec::new());
    }
    slots.sort_by_key(|(place, occupants)| (!is_running(occupants), place.slot()));
    let mut copies: BTreeMap<Option<&NodeId>, usize> = BTreeMap::new();
    let mut ranked = Vec::with_capacity(slots.len());
    for (place, occupants) in slots {
        let copy = copies.entry(main_task(occupants).and_then(|task| task.state.node_id.as_ref())).or_default();
        ranked.push(((!is_running(occupants), *copy, place.slot()), (place, occupants)));
        *copy += 1;
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut kept: Kept<'_> = ranked.into_iter().map(|(_, slot)| slot).collect();
    let surplus = kept.split_off(number);
    kept.sort_by_key(|(place, _)| place.slot());
    (kept, surplus)
}

fn is_running(occupants: &Occupants<'_>) -> bool {
    occupants.live().any(|task| task.state.status.state == TaskState::Running)
}

/// The task that stands for a slot: one that runs, or else the newest.
fn main_task<'s>(occupants: &Occupants<'s>) -> Option<&'s Task> {
    let running = occupants.live().find(|task| task.state.status.state == TaskState::Running);
    running.or_else(|| occupants.live().next_back()).or_else(|| occupants.latest())
}
