//! Join tokens, exactly as Docker writes them: `SWMTKN-1-<digest of the root>-<secret>`.
//!
//! The digest lets a joining node check the swarm before it sends the secret; the secret lets the swarm check the
//! node, and tells the role it joins with. The digest is SHA-256 over the normal PEM form of the root that signs.

use std::fmt;
use std::str::FromStr;

use model::{Secret, base36_digits};
use sha2::{Digest, Sha256};

use crate::{CertificateError, normalize_certificate};

const PREFIX: &str = "SWMTKN";
const VERSION: &str = "1";
/// Base-36 digits of a SHA-256.
pub(crate) const DIGEST_DIGITS: usize = 50;
/// Base-36 digits of 16 bytes.
pub(crate) const SECRET_DIGITS: usize = 25;
/// The longest text that is looked at as a token; a token has 85 characters.
const MAX_LENGTH: usize = 256;

/// What lets a node join: the digest of the swarm's root, and a secret of the swarm. `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    digest: String,
    secret: Secret,
}

impl JoinToken {
    /// The token of a swarm whose first root is the one given.
    ///
    /// # Errors
    /// The root is not one certificate in PEM.
    pub fn new(root_pem: &str, secret: &Secret) -> Result<Self, CertificateError> {
        Ok(Self { digest: digest(root_pem)?, secret: secret.clone() })
    }

    /// The secret half, which the swarm compares with its own.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Whether a root is the one that the token names. A text that is no certificate is not.
    pub fn trusts(&self, root_pem: &str) -> bool {
        digest(root_pem).is_ok_and(|digest| digest == self.digest)
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}-{VERSION}-{}-{}", self.digest, self.secret.expose())
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}-{VERSION}-{}-<redacted>", self.digest)
    }
}

impl FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, InvalidJoinToken> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidJoinToken::TooLong);
        }
        let mut parts = text.split('-');
        if parts.next() != Some(PREFIX) {
            return Err(InvalidJoinToken::NotAToken);
        }
        match parts.next() {
            Some(VERSION) => {}
            Some(version) => return Err(InvalidJoinToken::UnknownVersion { version: version.to_owned() }),
            None => return Err(InvalidJoinToken::NotAToken),
        }
        let digest = digits(parts.next(), "digest", DIGEST_DIGITS)?;
        let secret = digits(parts.next(), "secret", SECRET_DIGITS)?;
        if parts.next().is_some() {
            return Err(InvalidJoinToken::TooManyParts);
        }
        Ok(Self { digest: digest.to_owned(), secret: Secret::new(secret) })
    }
}

/// Why a text is no join token. The text itself is never repeated: a mistyped token is still nearly a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJoinToken {
    /// It does not begin as a token does.
    #[error("the text is not a join token: it must begin with {PREFIX}-{VERSION}-")]
    NotAToken,
    /// It is far too long.
    #[error("the text is too long for a join token")]
    TooLong,
    /// It is a token of another kind.
    #[error("join tokens of version `{version}` are not supported: {PREFIX}-{VERSION}- is expected")]
    UnknownVersion {
        /// The version it names.
        version: String,
    },
    /// A part is missing, which happens when a token is cut while copying.
    #[error("the {part} of the join token is missing: the token seems cut short")]
    MissingPart {
        /// `digest` or `secret`.
        part: &'static str,
    },
    /// A part has the wrong length.
    #[error("the {part} of the join token has {found} characters instead of {expected}")]
    WrongLength {
        /// `digest` or `secret`.
        part: &'static str,
        /// Its length.
        found: usize,
        /// The right length.
        expected: usize,
    },
    /// A part has a character that is not a base-36 digit.
    #[error("the {part} of the join token has a character that is not one of 0-9 and a-z")]
    WrongCharacter {
        /// `digest` or `secret`.
        part: &'static str,
    },
    /// Something follows the secret.
    #[error("the join token has more parts than a digest and a secret")]
    TooManyParts,
}

fn digest(root_pem: &str) -> Result<String, CertificateError> {
    let normal = normalize_certificate(root_pem)?;
    Ok(base36_digits(&Sha256::digest(normal.as_bytes()), DIGEST_DIGITS))
}

