//! Seals keys with another key, for a disk that shall tell nothing to whoever takes it.
//!
//! ```text
//! nonce 24 bytes | XChaCha20-Poly1305(key)
//! ```
//! The name of what is sealed is authenticated, so that one key put in the place of another does not open.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::Rng;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;

/// A key that other keys are sealed with. `Debug` hides it, dropping it wipes the memory.
#[derive(Clone)]
pub struct KeySeal(Zeroizing<[u8; Self::BYTES]>);

impl KeySeal {
    /// Bytes of the key.
    pub const BYTES: usize = 32;

    /// A seal of these bytes.
    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Draws a seal.
    pub fn generate(rng: &mut StdRng) -> Self {
        let mut key = Zeroizing::new([0; Self::BYTES]);
        rng.fill_bytes(&mut *key);
        Self(key)
    }

    /// The key itself, to be sealed with another one.
    pub fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Seals a key, under its name.
    pub fn seal(&self, name: &str, content: &[u8], rng: &mut StdRng) -> Vec<u8> {
        let mut sealed = vec![0; NONCE_BYTES];
        rng.fill_bytes(&mut sealed);
        let nonce: [u8; NONCE_BYTES] = sealed.as_slice().try_into().expect("it has the length of a nonce so far");
        let content = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: content, aad: name.as_bytes() })
            .expect("a key is far smaller than the 256 GiB that the cipher takes");
        sealed.extend_from_slice(&content);
        sealed
    }

    /// Opens a key; `None` where it was sealed with another one, under another name, or is damaged.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, content) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: content, aad: name.as_bytes() };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0))
    }
}

impl fmt::Debug for KeySeal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeySeal(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    fn rng(seed: u64) -> StdRng {
        StdRng::seed_from_u64(seed)
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_to_the_same(content: Vec<u8>) {
            let seal = KeySeal::generate(&mut rng(1));

            let sealed = seal.seal("a key", &content, &mut rng(2));

            prop_assert_eq!(seal.open("a key", &sealed).map(|opened| opened.to_vec()), Some(content));
        }

        #[test]
        fn with_any_bit_changed_it_does_not_open(content: Vec<u8>, byte: prop::sample::Index, bit in 0_u8..8) {
            let seal = KeySeal::generate(&mut rng(1));
            let mut sealed = seal.seal("a key", &content, &mut rng(2));
            let at = byte.index(sealed.len());

            sealed[at] ^= 1_u8 << bit;

            prop_assert!(seal.open("a key", &sealed).is_none());
        }

        #[test]
        fn arbitrary_bytes_never_open(sealed: Vec<u8>) {
            prop_assert!(KeySeal::generate(&mut rng(1)).open("a key", &sealed).is_none());
        }
    }

    #[test]
    fn only_the_same_seal_opens_and_only_under_the_same_name() {
        let (seal, other) = (KeySeal::generate(&mut rng(1)), KeySeal::generate(&mut rng(3)));

        let sealed = seal.seal("a key", b"content", &mut rng(2));

        assert!(other.open("a key", &sealed).is_none());
        assert!(seal.open("another key", &sealed).is_none());
        assert!(KeySeal::new(seal.bytes()).open("a key", &sealed).is_some());
    }

    #[test]
    fn a_seal_is_not_printed_and_its_content_is_not_in_the_clear() {
        let seal = KeySeal::generate(&mut rng(1));

        let sealed = seal.seal("a key", b"a secret", &mut rng(2));

        assert_eq!(format!("{seal:?}"), "KeySeal(<redacted>)");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
    }
}
