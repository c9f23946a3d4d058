//! CBOR, the self-describing encoding of everything that is stored or sent: fields may be added, none is misread.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DecodeError(String);

/// Encodes a value.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes)
        .expect("raft's own types have no failing serializer, and memory takes all");
    bytes
}

/// Decodes a value that fills the bytes to the last one.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = ciborium::from_reader(&mut rest).map_err(|error| DecodeError(error.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError(format!("{} bytes too many", rest.len()))) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(number: u64, text: String, bytes: Vec<u8>) {
            let value = (number, text, Bytes::from(bytes));

            prop_assert_eq!(decode::<(u64, String, Bytes)>(&encode(&value)), Ok(value));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode::<(u64, String, Bytes)>(&bytes);
        }
    }

    #[test]
    fn bytes_behind_the_value_are_refused() {
        let mut bytes = encode(&7_u64);
        bytes.push(0);

        assert!(decode::<u64>(&bytes).is_err());
    }
}
