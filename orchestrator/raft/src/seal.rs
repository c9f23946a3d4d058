//! The form of every record on disk: a header in the clear, and the rest sealed.
//!
//! ```text
//! format u8 | key id u32 | nonce 24 bytes | XChaCha20-Poly1305(CBOR)
//! ```
//! The header and the record's place are authenticated, so that a record put elsewhere does not open. Nonces are
//! drawn from the generator handed in; 24 random bytes do not repeat.

use std::sync::Mutex;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::Rng;
use rand::rngs::StdRng;

use crate::{DataKey, sync::lock};

/// The only format of records so far.
const RECORD_FORMAT: u8 = 1;
const HEADER_BYTES: usize = 5;
const NONCE_BYTES: usize = 24;

/// Where a record belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A log entry, by its index.
    Entry(u64),
    /// A named record of the member's state.
    State(&'static str),
}

impl Place {
    fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Entry(index) => [b"entry".as_slice(), &index.to_be_bytes()].concat(),
            Self::State(name) => [b"state".as_slice(), name.as_bytes()].concat(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Entry(index) => write!(formatter, "entry {index}"),
            Self::State(name) => formatter.write_str(name),
        }
    }
}

/// Why a record does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    /// Its format is not known.
    #[error("unknown format {0}")]
    UnknownFormat(u8),
    /// It was sealed with another key.
    #[error("sealed with key {0}")]
    WrongKey(u32),
    /// It is damaged, or lies.
    #[error("damaged")]
    Damaged,
}

/// Seals and opens records with one key.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    key_id: u32,
    rng: Mutex<StdRng>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sealer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Sealer {
    pub(crate) fn new(key: &DataKey, rng: StdRng) -> Self {
        let cipher = XChaCha20Poly1305::new(&Key::from(*key.bytes()));
        Self { cipher, key_id: key.id(), rng: Mutex::new(rng) }
    }

    /// The key that this one seals with.
    pub(crate) fn key_id(&self) -> u32 {
        self.key_id
    }

    /// Seals the content of a record.
    pub(crate) fn seal(&self, place: Place, content: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        lock(&self.rng).fill_bytes(&mut nonce);
        let mut record = Vec::with_capacity(HEADER_BYTES + NONCE_BYTES + content.len() + 16);
        record.push(RECORD_FORMAT);
        record.extend_from_slice(&self.key_id.to_be_bytes());

        let associated = [record.as_slice(), &place.to_bytes()].concat();
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: content, aad: &associated })
            .expect("a record is far smaller than the 256 GiB that the cipher takes");
        record.extend_from_slice(&nonce);
        record.extend_from_slice(&sealed);
        record
    }

    /// Opens a record.
    pub(crate) fn open(&self, place: Place, record: &[u8]) -> Result<Vec<u8>, SealError> {
        let format = *record.first().ok_or(SealError::Damaged)?;
        if format != RECORD_FORMAT {
            return Err(SealError::UnknownFormat(format));
        }
        let (header, rest) = record.split_at_checked(HEADER_BYTES).ok_or(SealError::Damaged)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Damaged)?;
        let key_id = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        if key_id != self.key_id {
            return Err(SealError::WrongKey(key_id));
        }
        let associated = [header, &place.to_bytes()].concat();
        self.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &associated })
            .map_err(|_| SealError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    fn sealer(seed: u64) -> Sealer {
        let mut rng = StdRng::seed_from_u64(seed);
        Sealer::new(&DataKey::generate(&mut rng), rng)
    }

    proptest! {
        #[test]
        fn a_sealed_record_opens_to_the_same_content(content: Vec<u8>, index: u64) {
            let sealer = sealer(1);

            let record = sealer.seal(Place::Entry(index), &content);

            prop_assert_eq!(sealer.open(Place::Entry(index), &record), Ok(content));
        }

        #[test]
        fn a_record_with_any_bit_changed_does_not_open(content: Vec<u8>, byte: prop::sample::Index, bit in 0_u8..8) {
            let sealer = sealer(1);
            let mut record = sealer.seal(Place::State("vote"), &content);
            let at = byte.index(record.len());

            record[at] ^= 1_u8 << bit;

            prop_assert!(sealer.open(Place::State("vote"), &record).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_open(record: Vec<u8>) {
            prop_assert!(sealer(1).open(Place::Entry(1), &record).is_err());
        }
    }

    #[test]
    fn a_record_put_in_another_place_does_not_open() {
        let sealer = sealer(1);

        let record = sealer.seal(Place::Entry(1), b"content");

        assert_eq!(sealer.open(Place::Entry(2), &record), Err(SealError::Damaged));
    }

    #[test]
    fn another_key_is_told_from_damage() {
        let record = sealer(1).seal(Place::Entry(1), b"content");

        assert_eq!(sealer(2).open(Place::Entry(1), &record), Err(SealError::WrongKey(sealer(1).key_id())));
    }

    #[test]
    fn the_content_is_not_on_disk_in_the_clear() {
        let record = sealer(1).seal(Place::Entry(1), b"a join secret");

        assert!(!record.windows(6).any(|window| window == b"secret"));
    }
}
