//! Authorities, certificates, tokens and keys: who a node is, and how it proves it.
//!
//! A swarm has one root [`Authority`] that signs its nodes and, where swarmup built it, a client authority of its
//! own that signs the users of the Engine API; neither trusts the other's certificates. Both sides use this crate:
//! the workstation makes the identity of a new swarm, the managers sign from then on.
//!
//! Nothing here reads a clock: the moment of signing is handed in. Keys are drawn by the crypto provider from the
//! operating system; secrets and keys of other kinds from the generator handed in.

#![forbid(unsafe_code)]

mod authority;
mod certificate;
mod crypto;
mod error;
mod generate;
mod key_pair;
mod pem;
mod renewal;
#[cfg(test)]
mod testing;
mod token;
mod unlock_key;

pub use authority::{Authority, NodeSubject};
pub use certificate::{CertificateInfo, common_name, is_issued_by, swarm_tls_info, tls_info};
pub use crypto::install_crypto;
pub use error::{CaError, CertificateError};
pub use generate::{generate_gossip_key, generate_join_secret, secrets_match};
pub use key_pair::KeyPair;
pub use pem::{certificate_chain, certificate_der, normalize_certificate, private_key_der};
pub use renewal::renewal_delay;
pub use token::{InvalidJoinToken, JoinToken};
pub use unlock_key::{InvalidUnlockKey, UnlockKey};
