//! Unlock keys, exactly as Docker writes them: `SWMKEY-1-<base64 of 32 bytes>`, without padding.
//!
//! A swarm that locks its managers has one. It lives in the swarm's sealed state and in the operator's safe; a manager
//! that restarts is of no use to anybody who has neither.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use model::Secret;
use rand::CryptoRng;
use zeroize::Zeroizing;

const PREFIX: &str = "SWMKEY-1-";
const KEY_BYTES: usize = 32;
/// The longest text that is looked at as a key; a key has 52 characters.
const MAX_LENGTH: usize = 256;

/// What opens the keys of a locked manager. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct UnlockKey(Zeroizing<[u8; KEY_BYTES]>);

impl UnlockKey {
    /// Draws a key.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// The key itself, for the one place that seals with it.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The key as operators write it.
    pub fn to_secret(&self) -> Secret {
        Secret::new(format!("{PREFIX}{}", STANDARD_NO_PAD.encode(*self.0)))
    }
}

impl fmt::Debug for UnlockKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}<redacted>")
    }
}

/// Why a text is no unlock key. The text itself is never repeated: a mistyped key is still nearly the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUnlockKey {
    /// It is not written as a key is; in Docker's words.
    #[error("invalid key string")]
    NotAKey,
    /// It is written as a key is, and has another length: Docker calls it a wrong key.
    #[error("a key has {KEY_BYTES} bytes, this one {found}")]
    WrongLength {
        /// Its length.
        found: usize,
    },
}

impl FromStr for UnlockKey {
    type Err = InvalidUnlockKey;

    fn from_str(text: &str) -> Result<Self, InvalidUnlockKey> {
        let encoded = text.strip_prefix(PREFIX).filter(|_| text.len() <= MAX_LENGTH);
        let encoded = encoded.ok_or(InvalidUnlockKey::NotAKey)?;
        let bytes = STANDARD_NO_PAD.decode(encoded).map_err(|_| InvalidUnlockKey::NotAKey)?;
        let bytes = Zeroizing::new(bytes);
        let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice());
        key.map(|key| Self(Zeroizing::new(key))).map_err(|_| InvalidUnlockKey::WrongLength { found: bytes.len() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_key_reads_back_as_it_was_written() {
        let key = UnlockKey::generate(&mut StdRng::seed_from_u64(1));

        let written = key.to_secret();

        assert_eq!(written.expose().len(), 52);
        assert_eq!(written.expose().parse(), Ok(key));
    }

    #[test]
    fn a_key_is_base64_without_padding_as_docker_writes_it() {
        // Computed with Python: "SWMKEY-1-" + base64.b64encode(bytes(range(32))).decode().rstrip("=")
        let text = "SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let bytes: [u8; 32] = std::array::from_fn(|place| u8::try_from(place).expect("32 numbers fit"));

        let key: UnlockKey = text.parse().expect("a key");

        assert_eq!((key.bytes(), key.to_secret().expose()), (&bytes, text));
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        let check =
            |text: &str, expected: InvalidUnlockKey| assert_eq!(text.parse::<UnlockKey>(), Err(expected), "{text}");
        check("", InvalidUnlockKey::NotAKey);
        check("SWMTKN-1-x-y", InvalidUnlockKey::NotAKey);
        check("SWMKEY-2-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", InvalidUnlockKey::NotAKey);
        check("SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", InvalidUnlockKey::NotAKey);
        check("SWMKEY-1-!", InvalidUnlockKey::NotAKey);
        check("SWMKEY-1-AAEC", InvalidUnlockKey::WrongLength { found: 3 });
        check("SWMKEY-1-", InvalidUnlockKey::WrongLength { found: 0 });
        check(&format!("SWMKEY-1-{}", "A".repeat(MAX_LENGTH)), InvalidUnlockKey::NotAKey);
    }

    #[test]
    fn a_key_is_not_printed() {
        let key = UnlockKey::generate(&mut StdRng::seed_from_u64(1));

        assert_eq!(format!("{key:?} {:?}", key.to_secret()), "SWMKEY-1-<redacted> <redacted>");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in "(SWMKEY-1-)?.{0,300}") {
            let _ = text.parse::<UnlockKey>();
        }
    }
}
