//! The arithmetic of majorities, pure.
//!
//! A configuration is one set of voters, or two while the membership changes: then both must agree.

use std::collections::BTreeSet;

/// How many of this many voters decide.
pub(crate) fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// Whether those for whom `is_there` holds decide in every set of the configuration.
pub(crate) fn is_quorum(configuration: &[BTreeSet<u64>], is_there: impl Fn(u64) -> bool) -> bool {
    configuration.iter().all(|voters| {
        let there = voters.iter().filter(|voter| is_there(**voter)).count();
        voters.is_empty() || there >= majority(voters.len())
    })
}

/// Whether a group without `member` still decides, with those reachable that are now.
///
/// The last voter cannot be removed: nobody would be left to decide.
pub(crate) fn survives_without(voters: &BTreeSet<u64>, member: u64, is_reachable: impl Fn(u64) -> bool) -> bool {
    let remaining: BTreeSet<u64> = voters.iter().copied().filter(|voter| *voter != member).collect();
    !remaining.is_empty() && is_quorum(&[remaining], is_reachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<const N: usize>(voters: [u64; N]) -> BTreeSet<u64> {
        BTreeSet::from(voters)
    }

    #[test]
    fn a_majority_is_more_than_half() {
        let check = |voters: usize, expected: usize| assert_eq!(majority(voters), expected, "{voters} voters");
        check(1, 1);
        check(2, 2);
        check(3, 2);
        check(4, 3);
        check(5, 3);
        check(7, 4);
    }

    #[test]
    fn a_quorum_holds_in_every_set_of_voters() {
        let check = |configuration: &[BTreeSet<u64>], there: &[u64], expected: bool| {
            let decided = is_quorum(configuration, |voter| there.contains(&voter));
            assert_eq!(decided, expected, "{there:?} of {configuration:?}");
        };
        check(&[set([1, 2, 3])], &[1, 2], true);
        check(&[set([1, 2, 3])], &[1], false);
        check(&[set([1, 2, 3])], &[1, 8, 9], false);
        check(&[set([1, 2])], &[1], false);
        check(&[set([1])], &[1], true);
        check(&[set([1, 2, 3]), set([3, 4, 5])], &[1, 2, 3, 4], true);
        check(&[set([1, 2, 3]), set([3, 4, 5])], &[1, 2, 3], false);
        check(&[set([1, 2, 3]), set([3, 4, 5])], &[3, 4, 5], false);
    }

    #[test]
    fn a_member_may_go_while_a_reachable_quorum_remains() {
        let check = |voters: BTreeSet<u64>, member: u64, unreachable: &[u64], expected: bool| {
            let survives = survives_without(&voters, member, |voter| !unreachable.contains(&voter));
            assert_eq!(survives, expected, "{voters:?} without {member}, {unreachable:?} unreachable");
        };
        check(set([1, 2, 3]), 3, &[], true);
        check(set([1, 2, 3]), 3, &[3], true);
        check(set([1, 2, 3]), 3, &[2], false);
        check(set([1, 2]), 2, &[], true);
        check(set([1, 2]), 2, &[2], true);
        check(set([1, 2]), 1, &[2], false);
        check(set([1]), 1, &[], false);
        check(set([1, 2, 3, 4, 5]), 5, &[4], true);
        check(set([1, 2, 3, 4, 5]), 5, &[3, 4], false);
        check(set([1, 2, 3, 4, 5]), 5, &[4, 5], true);
    }
}
