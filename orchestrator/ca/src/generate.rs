//! Secrets that are not certificates: join secrets and gossip keys.

use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{GossipKey, Secret, base36_digits};
use rand::CryptoRng;
use sha2::{Digest, Sha256};

use crate::token::SECRET_DIGITS;

/// Bytes of a key of the gossip (XChaCha20-Poly1305).
const GOSSIP_KEY_LENGTH: usize = 32;

/// Draws the secret half of a join token: 16 random bytes, 25 base-36 digits.
pub fn generate_join_secret(rng: &mut (impl CryptoRng + ?Sized)) -> Secret {
    let mut bytes = [0_u8; 16];
    rng.fill_bytes(&mut bytes);
    Secret::new(base36_digits(&bytes, SECRET_DIGITS))
}

/// Draws a key of the gossip.
pub fn generate_gossip_key(rng: &mut (impl CryptoRng + ?Sized), id: u32) -> GossipKey {
    let mut bytes = [0_u8; GOSSIP_KEY_LENGTH];
    rng.fill_bytes(&mut bytes);
    GossipKey { id, key: Secret::new(STANDARD.encode(bytes)) }
}

/// Whether two secrets are the same, found out in a time that tells nothing of where they differ.
pub fn secrets_match(one: &Secret, other: &Secret) -> bool {
    let one = Sha256::digest(one.expose());
    let other = Sha256::digest(other.expose());
    let difference = one.iter().zip(other.iter()).fold(0_u8, |sum, (left, right)| black_box(sum | (left ^ right)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_join_secret_has_25_digits_and_a_gossip_key_32_bytes() {
        let mut rng = StdRng::seed_from_u64(1);

        let secret = generate_join_secret(&mut rng);
        let key = generate_gossip_key(&mut rng, 3);

        assert_eq!(secret.expose().len(), 25);
        assert_eq!(key.id, 3);
        assert_eq!(STANDARD.decode(key.key.expose()).map(|bytes| bytes.len()), Ok(32));
    }

    #[test]
    fn secrets_match_only_themselves() {
        let check = |one: &str, other: &str, expected: bool| {
            assert_eq!(secrets_match(&Secret::new(one), &Secret::new(other)), expected, "{one} {other}");
        };
        check("", "", true);
        check("abc", "abc", true);
        check("abc", "abd", false);
        check("abc", "abcd", false);
        check("abc", "", false);
    }
}
