//! Names for services that come without one: two words that follow from the id, so that a request that is tried twice
//! asks for one name.

use model::ServiceId;

const FIRST: [&str; 32] = [
    "amber", "bold", "brisk", "calm", "clear", "copper", "crisp", "dusky", "eager", "early", "fair", "gentle",
    "golden", "grand", "hardy", "keen", "late", "light", "lively", "mellow", "mild", "noble", "polar", "proud",
    "quick", "quiet", "rapid", "silver", "steady", "sunny", "swift", "vivid",
];
const SECOND: [&str; 32] = [
    "alder", "aspen", "badger", "beech", "birch", "bison", "cedar", "condor", "crane", "elm", "falcon", "finch",
    "hazel", "heron", "ibis", "juniper", "larch", "lark", "linden", "lynx", "maple", "marten", "osprey", "otter",
    "pine", "plover", "raven", "rowan", "spruce", "swan", "willow", "wren",
];
/// How many digits of the id the name follows from: more than there are names.
const DIGITS: usize = 8;

/// The name for a service of this id.
pub(super) fn name_of(id: &ServiceId) -> String {
    let digits = id.as_str().bytes().take(DIGITS);
    let number = digits.fold(0_usize, |number, digit| number.wrapping_mul(36).wrapping_add(usize::from(digit)));
    format!("{}_{}", FIRST[number % FIRST.len()], SECOND[number / FIRST.len() % SECOND.len()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn names_follow_from_ids_and_are_spread_over_all_there_are() {
        let mut rng = StdRng::seed_from_u64(1);
        let ids: Vec<_> = (0..1000).map(|_| ServiceId::generate(&mut rng)).collect();

        let names: BTreeSet<_> = ids.iter().map(name_of).collect();

        assert!(names.len() > 500, "{}", names.len());
        assert!(names.iter().all(|name| model::is_valid_name(name)));
        assert_eq!(name_of(&ids[0]), name_of(&ids[0]));
    }
}
