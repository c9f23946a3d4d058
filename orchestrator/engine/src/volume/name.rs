//! The name of a volume, which is also the name of its folder.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name: that of a file.
const LENGTH_LIMIT: usize = 255;

/// A text that cannot name a volume. Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "create {0}: \"{0}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are \
     allowed. If you intended to pass a host directory, use absolute path"
)]
pub struct InvalidVolumeName(pub String);

/// The name of a volume: letters, digits, `_`, `.` and `-`, the first a letter or digit, at least two of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);

impl VolumeName {
    /// A name for a volume that was given none: 64 hexadecimal digits.
    pub(crate) fn generate(rng: &mut (impl rand::Rng + ?Sized)) -> Self {
        Self(crate::hex_id(rng))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VolumeName {
    type Err = InvalidVolumeName;

    fn from_str(text: &str) -> Result<Self, InvalidVolumeName> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let is_name = (2..=LENGTH_LIMIT).contains(&text.len())
            && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().all(is_inner);
        if is_name { Ok(Self(text.to_owned())) } else { Err(InvalidVolumeName(text.to_owned())) }
    }
}

impl TryFrom<String> for VolumeName {
    type Error = InvalidVolumeName;

    fn try_from(text: String) -> Result<Self, InvalidVolumeName> {
        text.parse()
    }
}

impl From<VolumeName> for String {
    fn from(name: VolumeName) -> Self {
        name.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_files_without_surprises() {
        let check = |text: &str, is_name: bool| assert_eq!(text.parse::<VolumeName>().is_ok(), is_name, "{text}");

        check("data", true);
        check("a.b-c_1", true);
        check(&"a".repeat(255), true);
        check(&"a".repeat(256), false);
        check("a", false);
        check("", false);
        check("..", false);
        check(".hidden", false);
        check("a/b", false);
        check("a b", false);
    }
}
