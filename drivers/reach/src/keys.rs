//! The SSH keys of a cluster: made on the workstation, ed25519.

use model::Secret;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

/// A key pair in OpenSSH's formats.
#[derive(Debug, Clone)]
pub struct SshKeyPair {
    /// The private key, as a key file holds it.
    pub private: Secret,
    /// The public key: one line, as `authorized_keys` holds it.
    pub public: String,
}

impl SshKeyPair {
    /// Makes an ed25519 key pair; the comment shows whose it is.
    ///
    /// # Panics
    /// Where the operating system has no randomness to give.
    pub fn generate(comment: &str) -> Self {
        let mut key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).expect("ed25519 is built in");
        key.set_comment(comment);
        let private = key.to_openssh(LineEnding::LF).expect("an unencrypted ed25519 key can be written");
        let public = key.public_key().to_openssh().expect("an ed25519 key can be written");
        Self { private: Secret::new(private.as_str()), public }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pair_reads_back_and_belongs_together() {
        let pair = SshKeyPair::generate("swarmup lab");

        let private = PrivateKey::from_openssh(pair.private.expose()).unwrap();

        assert_eq!(private.public_key().to_openssh().unwrap(), pair.public);
        assert!(pair.public.starts_with("ssh-ed25519 ") && pair.public.ends_with(" swarmup lab"));
    }
}
