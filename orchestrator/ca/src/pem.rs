//! PEM in and out: bounded, and in one normal form, since the digest in a join token is taken over its bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Secret;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::CertificateError;

/// The longest PEM text that is looked at; a P-256 certificate has about 800 bytes, one with RSA 4096 about 2,500.
pub(crate) const MAX_PEM_LENGTH: usize = 16 * 1024;
/// The longest text of a chain.
const MAX_CHAIN_PEM_LENGTH: usize = 64 * 1024;
/// Certificates in one chain: a server's, and what links it to former roots.
const MAX_CHAIN_LENGTH: usize = 8;
/// Characters in a line of PEM (RFC 7468).
const LINE_LENGTH: usize = 64;

/// Reads the one certificate in a PEM text.
///
/// # Errors
/// The text is too long, or has no certificate, or more than one block.
pub fn certificate_der(pem: &str) -> Result<CertificateDer<'static>, CertificateError> {
    check_length(pem)?;
    let mut blocks = CertificateDer::pem_slice_iter(pem.as_bytes());
    match (blocks.next(), blocks.next()) {
        (Some(Ok(der)), None) => Ok(der),
        _ => Err(CertificateError::NotPem { expected: "certificate" }),
    }
}

/// Reads the certificates in a PEM text: a certificate, and what links it to a root.
///
/// # Errors
/// The text is too long, or has no certificate, or more than a chain of ours.
pub fn certificate_chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    if pem.len() > MAX_CHAIN_PEM_LENGTH {
        return Err(CertificateError::TooLong { length: pem.len(), limit: MAX_CHAIN_PEM_LENGTH });
    }
    let blocks = CertificateDer::pem_slice_iter(pem.as_bytes()).take(MAX_CHAIN_LENGTH + 1);
    match blocks.collect::<Result<Vec<_>, _>>() {
        Ok(chain) if !chain.is_empty() && chain.len() <= MAX_CHAIN_LENGTH => Ok(chain),
        _ => Err(CertificateError::NotPem { expected: "certificate" }),
    }
}

/// Reads the private key in a PEM text.
///
/// # Errors
/// The text is too long, or holds no private key.
pub fn private_key_der(pem: &Secret) -> Result<PrivateKeyDer<'static>, CertificateError> {
    check_length(pem.expose())?;
    PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
        .map_err(|_| CertificateError::NotPem { expected: "private key" })
}

/// Brings a certificate into the one form that is stored and digested: 64 characters a line, bare line feeds,
/// nothing before and after.
///
/// # Errors
/// The text is not one certificate in PEM.
pub fn normalize_certificate(pem: &str) -> Result<String, CertificateError> {
    Ok(certificate_pem(&certificate_der(pem)?))
}

/// Writes a certificate in the normal form.
pub(crate) fn certificate_pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines = encoded.as_bytes().chunks(LINE_LENGTH).map(|line| str::from_utf8(line).expect("base64 is ASCII"));
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in lines {
        pem.push_str(line);
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// Refuses a text that is longer than any certificate or key of ours.
pub(crate) fn check_length(pem: &str) -> Result<(), CertificateError> {
    if pem.len() > MAX_PEM_LENGTH {
        return Err(CertificateError::TooLong { length: pem.len(), limit: MAX_PEM_LENGTH });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::authority;

    #[test]
    fn the_normal_form_survives_another_hand() {
        let normal = authority().certificate_pem().to_owned();
        let carriage_returns = normal.replace('\n', "\r\n");
        let padded = format!("\n\n{normal}\n");

        assert_eq!(normalize_certificate(&normal).as_ref(), Ok(&normal));
        assert_eq!(normalize_certificate(&carriage_returns).as_ref(), Ok(&normal));
        assert_eq!(normalize_certificate(&padded).as_ref(), Ok(&normal));
    }

    #[test]
    fn what_is_not_one_certificate_is_refused() {
        let certificate = authority().certificate_pem().to_owned();
        let key = authority().key_pem();
        let check = |text: &str| assert!(certificate_der(text).is_err(), "{text}");

        check("");
        check("-----BEGIN CERTIFICATE-----");
        check(key.expose());
        check(&format!("{certificate}{certificate}"));
        check(&"x".repeat(MAX_PEM_LENGTH + 1));
    }

    #[test]
    fn a_chain_has_one_certificate_and_few_links() {
        let certificate = authority().certificate_pem().to_owned();
        let check = |text: &str, expected: Option<usize>| {
            assert_eq!(certificate_chain(text).ok().map(|chain| chain.len()), expected, "{text}");
        };

        check("", None);
        check(&certificate, Some(1));
        check(&certificate.repeat(MAX_CHAIN_LENGTH), Some(MAX_CHAIN_LENGTH));
        check(&certificate.repeat(MAX_CHAIN_LENGTH + 1), None);
        check(&certificate[..certificate.len() / 2], None);
        check(&"x".repeat(MAX_CHAIN_PEM_LENGTH + 1), None);
    }

    #[test]
    fn a_certificate_is_not_taken_for_a_key() {
        let certificate = Secret::new(authority().certificate_pem());

        assert_eq!(private_key_der(&certificate), Err(CertificateError::NotPem { expected: "private key" }));
    }
}
