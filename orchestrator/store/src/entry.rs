//! What one entry of the log holds: the changes of the transactions that were committed together.
//!
//! An entry is of the oldest format that has all that is in it, so that older managers read what they can.

use jiff::Timestamp;
use model::LOG_FORMAT;
use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::tables::AnyChange;

/// The oldest format that is read; all that it has is in the later ones too.
pub(crate) const OLDEST_FORMAT: u8 = 1;
/// The first format that has amendments.
pub(crate) const AMENDING_FORMAT: u8 = 2;

/// Changes, and the state that they were made for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) format: u8,
    /// Index of the entry that the state was at. An entry that meets another state is void: a deposed leader's.
    pub(crate) base: u64,
    /// The leader's time.
    pub(crate) time: Timestamp,
    /// The changes, in their order.
    pub(crate) changes: Vec<AnyChange>,
}

impl Entry {
    pub(crate) fn new(base: u64, time: Timestamp, changes: Vec<AnyChange>) -> Self {
        let has_amendments = changes.iter().any(AnyChange::is_amendment);
        Self { format: if has_amendments { AMENDING_FORMAT } else { OLDEST_FORMAT }, base, time, changes }
    }

    /// Writes the entry.
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads an entry. One of a format that is not known here is told as that, whatever is in it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode_known(bytes, OLDEST_FORMAT..=LOG_FORMAT, |entry: &Self| entry.format)
    }
}
