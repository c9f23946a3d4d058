//! The keys of the gossip: the first one seals, each of them opens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use model::GossipKey;
use tracing::warn;

/// Keys held at a time: the present one, the one before, the one to come, and one to spare.
const MAX_KEYS: usize = 4;

/// The keys in the form that seals and opens.
#[derive(Default)]
pub(crate) struct KeyRing(Vec<(u32, XChaCha20Poly1305)>);

impl KeyRing {
    /// Takes the keys over, the newest first. One that cannot be read is left out, and said so.
    pub(crate) fn new(keys: &[GossipKey]) -> Self {
        Self(keys.iter().take(MAX_KEYS).filter_map(load).collect())
    }

    /// The key that seals.
    pub(crate) fn sealing(&self) -> Option<(u32, &XChaCha20Poly1305)> {
        self.0.first().map(|(id, cipher)| (*id, cipher))
    }

    /// The key of that id.
    pub(crate) fn opening(&self, id: u32) -> Option<&XChaCha20Poly1305> {
        self.0.iter().find(|(candidate, _)| *candidate == id).map(|(_, cipher)| cipher)
    }
}

fn load(key: &GossipKey) -> Option<(u32, XChaCha20Poly1305)> {
    let cipher =
        STANDARD.decode(key.key.expose()).ok().and_then(|bytes| XChaCha20Poly1305::new_from_slice(&bytes).ok());
    if cipher.is_none() {
        warn!(key = key.id, "a key of the gossip is not 32 bytes in base64; it is left out");
    }
    cipher.map(|cipher| (key.id, cipher))
}
