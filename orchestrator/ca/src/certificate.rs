//! What a certificate says: read from bytes that came from outside, so bounded and strict.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use model::{ClusterId, NodeId, Role, TlsInfo};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::pem::MAX_PEM_LENGTH;
use crate::{CertificateError, certificate_chain, certificate_der};

/// What the certificate of a node says. Whether it is to be believed is for whoever checked its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The node (common name).
    pub node_id: NodeId,
    /// Its role (organizational unit).
    pub role: Role,
    /// Its swarm (organization).
    pub cluster_id: ClusterId,
    /// The beginning of its life, an hour before it was signed.
    pub not_before: Timestamp,
    /// The end of its life.
    pub not_after: Timestamp,
    /// The subject of its issuer, DER.
    pub issuer_subject_der: Vec<u8>,
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
}

impl CertificateInfo {
    /// Reads the certificate of a node; what may follow to link it to a root is left aside.
    ///
    /// # Errors
    /// The text is no certificate, or not one of a node.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        Self::from_der(&certificate_chain(pem)?[0])
    }

    /// Reads the certificate of a node.
    ///
    /// # Errors
    /// The bytes are no certificate, or not one of a node.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = parse(der)?;
        let subject = certificate.subject();
        Ok(Self {
            node_id: only(subject.iter_common_name())
                .and_then(|name| name.parse().ok())
                .ok_or(CertificateError::NotANode { part: "common name" })?,
            role: only(subject.iter_organizational_unit())
                .and_then(role_of)
                .ok_or(CertificateError::NotANode { part: "organizational unit" })?,
            cluster_id: only(subject.iter_organization())
                .and_then(|name| name.parse().ok())
                .ok_or(CertificateError::NotANode { part: "organization" })?,
            not_before: timestamp(certificate.validity().not_before)?,
            not_after: timestamp(certificate.validity().not_after)?,
            issuer_subject_der: certificate.issuer().as_raw().to_vec(),
            serial: certificate.raw_serial().to_vec(),
        })
    }
}

/// The common name of any certificate, such as a client's.
///
/// # Errors
/// The bytes are no certificate, or have no common name or several.
pub fn common_name(der: &[u8]) -> Result<String, CertificateError> {
    let certificate = parse(der)?;
    common_name_of(certificate.subject()).ok_or(CertificateError::NotANode { part: "common name" })
}

/// The trust of a node as Docker shows it: all its roots, and the authority that issued its certificate: one of the
/// roots, or one of those that link the certificate to a root.
///
/// # Errors
/// A text is no certificate, or none of them is the certificate's issuer.
pub fn tls_info(certificate_pem: &str, roots: &[String]) -> Result<TlsInfo, CertificateError> {
    let chain = certificate_chain(certificate_pem)?;
    let roots_der = roots.iter().map(|root| certificate_der(root)).collect::<Result<Vec<_>, _>>()?;
    for authority in roots_der.iter().chain(&chain[1..]) {
        if has_signed(authority, &chain[0])? {
            return describe(roots, authority);
        }
    }
    Err(CertificateError::UnknownIssuer)
}

/// The trust of a swarm as Docker shows it: all its roots, of which the first one issues certificates.
///
/// # Errors
/// There is no root, or the first one is no certificate.
pub fn swarm_tls_info(roots: &[String]) -> Result<TlsInfo, CertificateError> {
    let first = roots.first().ok_or(CertificateError::UnknownIssuer)?;
    describe(roots, &certificate_der(first)?)
}

/// Whether a root has issued a node's certificate itself.
///
/// # Errors
/// A text is no certificate.
pub fn is_issued_by(certificate_pem: &str, root_pem: &str) -> Result<bool, CertificateError> {
    has_signed(&certificate_der(root_pem)?, &certificate_chain(certificate_pem)?[0])
}

fn has_signed(authority: &[u8], certificate: &[u8]) -> Result<bool, CertificateError> {
    let (authority, certificate) = (parse(authority)?, parse(certificate)?);
    Ok(authority.subject().as_raw() == certificate.issuer().as_raw()
        && certificate.verify_signature(Some(authority.public_key())).is_ok())
}

fn describe(roots: &[String], issuer: &[u8]) -> Result<TlsInfo, CertificateError> {
    let issuer = parse(issuer)?;
    Ok(TlsInfo {
        trust_root: roots.concat(),
        cert_issuer_subject: STANDARD.encode(issuer.subject().as_raw()),
        cert_issuer_public_key: STANDARD.encode(issuer.public_key().raw),
    })
}

/// The identifier of an authority's key, where its certificate names one.
pub(crate) fn key_identifier(der: &[u8]) -> Result<Option<Vec<u8>>, CertificateError> {
    let certificate = parse(der)?;
    let extensions = certificate.iter_extensions().map(X509Extension::parsed_extension);
    let mut identifiers = extensions.filter_map(|extension| {
        if let ParsedExtension::SubjectKeyIdentifier(identifier) = extension {
            Some(identifier.0.to_vec())
        } else {
            None
        }
    });
    Ok(identifiers.next())
}

