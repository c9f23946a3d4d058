//! Which machines are launched together, and how each of them is known again.
//!
//! All machines of a launch carry the same tags, so a tag lists their numbers, and the launch index of a machine, which
//! EC2 counts from 0 within a launch, is its place in the list. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use driver::{ClusterId, MachineRequest};
use sha2::{Digest as _, Sha256};

/// Stands for the number in the names of a batch.
const NUMBER: char = '@';

/// Machines that one call launches: those of a group in a place that share all that a launch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch<'a> {
    /// The place, by its index among those that machines go round.
    pub(crate) place: usize,
    /// How the machines are named.
    pub(crate) naming: String,
    /// The machines, by number.
    pub(crate) machines: Vec<&'a MachineRequest>,
}

impl<'a> Batch<'a> {
    /// What all of them share.
    pub(crate) fn first(&self) -> &'a MachineRequest {
        self.machines[0]
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.machines.iter().map(|machine| machine.number).collect()
    }

    /// The token under which this batch is launched as such a type in such a subnet: the same call is executed once,
    /// however often it is repeated. A new generation begins once what the token stood for is gone.
    pub(crate) fn token(&self, cluster: &ClusterId, subnet: &str, instance_type: &str, generation: u32) -> String {
        let first = self.first();
        let text = [
            cluster.0.as_str(),
            &first.group,
            subnet,
            instance_type,
            &self.naming,
            &list(&self.numbers()),
            &generation.to_string(),
        ]
        .join("\n");
        // EC2 takes 64 characters.
        Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut token, byte| {
            write!(token, "{byte:02x}").expect("a string takes all that is written");
            token
        })
    }
}

/// The batches for these machines, which go round so many places by their numbers.
pub(crate) fn batches<'a>(machines: &[&'a MachineRequest], places: usize) -> Vec<Batch<'a>> {
    let mut batches: BTreeMap<_, Vec<&MachineRequest>> = BTreeMap::new();
    for machine in machines {
        let place = (machine.number.max(1) - 1) as usize % places.max(1);
        let naming = naming(&machine.name, machine.number);
        let key = (place, machine.group.as_str(), naming, machine.user_data.as_deref());
        batches.entry(key).or_default().push(machine);
    }
    let batch = |((place, _, naming, _), mut machines): ((usize, _, String, _), Vec<&'a MachineRequest>)| {
        machines.sort_by_key(|machine| machine.number);
        Batch { place, naming, machines }
    };
    batches.into_iter().map(batch).collect()
}

/// How a machine's name follows from its number; a name that does not end with the number stands as it is.
fn naming(name: &str, number: u32) -> String {
    match name.strip_suffix(&number.to_string()) {
        Some(stem) if !stem.ends_with(|letter: char| letter.is_ascii_digit()) => format!("{stem}{NUMBER}"),
        _ => name.to_owned(),
    }
}

/// The name of a machine.
pub(crate) fn name(naming: &str, number: u32) -> String {
    match naming.strip_suffix(NUMBER) {
        Some(stem) => format!("{stem}{number}"),
        None => naming.to_owned(),
    }
}

/// Ascending numbers as a short list: `1-3,7`. A tag's value has 256 characters at most.
pub(crate) fn list(numbers: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let text = |(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

/// The number at a place of such a list; `None` where there is none or the list cannot be read.
pub(crate) fn number_at(text: &str, index: u32) -> Option<u32> {
    let mut left = index;
    for run in text.split(',') {
        let (from, to) = run.split_once('-').unwrap_or((run, run));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        let length = to.checked_sub(from)?.checked_add(1)?;
        if left < length {
            return Some(from + left);
        }
        left -= length;
    }
    None
}

#[cfg(test)]
mod tests {
    use driver::{Mark, Options};
    use jiff::Timestamp;

    use super::*;

    fn machine(number: u32, group: &str) -> MachineRequest {
        MachineRequest {
            mark: Mark {
                cluster: ClusterId("x".to_owned()),
                name: "lab".to_owned(),
                owner: "me@here".to_owned(),
                created_at: Timestamp::UNIX_EPOCH,
                expires: None,
            },
            name: format!("lab-node-{number}"),
            hostname: format!("node-{number}"),
            number,
            group: group.to_owned(),
            is_manager: group == "managers",
            user_data: None,
            host_key: None,
            authorized_key: None,
            agent: None,
            options: Options::default(),
        }
    }

    #[test]
    fn a_list_tells_each_of_its_numbers_by_its_place() {
        for numbers in [vec![1], vec![1, 2, 3], vec![2, 4, 5, 6, 9], vec![9, 10, 11, 100]] {
            let text = list(&numbers);

            let read: Vec<_> =
                (0..=u32::try_from(numbers.len()).unwrap()).map_while(|at| number_at(&text, at)).collect();
            assert_eq!(read, numbers, "{text}");
        }
        assert_eq!(list(&[1, 2, 3, 7]), "1-3,7");
        assert_eq!(number_at("3-1", 0), None);
        assert_eq!(number_at("some", 0), None);
    }

    #[test]
    fn a_thousand_machines_fit_into_a_tag() {
        assert!(list(&(1..=1000).collect::<Vec<_>>()).len() < 256);
    }

    #[test]
    fn a_name_follows_from_its_number_or_stands_alone() {
        for (of, number) in [("lab-node-12", 12), ("lab-node-112", 12), ("gate", 3), ("lab2-node-1", 1)] {
            assert_eq!(name(&naming(of, number), number), of);
        }
    }

    #[test]
    fn machines_of_a_group_and_a_place_are_launched_together() {
        let machines: Vec<_> = [3, 1, 2]
            .map(|number| machine(number, "managers"))
            .into_iter()
            .chain([4, 5].map(|n| machine(n, "workers")))
            .collect();
        let machines: Vec<_> = machines.iter().collect();

        let shape = |places| {
            let batches = batches(&machines, places);
            batches.iter().map(|batch| (batch.place, batch.first().group.clone(), batch.numbers())).collect::<Vec<_>>()
        };

        let named = |place, group: &str, numbers: &[u32]| (place, group.to_owned(), numbers.to_vec());
        assert_eq!(shape(1), [named(0, "managers", &[1, 2, 3]), named(0, "workers", &[4, 5])]);
        assert_eq!(
            shape(2),
            [
                named(0, "managers", &[1, 3]),
                named(0, "workers", &[5]),
                named(1, "managers", &[2]),
                named(1, "workers", &[4])
            ]
        );
    }

    #[test]
    fn a_token_is_the_same_for_the_same_launch_and_no_other() {
        let (one, two) = (machine(1, "workers"), machine(2, "workers"));
        let cluster = ClusterId("x".to_owned());
        let both = &batches(&[&one, &two], 1)[0];
        let single = &batches(&[&one], 1)[0];

        let token = both.token(&cluster, "subnet-1", "t3.small", 0);

        assert_eq!(token, both.token(&cluster, "subnet-1", "t3.small", 0));
        assert_eq!(token.len(), 64);
        for other in [
            single.token(&cluster, "subnet-1", "t3.small", 0),
            both.token(&cluster, "subnet-2", "t3.small", 0),
            both.token(&cluster, "subnet-1", "t3a.small", 0),
            both.token(&cluster, "subnet-1", "t3.small", 1),
        ] {
            assert_ne!(token, other);
        }
    }
}
