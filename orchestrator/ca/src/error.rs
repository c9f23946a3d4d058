//! Why something could not be signed, or a certificate not be read.

/// Why an authority could not be made, read or asked to sign.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A key or a certificate could not be made.
    #[error("failed to {action}")]
    Signing {
        /// What was being done.
        action: &'static str,
        /// What the library says.
        #[source]
        source: rcgen::Error,
    },
    /// The signing request is malformed, too long, or not signed by its own key.
    #[error("the certificate signing request is not valid: {reason}")]
    InvalidRequest {
        /// What is wrong with it.
        reason: String,
    },
    /// The authority's certificate could not be read.
    #[error("failed to read the authority's certificate")]
    Certificate(#[from] CertificateError),
    /// The authority's key could not be read.
    #[error("failed to read the authority's key")]
    Key(#[source] CertificateError),
    /// The certificate given is not one that may sign.
    #[error("the certificate is not one of an authority")]
    NotAnAuthority,
    /// The authority's key does not belong to its certificate.
    #[error("the authority's key does not belong to its certificate")]
    KeyMismatch,
    /// The authority's key is of a kind, or in a form, that nothing is signed with here.
    #[error("the authority's key is not ECDSA P-256 or P-384 nor RSA of 2048 bits or more")]
    UnsupportedKey,
    /// The name of the authority could not be written in the same bytes again.
    #[error("the subject of the authority's certificate has parts that cannot be written into other certificates")]
    UnusableName,
    /// A time lies outside what a certificate can say.
    #[error("the time {0} cannot be written into a certificate")]
    TimeOutOfRange(jiff::Timestamp),
}

/// Why a certificate or a key could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is longer than any certificate of ours.
    #[error("the PEM text has {length} bytes, more than the {limit} allowed")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// It is not one PEM block of the kind expected.
    #[error("the text is not one PEM block with a {expected}")]
    NotPem {
        /// `certificate` or `private key`.
        expected: &'static str,
    },
    /// The bytes are no X.509 certificate.
    #[error("the certificate is malformed")]
    Malformed,
    /// The subject lacks a part that a node's certificate has, or has it twice, or in a form that is not ours.
    #[error("the certificate is not one of a node: its {part} is missing or not valid")]
    NotANode {
        /// `common name`, `organizational unit` or `organization`.
        part: &'static str,
    },
    /// No root given has the certificate's issuer as its subject.
    #[error("none of the roots issued the certificate")]
    UnknownIssuer,
}