/// Whether a certificate has the subject of an authority, and names it as its issuer, byte by byte.
pub(crate) fn is_named_like(der: &[u8], authority: &[u8]) -> Result<bool, CertificateError> {
    let (certificate, authority) = (parse(der)?, parse(authority)?);
    let name = authority.subject().as_raw();
    Ok(certificate.subject().as_raw() == name && certificate.issuer().as_raw() == name)
}

/// Reads a certificate: all of the bytes, and not too many.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    if der.len() > MAX_PEM_LENGTH {
        return Err(CertificateError::TooLong { length: der.len(), limit: MAX_PEM_LENGTH });
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Malformed),
    }
}

fn common_name_of(name: &X509Name<'_>) -> Option<String> {
    only(name.iter_common_name()).map(str::to_owned)
}

/// The text of an attribute that must be there once: of two names, two readers could choose different ones.
fn only<'a>(mut attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<&'a str> {
    let value = attributes.next()?.as_str().ok()?;
    if attributes.next().is_some() { None } else { Some(value) }
}

fn role_of(unit: &str) -> Option<Role> {
    [Role::Worker, Role::Manager].into_iter().find(|role| role.organizational_unit() == unit)
}

/// A time in a certificate.
pub(crate) fn timestamp(time: ASN1Time) -> Result<Timestamp, CertificateError> {
    Timestamp::from_second(time.timestamp()).map_err(|_| CertificateError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{authority, node_certificate_pem, now};
    use crate::{Authority, KeyPair};
    use std::time::Duration;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_client_certificate_is_not_one_of_a_node() {
        let pair = KeyPair::generate().expect("a key");
        let pem = authority().issue_client(pair.csr_pem(), "alice", DAY, now()).expect("a certificate");

        assert_eq!(CertificateInfo::from_pem(&pem), Err(CertificateError::NotANode { part: "common name" }));
        assert_eq!(common_name(&certificate_der(&pem).expect("a certificate")), Ok("alice".to_owned()));
    }

    #[test]
    fn docker_sees_the_issuer_among_several_roots() {
        let other = Authority::generate("swarm-ca", now()).expect("an authority");
        let roots = [other.certificate_pem().to_owned(), authority().certificate_pem().to_owned()];

        let info = tls_info(&node_certificate_pem(DAY), &roots).expect("one of the roots is the issuer");

        let root_der = certificate_der(&roots[1]).expect("a certificate");
        let root = parse(&root_der).expect("a certificate");
        assert_eq!(info.trust_root, roots.concat());
        assert_eq!(info.cert_issuer_public_key, STANDARD.encode(root.public_key().raw));
        assert_eq!(tls_info(&node_certificate_pem(DAY), &roots[..1]), Err(CertificateError::UnknownIssuer));
    }

    #[test]
    fn a_certificate_is_issued_by_the_authority_that_signed_it_and_no_namesake() {
        let other = Authority::generate("swarm-ca", now()).expect("an authority");
        let certificate = node_certificate_pem(DAY);

        assert_eq!(is_issued_by(&certificate, authority().certificate_pem()), Ok(true));
        assert_eq!(is_issued_by(&certificate, other.certificate_pem()), Ok(false));
        assert!(is_issued_by(&certificate, "no certificate").is_err());
    }

    #[test]
    fn the_issuer_may_be_one_that_is_linked_to_a_root() {
        let old = Authority::generate("swarm-ca", now()).expect("an authority");
        let link = old.cross_sign(authority(), now()).expect("a certificate");
        let certificate = node_certificate_pem(DAY);
        let chain = format!("{certificate}{link}");
        let roots = [old.certificate_pem().to_owned()];

        let info = tls_info(&chain, &roots).expect("the link leads to the root");

        let new = swarm_tls_info(&[authority().certificate_pem().to_owned()]).expect("a root");
        assert_eq!(info.trust_root, roots[0]);
        assert_eq!(info.cert_issuer_public_key, new.cert_issuer_public_key);
        assert_eq!(CertificateInfo::from_pem(&chain), CertificateInfo::from_pem(&certificate));
    }

    #[test]
    fn bytes_after_a_certificate_are_refused() {
        let mut der = certificate_der(&node_certificate_pem(DAY)).expect("a certificate").to_vec();
        der.push(0);

        assert_eq!(CertificateInfo::from_der(&der), Err(CertificateError::Malformed));
    }

    proptest! {
        #[test]
        fn a_damaged_certificate_never_panics(position in 0_usize..400, value in any::<u8>(), cut in 0_usize..600) {
            let mut der = certificate_der(&node_certificate_pem(DAY)).expect("a certificate").to_vec();
            let position = position % der.len();
            der[position] = value;
            der.truncate(cut.max(1));

            let _ = CertificateInfo::from_der(&der);
            let _ = common_name(&der);
        }
    }
}
