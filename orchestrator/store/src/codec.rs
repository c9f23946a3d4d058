//! CBOR, the self-describing encoding of entries and snapshots.

use std::io::{self, Write};
use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// They are not the value that they should be.
    #[error("{0}")]
    Malformed(String),
    /// They are of a format that this version does not know.
    #[error(
        "it is of format {found}, and this version of the agent reads none beyond {newest}: a later one is needed here"
    )]
    UnknownFormat {
        /// Theirs.
        found: u8,
        /// The newest one that is known.
        newest: u8,
    },
}

/// Encodes a value.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(value, &mut bytes);
    bytes
}

/// The length of a value's encoding.
pub(crate) fn encoded_length<T: Serialize>(value: &T) -> usize {
    let mut counter = Counter(0);
    write(value, &mut counter);
    counter.0
}

/// Decodes a value that fills the bytes to the last one.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = ciborium::from_reader(&mut rest).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::Malformed(format!("{} bytes too many", rest.len()))) }
}

/// Decodes a value of one of these formats. What is of another is refused as that, and not for what may be unknown in it.
pub(crate) fn decode_known<T: DeserializeOwned>(
    bytes: &[u8],
    known: RangeInclusive<u8>,
    format_of: impl Fn(&T) -> u8,
) -> Result<T, DecodeError> {
    /// What a value of any format begins with.
    #[derive(Deserialize)]
    struct Header {
        format: u8,
    }

    let decoded = decode::<T>(bytes);
    let format = match &decoded {
        Ok(value) => Some(format_of(value)),
        Err(_) => decode::<Header>(bytes).ok().map(|header| header.format),
    };
    match format {
        Some(found) if !known.contains(&found) => Err(DecodeError::UnknownFormat { found, newest: *known.end() }),
        Some(_) | None => decoded,
    }
}

fn write<T: Serialize>(value: &T, writer: impl Write) {
    ciborium::into_writer(value, writer).expect("the objects have no failing serializer, and memory takes all");
}

/// Counts what is written.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
