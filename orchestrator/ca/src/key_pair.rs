//! A key that is born where it is used; only a signing request leaves.

use std::fmt;

use model::Secret;
use rcgen::{CertificateParams, DistinguishedName, PKCS_ECDSA_P256_SHA256};

use crate::CaError;

/// An ECDSA P-256 key that has no certificate yet.
pub struct KeyPair {
    key: rcgen::KeyPair,
    csr_pem: String,
}

impl KeyPair {
    /// Draws a new key.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub fn generate() -> Result<Self, CaError> {
        let key = generate_key()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr_pem = params
            .serialize_request(&key)
            .and_then(|request| request.pem())
            .map_err(|source| CaError::Signing { action: "write a certificate signing request", source })?;
        Ok(Self { key, csr_pem })
    }

    /// The key, PEM (PKCS #8).
    pub fn key_pem(&self) -> Secret {
        Secret::new(self.key.serialize_pem())
    }

    /// The signing request, PEM. It names nobody: an authority takes only the key from it.
    pub fn csr_pem(&self) -> &str {
        &self.csr_pem
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

/// Draws a key of the one kind we use.
pub(crate) fn generate_key() -> Result<rcgen::KeyPair, CaError> {
    rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(|source| CaError::Signing { action: "generate a key", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_key() {
        let pair = KeyPair::generate().expect("the system gives randomness");

        assert_eq!(format!("{pair:?}"), "KeyPair { .. }");
        assert!(pair.key_pem().expose().starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