fn digits<'a>(text: Option<&'a str>, part: &'static str, expected: usize) -> Result<&'a str, InvalidJoinToken> {
    let text = text.filter(|text| !text.is_empty()).ok_or(InvalidJoinToken::MissingPart { part })?;
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase()) {
        return Err(InvalidJoinToken::WrongCharacter { part });
    }
    if text.len() != expected {
        return Err(InvalidJoinToken::WrongLength { part, found: text.len(), expected });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::testing::authority;
    use crate::{Authority, generate_join_secret};

    const DIGEST: &str = "00000000000000000000000000000000000000000000000000";
    const SECRET: &str = "1111111111111111111111111";

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        let secret = generate_join_secret(&mut StdRng::seed_from_u64(3));
        let token = JoinToken::new(authority().certificate_pem(), &secret).expect("the root is a certificate");

        let text = token.to_string();

        assert_eq!(text.len(), 85);
        assert!(text.starts_with("SWMTKN-1-"));
        assert_eq!(text.parse::<JoinToken>(), Ok(token.clone()));
        assert_eq!(token.secret(), &secret);
    }

    #[test]
    fn a_token_trusts_its_own_root_in_any_layout_and_no_other() {
        let root = authority();
        let other = Authority::generate("swarm-ca", jiff::Timestamp::now()).expect("an authority");
        let token = JoinToken::new(root.certificate_pem(), &Secret::new(SECRET)).expect("the root is a certificate");

        assert!(token.trusts(root.certificate_pem()));
        assert!(token.trusts(&root.certificate_pem().replace('\n', "\r\n")));
        assert!(!token.trusts(other.certificate_pem()));
        assert!(!token.trusts("no certificate"));
    }

    #[test]
    fn the_digest_is_the_sha_256_of_the_pem_bytes_in_base_36() {
        // The sum was computed with sha256sum and converted with Python's integers.
        let pem = include_str!("../tests/data/root.pem");
        let token = JoinToken::new(pem, &Secret::new(SECRET)).expect("the root is a certificate");

        assert_eq!(token.to_string(), include_str!("../tests/data/root.token").trim_end());
    }

    #[test]
    fn what_is_no_token_is_refused_with_the_reason() {
        use InvalidJoinToken as Invalid;
        let check = |text: &str, expected: Invalid| assert_eq!(text.parse::<JoinToken>(), Err(expected), "{text}");
        check("", Invalid::NotAToken);
        check("hello", Invalid::NotAToken);
        check("SWMTKN", Invalid::NotAToken);
        check("SWMKEY-1-abc", Invalid::NotAToken);
        check(&format!("SWMTKN-2-1-{DIGEST}-{SECRET}"), Invalid::UnknownVersion { version: "2".to_owned() });
        check("SWMTKN-1", Invalid::MissingPart { part: "digest" });
        check("SWMTKN-1-", Invalid::MissingPart { part: "digest" });
        check(&format!("SWMTKN-1-{DIGEST}"), Invalid::MissingPart { part: "secret" });
        check(&format!("SWMTKN-1-{DIGEST}-{SECRET}-1"), Invalid::TooManyParts);
        check(&format!("SWMTKN-1-{DIGEST}-{}", SECRET.to_owned() + "Z"), Invalid::WrongCharacter { part: "secret" });
        check(
            &format!("SWMTKN-1-{DIGEST}-{}", &SECRET[1..]),
            Invalid::WrongLength { part: "secret", found: 24, expected: 25 },
        );
        check(
            &format!("SWMTKN-1-0{DIGEST}-{SECRET}"),
            Invalid::WrongLength { part: "digest", found: 51, expected: 50 },
        );
        check(&"S".repeat(MAX_LENGTH + 1), Invalid::TooLong);
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_secret() {
        let token: JoinToken = format!("SWMTKN-1-{DIGEST}-{SECRET}").parse().expect("a token");
        let error = format!("SWMTKN-1-{DIGEST}-{SECRET}!").parse::<JoinToken>().expect_err("a bad digit");

        assert!(!format!("{token:?}").contains(SECRET));
        assert!(!format!("{error:?} {error}").contains(SECRET));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in ".{0,300}") {
            let _ = text.parse::<JoinToken>();
        }

        #[test]
        fn a_token_that_parses_is_written_as_it_was(
            digest in "[0-9a-z]{49,51}", secret in "[0-9a-zA]{24,26}",
        ) {
            let text = format!("SWMTKN-1-{digest}-{secret}");
            if let Ok(token) = text.parse::<JoinToken>() {
                prop_assert_eq!(token.to_string(), text);
            } else {
                prop_assert!(digest.len() != 50 || secret.len() != 25 || secret.contains('A'));
            }
        }
    }
}
