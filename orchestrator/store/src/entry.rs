//! What one entry of the log holds: the changes of the transactions that were committed together.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::tables::AnyChange;

/// The format that entries are written in: the second one has changes that name what is different in an object.
const ENTRY_FORMAT: u8 = 2;
/// The oldest format that is read; all that it has is in the later ones too.
const OLDEST_FORMAT: u8 = 1;

/// Changes, and the state that they were made for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    format: u8,
    /// Index of the entry that the state was at. An entry that meets another state is void: a deposed leader's.
    pub(crate) base: u64,
    /// The leader's time.
    pub(crate) time: Timestamp,
    /// The changes, in their order.
    pub(crate) changes: Vec<AnyChange>,
}

impl Entry {
    pub(crate) fn new(base: u64, time: Timestamp, changes: Vec<AnyChange>) -> Self {
        Self { format: ENTRY_FORMAT, base, time, changes }
    }

    /// Writes the entry.
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads an entry.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let entry: Self = codec::decode(bytes)?;
        let is_known = (OLDEST_FORMAT..=ENTRY_FORMAT).contains(&entry.format);
        if is_known { Ok(entry) } else { Err(DecodeError::UnknownFormat(entry.format)) }
    }
}
