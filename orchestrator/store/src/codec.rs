//! CBOR, the self-describing encoding of entries and snapshots.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// They are not the value that they should be.
    #[error("{0}")]
    Malformed(String),
    /// They are of a format that this version does not know.
    #[error("format {0} is not known to this version")]
    UnknownFormat(u8),
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
