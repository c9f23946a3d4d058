//! What is to be done so that a cluster becomes what is wanted. Pure: it looks at the spec and the journal only.
//!
//! New machines get new numbers, managers first. Where there are too many of a role, the highest numbers go.

use model::Role;
use serde::Serialize;

use crate::cluster::{ClusterSpec, hostname};
use crate::journal::{Journal, Stage, Step};
use crate::phase::PHASES;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Machines to be made.
    pub create: Vec<PlannedMachine>,
    /// Machines that were being made when a command ended.
    pub finish: Vec<PlannedMachine>,
    /// Machines that stay as they are.
    pub keep: Vec<PlannedMachine>,
    /// Machines to be removed.
    pub remove: Vec<PlannedMachine>,
    /// The phases, in order.
    pub phases: Vec<&'static str>,
}

/// One machine of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedMachine {
    /// Its number.
    pub number: u32,
    /// Its host name.
    pub hostname: String,
    /// Its role.
    pub role: Role,
}

impl PlannedMachine {
    fn new(number: u32, role: Role) -> Self {
        Self { number, hostname: hostname(number), role }
    }
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.finish.is_empty() && self.remove.is_empty()
    }

    /// Writes the plan into the journal, as intents.
    pub fn commit(&self, spec: &ClusterSpec, journal: &mut Journal) {
        journal.spec = spec.clone();
        for machine in &self.create {
            let number = journal.intend_machine(machine.role, None);
            debug_assert_eq!(number, machine.number, "a plan is made for the journal that it is committed to");
        }
        for machine in &self.remove {
            if let Some(machine) = journal.machines.get_mut(&machine.number) {
                machine.step = Step::Leaving;
            }
        }
        if journal.stage == Stage::Ready && !self.is_empty() {
            journal.stage = Stage::Formed;
        }
    }
}

/// Decides what is to be done so that a cluster becomes what is wanted.
pub fn plan(spec: &ClusterSpec, journal: Option<&Journal>) -> Plan {
    let mut plan = Plan {
        create: Vec::new(),
        finish: Vec::new(),
        keep: Vec::new(),
        remove: Vec::new(),
        phases: PHASES.iter().map(|phase| phase.title()).collect(),
    };
    let mut next_number = journal.map_or(1, |journal| journal.next_number);
    for role in [Role::Manager, Role::Worker] {
        let present = journal.map(|journal| of_role(journal, role)).unwrap_or_default();
        let wanted = spec.count(role) as usize;
        for (place, (machine, step)) in present.iter().enumerate() {
            let list = match step {
                _ if place >= wanted => &mut plan.remove,
                Step::Joined => &mut plan.keep,
                Step::Creating | Step::Installing | Step::Leaving => &mut plan.finish,
            };
            list.push(machine.clone());
        }
        for _ in present.len()..wanted {
            plan.create.push(PlannedMachine::new(next_number, role));
            next_number += 1;
        }
    }
    if let Some(journal) = journal {
        let leaving = journal.machines.iter().filter(|(_, machine)| machine.step == Step::Leaving);
        plan.remove.extend(leaving.map(|(number, machine)| PlannedMachine::new(*number, machine.role)));
        plan.remove.sort_by_key(|machine| machine.number);
    }
    plan
}

/// The machines of a role that are not on their way out, by number.
fn of_role(journal: &Journal, role: Role) -> Vec<(PlannedMachine, Step)> {
    let staying = journal.machines.iter().filter(|(_, machine)| machine.step != Step::Leaving);
    let of_role = staying.filter(|(_, machine)| machine.role == role);
    of_role.map(|(number, machine)| (PlannedMachine::new(*number, role), machine.step)).collect()
}

#[cfg(test)]
mod tests {
    use driver::ClusterId;
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn spec(managers: u32, workers: u32) -> ClusterSpec {
        ClusterSpec {
            name: "lab".to_owned(),
            provider: "fake".to_owned(),
            managers,
            workers,
            allow_even_managers: true,
            ingress: crate::ingress::Ingress::default(),
            options: driver::Options::default(),
        }
    }

    fn journal(spec: &ClusterSpec) -> Journal {
        let mut journal =
            Journal::begin(ClusterId("x".to_owned()), spec.clone(), "me@here".to_owned(), Timestamp::UNIX_EPOCH);
        plan(spec, None).commit(spec, &mut journal);
        journal.stage = Stage::Ready;
        for machine in journal.machines.values_mut() {
            machine.step = Step::Joined;
        }
        journal
    }

    fn numbers(machines: &[PlannedMachine]) -> Vec<u32> {
        machines.iter().map(|machine| machine.number).collect()
    }

    #[test]
    fn a_new_cluster_numbers_its_managers_first() {
        let plan = plan(&spec(3, 2), None);

        let roles: Vec<_> = plan.create.iter().map(|machine| (machine.number, machine.role)).collect();
        assert_eq!(
            roles,
            [(1, Role::Manager), (2, Role::Manager), (3, Role::Manager), (4, Role::Worker), (5, Role::Worker)]
        );
    }

    #[test]
    fn the_highest_numbers_of_a_role_go() {
        let journal = journal(&spec(3, 2));

        let plan = plan(&spec(1, 1), Some(&journal));

        assert_eq!(numbers(&plan.remove), [2, 3, 5]);
        assert_eq!(numbers(&plan.keep), [1, 4]);
    }

    #[test]
    fn what_was_being_made_is_finished_and_what_was_leaving_leaves() {
        let mut journal = journal(&spec(1, 3));
        journal.machines.get_mut(&3).unwrap().step = Step::Installing;
        journal.machines.get_mut(&4).unwrap().step = Step::Leaving;

        let plan = plan(&spec(1, 2), Some(&journal));

        assert_eq!((numbers(&plan.finish), numbers(&plan.remove)), (vec![3], vec![4]));
        assert!(plan.create.is_empty());
    }

    #[test]
    fn a_complete_cluster_needs_nothing() {
        let spec = spec(3, 2);

        assert!(plan(&spec, Some(&journal(&spec))).is_empty());
    }

    proptest! {
        #[test]
        fn a_committed_plan_gives_the_counts_that_were_asked_for(
            counts in proptest::collection::vec((1_u32..9, 0_u32..9), 1..6)
        ) {
            let mut journal = journal(&spec(3, 2));
            let mut used = std::collections::BTreeSet::from([1, 2, 3, 4, 5]);
            for (managers, workers) in counts {
                let spec = spec(managers, workers);
                let plan = plan(&spec, Some(&journal));
                prop_assert!(plan.create.iter().all(|machine| used.insert(machine.number)), "a number came back");

                plan.commit(&spec, &mut journal);

                for role in [Role::Manager, Role::Worker] {
                    prop_assert_eq!(of_role(&journal, role).len(), spec.count(role) as usize);
                }
                journal.machines.retain(|_, machine| machine.step != Step::Leaving);
            }
        }
    }
}
