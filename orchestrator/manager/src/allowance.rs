//! How much one transaction changes at most, so that none is refused for its size, and none holds others up for long.

use serde::Serialize;

/// The most changes of one transaction (SwarmKit's limit).
pub(crate) const MAX_CHANGES: usize = 200;
/// The most that the objects changed in one transaction take (bytes); the store takes 1.5 MiB.
const MAX_BYTES: usize = 1 << 20;

/// What a change of a task's states takes in a transaction, beside the status that it keeps (bytes), generously.
pub(crate) const STATE_BYTES: usize = 512;

/// What may still go into a transaction.
#[derive(Debug)]
pub(crate) struct Allowance {
    changes: usize,
    bytes: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { changes: MAX_CHANGES, bytes: MAX_BYTES }
    }
}

impl Allowance {
    /// Takes the part of some changes that hold together, if there is room; `false` ends the transaction. A fresh allowance
    /// has room for any, so that every transaction gets somewhere.
    pub(crate) fn take(&mut self, changes: usize, bytes: usize) -> bool {
        let is_fresh = self.changes == MAX_CHANGES;
        if !is_fresh && (changes > self.changes || bytes > self.bytes) {
            return false;
        }
        self.changes = self.changes.saturating_sub(changes);
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}

/// How much an object takes (bytes).
pub(crate) fn encoded_bytes(object: &impl Serialize) -> usize {
    // What cannot be encoded does not fit; it could not be in the store.
    serde_json::to_vec(object).map_or(MAX_BYTES, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_takes_so_many_changes_and_so_many_bytes_but_always_the_first() {
        let check = |taken: &[(usize, usize)], expected: bool| {
            let mut allowance = Allowance::default();
            let answers: Vec<bool> = taken.iter().map(|(changes, bytes)| allowance.take(*changes, *bytes)).collect();
            assert_eq!(answers.last(), Some(&expected), "{taken:?}");
        };

        check(&[(MAX_CHANGES + 1, 2 * MAX_BYTES)], true);
        check(&[(1, MAX_BYTES), (1, 1)], false);
        check(&[(MAX_CHANGES, 1), (1, 1)], false);
        check(&[(MAX_CHANGES - 1, MAX_BYTES - 1), (1, 1)], true);
    }
}
