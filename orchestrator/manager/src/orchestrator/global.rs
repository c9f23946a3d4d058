//! Global services: one task on each node that takes tasks and meets the constraints. Pure.

use std::collections::BTreeMap;

use model::{Constraints, NodeId, TaskState};

use super::change::Decision;
use super::decide::{Kept, forget_place};
use super::place::{Occupants, Place, is_wanted};
use super::settle::{settle, start_waiting};
use super::situation::{Fate, Situation};

/// What a service means for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is to have a task.
    Wanted,
    /// It keeps what it has.
    Kept,
    /// It is to have none.
    Unwanted,
}

/// Decides which nodes have a task and settles those; gives the places that stay and can be updated.
pub(crate) fn decide<'s>(
    places: &'s BTreeMap<Place, Occupants<'s>>,
    situation: &Situation,
    decision: &mut Decision,
) -> Kept<'s> {
    let claims = claims(situation);
    for (place, occupants) in places {
        match place.node().and_then(|node| claims.get(node)) {
            Some(Claim::Wanted) => settle(place, occupants, situation, decision),
            Some(Claim::Kept) => start_waiting(occupants, situation, decision),
            Some(Claim::Unwanted) => retire(occupants, decision),
            None => forget_place(occupants, decision),
        }
    }
    settle_untouched(places, &claims, situation, decision);
    let is_wanted = |place: &Place| place.node().and_then(|node| claims.get(node)) == Some(&Claim::Wanted);
    places.iter().filter(|(place, occupants)| is_wanted(place) && !occupants.is_vacant()).collect()
}

/// What the service means for each node.
pub(crate) fn claims(situation: &Situation) -> BTreeMap<&NodeId, Claim> {
    let constraints = Constraints::parse(situation.service.spec.task_template.constraints());
    let claim = |node: &NodeId| {
        let meets =
            |constraints: &Constraints| situation.nodes.get(node).is_some_and(|node| constraints.are_met_by(node));
        match situation.fate(node) {
            Fate::Active if constraints.as_ref().is_ok_and(meets) => Claim::Wanted,
            Fate::Paused => Claim::Kept,
            Fate::Active | Fate::Drained | Fate::Down | Fate::Gone => Claim::Unwanted,
        }
    };
    situation.nodes.keys().map(|node| (node, claim(node))).collect()
}

/// Settles the nodes that are to have a task and never had one.
pub(crate) fn settle_untouched(
    places: &BTreeMap<Place, Occupants<'_>>,
    claims: &BTreeMap<&NodeId, Claim>,
    situation: &Situation,
    decision: &mut Decision,
) {
    for (node, _) in claims.iter().filter(|(_, claim)| **claim == Claim::Wanted) {
        let place = Place::Node((*node).clone());
        if !places.contains_key(&place) {
            settle(&place, &Occupants::default(), situation, decision);
        }
    }
}

/// Wants no task in a place any more; the node may come back.
pub(crate) fn retire(occupants: &Occupants<'_>, decision: &mut Decision) {
    for task in occupants.all().filter(|task| is_wanted(task)) {
        decision.want(&task.id, TaskState::Shutdown);
    }
}
