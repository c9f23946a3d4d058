//! An authority: a certificate that signs, and its key.
//!
//! A signing request contributes its public key and nothing else: names, addresses, role and lifetime come from
//! whoever asks the authority to sign. Every certificate is dated back an hour, so that a node whose clock is behind
//! still takes it, and none outlives its authority.
//!
//! An authority may be one that somebody else has made: of another kind of key, and with a name of its own.

mod name;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use model::{ClusterId, NodeId, Role, Secret};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::certificate::{is_named_like, key_identifier, parse, timestamp};
use crate::key_pair::{generate_key, read_key};
use crate::pem::{certificate_pem, check_length};
use crate::{CaError, certificate_der};

/// How far certificates are dated back.
pub(crate) const BACKDATE: Duration = Duration::from_hours(1);
/// Life of an authority: 20 years of 365 days.
const AUTHORITY_LIFETIME: Duration = Duration::from_hours(24 * 365 * 20);

/// Whom a node's certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSubject {
    /// Becomes the common name.
    pub node_id: NodeId,
    /// Becomes the organizational unit.
    pub role: Role,
    /// Becomes the organization.
    pub cluster_id: ClusterId,
    /// Addresses that the node is reached at.
    pub addresses: Vec<IpAddr>,
}

/// An authority with its key: the root of a swarm, or the authority of the API's clients.
pub struct Authority {
    certificate_pem: String,
    key_pem: Secret,
    not_before: Timestamp,
    not_after: Timestamp,
    name: DistinguishedName,
    issuer: Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    /// Makes a new authority: ECDSA P-256, valid for 20 years.
    ///
    /// # Errors
    /// The operating system gives no randomness, or the time is out of range.
    pub fn generate(common_name: &str, now: Timestamp) -> Result<Self, CaError> {
        let key = generate_key()?;
        let mut params = params(now, now + AUTHORITY_LIFETIME)?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&key)
            .map_err(|source| CaError::Signing { action: "sign the authority's certificate", source })?;
        Self::assemble(certificate.der(), key)
    }

    /// Takes up an authority that exists.
    ///
    /// # Errors
    /// The certificate or the key cannot be read, may not sign, or do not belong together.
    pub fn from_pem(certificate: &str, key: &Secret) -> Result<Self, CaError> {
        Self::assemble(&certificate_der(certificate)?, read_key(key)?)
    }

    /// The certificate, PEM, in the form that join tokens digest.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key, PEM (PKCS #8).
    pub fn key_pem(&self) -> Secret {
        self.key_pem.clone()
    }

    /// The beginning of its life.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The end of its life.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether another authority has the same key: then neither can vouch for the other.
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.issuer.key().subject_public_key_info() == other.issuer.key().subject_public_key_info()
    }

    /// Checks that certificates signed here name their issuer in the bytes of its own certificate, without which
    /// nobody would find it. To be asked of an authority that somebody else has made.
    ///
    /// # Errors
    /// They do not.
    pub fn check_name(&self) -> Result<(), CaError> {
        let (probe, own) = (self.cross_sign(self, self.not_before)?, certificate_der(&self.certificate_pem)?);
        if is_named_like(&certificate_der(&probe)?, &own)? { Ok(()) } else { Err(CaError::UnusableName) }
    }

    /// Vouches for another authority: its name and key, signed by this one, so that who trusts this one believes what
    /// the other signs. Ends with the first of the two.
    ///
    /// # Errors
    /// The time is out of range.
    pub fn cross_sign(&self, other: &Self, now: Timestamp) -> Result<String, CaError> {
        let failed = |source| CaError::Signing { action: "sign the certificate of another authority", source };
        let mut params = params(now, self.not_after.min(other.not_after))?;
        params.distinguished_name = other.name.clone();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        if let Some(identifier) = key_identifier(&certificate_der(&other.certificate_pem)?)? {
            params.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
        }
        let certificate = params.signed_by(other.issuer.key(), &self.issuer).map_err(failed)?;
        Ok(certificate_pem(certificate.der()))
    }

    /// Signs the key of a node: both ends of a connection, by node id, by role and by address.
    ///
    /// # Errors
    /// The request is not valid.
    pub fn issue_node(
        &self,
        csr_pem: &str,
        subject: &NodeSubject,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, CaError> {
        let mut params = params(now, self.end_of(now, lifetime))?;
        let unit = subject.role.organizational_unit();
        params.distinguished_name.push(DnType::OrganizationName, subject.cluster_id.as_str());
        params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        params.distinguished_name.push(DnType::CommonName, subject.node_id.as_str());
        params.subject_alt_names = alternative_names(&[subject.node_id.as_str(), unit], &subject.addresses)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(csr_pem, params)
    }

    /// Signs the key of an API server: reached at these addresses and names, and no client anywhere.
    ///
    /// # Errors
    /// The request or a name is not valid.
    pub fn issue_server(
        &self,
        csr_pem: &str,
        addresses: &[IpAddr],
        dns_names: &[String],
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, CaError> {
        let names: Vec<&str> = dns_names.iter().map(String::as_str).collect();
        let mut params = params(now, self.end_of(now, lifetime))?;
        params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("swarm-api"));
        params.subject_alt_names = alternative_names(&names, addresses)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(csr_pem, params)
    }

    /// Signs the key of a user of the API.
    ///
    /// # Errors
    /// The request is not valid.
    pub fn issue_client(
        &self,
        csr_pem: &str,
        name: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, CaError> {
        let mut params = params(now, self.end_of(now, lifetime))?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(csr_pem, params)
    }

    fn assemble(der: &CertificateDer<'_>, key: rcgen::KeyPair) -> Result<Self, CaError> {
        let certificate = parse(der)?;
        if !certificate.is_ca() {
            return Err(CaError::NotAnAuthority);
        }
        if key.subject_public_key_info() != certificate.public_key().raw {
            return Err(CaError::KeyMismatch);
        }
        let not_before = timestamp(certificate.validity().not_before)?;
        let not_after = timestamp(certificate.validity().not_after)?;
        let name = name::distinguished_name(certificate.subject()).ok_or(CaError::UnusableName)?;
        let key_pem = Secret::new(key.serialize_pem());
        let issuer = Issuer::from_ca_cert_der(der, key)
            .map_err(|source| CaError::Signing { action: "read the authority's certificate", source })?;
        Ok(Self { certificate_pem: certificate_pem(der), key_pem, not_before, not_after, name, issuer })
    }

    /// When a certificate signed now ends: after its lifetime, but never after its authority.
    fn end_of(&self, now: Timestamp, lifetime: Duration) -> Timestamp {
        now.saturating_add(lifetime).map_or(self.not_after, |end| end.min(self.not_after))
    }

    fn sign(&self, csr_pem: &str, mut params: CertificateParams) -> Result<String, CaError> {
        check_length(csr_pem).map_err(|error| CaError::InvalidRequest { reason: error.to_string() })?;
        let request = CertificateSigningRequestParams::from_pem(csr_pem)
            .map_err(|error| CaError::InvalidRequest { reason: error.to_string() })?;
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(CaError::InvalidRequest { reason: "its key is not ECDSA P-256".to_owned() });
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(&request.public_key, &self.issuer)
            .map_err(|source| CaError::Signing { action: "sign a certificate", source })?;
        Ok(certificate_pem(certificate.der()))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// What every certificate has: its dates, and a serial number of 128 random bits.
fn params(now: Timestamp, end: Timestamp) -> Result<CertificateParams, CaError> {
    let mut serial: [u8; 16] = rand::random();
    serial[0] &= 0x7f;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = date(now.saturating_sub(BACKDATE).unwrap_or(now))?;
    params.not_after = date(end)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn date(moment: Timestamp) -> Result<OffsetDateTime, CaError> {
    OffsetDateTime::from_unix_timestamp(moment.as_second()).map_err(|_| CaError::TimeOutOfRange(moment))
}

fn alternative_names(names: &[&str], addresses: &[IpAddr]) -> Result<Vec<SanType>, CaError> {
    let names = names.iter().map(|name| {
        let name = (*name).try_into();
        name.map(SanType::DnsName).map_err(|source| CaError::Signing { action: "write a name", source })
    });
    names.chain(addresses.iter().map(|address| Ok(SanType::IpAddress(*address)))).collect()
}

#[cfg(test)]
mod tests;
