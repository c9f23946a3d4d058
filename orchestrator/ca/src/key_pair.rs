//! A key that is born where it is used; only a signing request leaves.

use std::fmt;

use model::Secret;
use rcgen::{CertificateParams, DistinguishedName, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::{CaError, private_key_der};

/// `AlgorithmIdentifier` of RSA.
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// `AlgorithmIdentifier`s of elliptic curves: P-256 and P-384.
const CURVES: [&[u8]; 2] = [
    b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
    b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
];

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

/// Reads the key of an authority in any of the forms that tools write: PKCS #8, or the bare form of its kind.
pub(crate) fn read_key(pem: &Secret) -> Result<rcgen::KeyPair, CaError> {
    let key = private_key_der(pem).map_err(CaError::Key)?;
    let algorithms = if matches!(key, PrivateKeyDer::Pkcs1(_)) {
        &[RSA][..]
    } else if matches!(key, PrivateKeyDer::Sec1(_)) {
        &CURVES[..]
    } else {
        return usable(&key);
    };
    let wrapped = algorithms.iter().map(|algorithm| pkcs8(algorithm, key.secret_der()));
    let mut tried = wrapped.map(|der| usable(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice()))));
    tried.find(Result::is_ok).unwrap_or(Err(CaError::UnsupportedKey))
}

/// A key of a kind that certificates of nodes can be signed with.
fn usable(key: &PrivateKeyDer<'_>) -> Result<rcgen::KeyPair, CaError> {
    let key = rcgen::KeyPair::try_from(key).map_err(|_| CaError::UnsupportedKey)?;
    if key.algorithm() == &PKCS_ED25519 { Err(CaError::UnsupportedKey) } else { Ok(key) }
}

/// `PrivateKeyInfo` (RFC 5208) around a bare key.
fn pkcs8(algorithm: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(vec![0x02, 0x01, 0x00]);
    content.extend_from_slice(algorithm);
    content.extend_from_slice(&header(0x04, key.len()));
    content.extend_from_slice(key);
    let mut der = Zeroizing::new(header(0x30, content.len()));
    der.extend_from_slice(&content);
    der
}

/// Tag and length in DER.
fn header(tag: u8, length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    match significant {
        [] | [0..=0x7f] => vec![tag, significant.first().copied().unwrap_or(0)],
        longer => {
            let count = u8::try_from(longer.len()).expect("a length has eight bytes at most");
            [&[tag, 0x80 | count], longer].concat()
        }
    }
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
