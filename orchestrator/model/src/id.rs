//! Identifiers: newtypes, so that no node id is ever taken for a cluster id.
//!
//! They hold their digits in place: indexes and events copy them by the million.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many base-36 digits an object's id has (SwarmKit's `identity.NewID`).
const ID_LENGTH: usize = 25;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A text that is no id: not 25 characters of `0-9a-z`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: 25 characters of 0-9 and a-z are expected")]
pub struct InvalidId(pub String);

macro_rules! object_id {
    ($name:ident, $what:literal) => {
        #[doc = concat!("Names ", $what, ": 25 base-36 digits, as Docker's ids are.")]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_LENGTH]);

        impl $name {
            /// Draws a new id from the generator handed in; 128 bits of it are random.
            pub fn generate(rng: &mut (impl rand::Rng + ?Sized)) -> Self {
                Self(generate(rng))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(&self.0).expect("an id is checked to be digits and letters")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Digits).map(Self)
            }
        }
    };
}

object_id!(NodeId, "a member of a swarm");
object_id!(ClusterId, "a swarm");
object_id!(ServiceId, "a service");
object_id!(TaskId, "a task");
object_id!(SessionId, "one session of an agent with the dispatcher");

/// Names a member of the raft group. Random, never zero, never used again once the member is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RaftId(pub u64);

impl RaftId {
    /// Draws a new raft id; never zero.
    pub fn generate(rng: &mut (impl rand::Rng + ?Sized)) -> Self {
        Self(rng.random_range(1..=u64::MAX))
    }
}

impl fmt::Display for RaftId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}", self.0)
    }
}

/// Writes bytes, read as one big-endian number, in base 36, left-padded with zeros to `width` digits.
///
/// Join tokens carry their digest (50 digits) and secret (25 digits) in this form.
pub fn base36_digits(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = Vec::with_capacity(width);
    while number.iter().any(|byte| *byte != 0) {
        let mut remainder = 0_usize;
        for byte in &mut number {
            let value = remainder * 256 + usize::from(*byte);
            *byte = u8::try_from(value / 36).expect("a remainder below 36 times 256 divided by 36 fits a byte");
            remainder = value % 36;
        }
        digits.push(DIGITS[remainder]);
    }
    while digits.len() < width {
        digits.push(b'0');
    }
    digits.reverse();
    String::from_utf8(digits).expect("base-36 digits are ASCII")
}

fn generate(rng: &mut (impl rand::Rng + ?Sized)) -> [u8; ID_LENGTH] {
    let mut bytes = [0_u8; 17];
    rng.fill_bytes(&mut bytes);
    bytes[0] |= 0x80;
    let digits = base36_digits(&bytes, ID_LENGTH + 2);
    check(&digits[1..=ID_LENGTH]).expect("as many base-36 digits as an id has")
}

fn check(text: &str) -> Result<[u8; ID_LENGTH], InvalidId> {
    let digits = <[u8; ID_LENGTH]>::try_from(text.as_bytes()).ok();
    let digits = digits.filter(|digits| digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z')));
    digits.ok_or_else(|| InvalidId(text.to_owned()))
}

/// Reads the digits of an id.
struct Digits;

impl Visitor<'_> for Digits {
    type Value = [u8; ID_LENGTH];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an id of {ID_LENGTH} characters of 0-9 and a-z")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        check(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn an_id_has_25_base_36_digits_and_reads_back() {
        let id = NodeId::generate(&mut StdRng::seed_from_u64(7));

        assert_eq!(id.as_str().len(), 25);
        assert_eq!(id.as_str().parse::<NodeId>(), Ok(id));
    }

    #[test]
    fn an_id_is_written_as_text() {
        let id = TaskId::generate(&mut StdRng::seed_from_u64(7));

        let text = serde_json::to_string(&id).unwrap();

        assert_eq!(text, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<TaskId>(&text).unwrap(), id);
        assert!(serde_json::from_str::<TaskId>("\"no id\"").is_err());
    }

    #[test]
    fn what_is_no_id_is_refused() {
        assert!("".parse::<NodeId>().is_err());
        assert!("A23456789012345678901234b".parse::<NodeId>().is_err());
        assert!("../../../etc/passwd/aaaaa".parse::<NodeId>().is_err());
    }

    #[test]
    fn base_36_pads_on_the_left() {
        assert_eq!(base36_digits(&[0, 35], 4), "000z");
        assert_eq!(base36_digits(&[1, 0], 2), "74");
    }
}
