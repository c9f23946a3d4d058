//! A root that an operator brings: read and refused in Docker's words. Pure.

use std::time::Duration;

use ca::{Authority, CaError};
use jiff::Timestamp;
use model::{CaConfig, SwarmError};

use crate::words::invalid;

/// A root must live this much longer at least (SwarmKit's year).
const SHORTEST_REST: Duration = Duration::from_hours(365 * 24);
/// What the beginning of a certificate looks like in PEM.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// The authority in the settings of a swarm; nothing where they name none.
///
/// # Errors
/// It cannot be read or used, in Docker's words.
pub fn given_root(wanted: &CaConfig, now: Timestamp) -> Result<Option<Authority>, SwarmError> {
    let (certificate, key) = (&wanted.signing_ca_cert, &wanted.signing_ca_key);
    if certificate.is_empty() && key.is_empty() {
        return Ok(None);
    }
    match (certificate.matches(CERTIFICATE).count(), key.is_empty()) {
        (0, false) => {
            return Err(invalid("if a signing CA key is provided, the signing CA cert must also be provided"));
        }
        (0, true) => return Err(invalid("could not parse the desired CA certificate")),
        (1, false) => {}
        (1, true) => {
            return Err(invalid(
                "there must be at least one valid, reachable external CA corresponding to the desired CA certificate",
            ));
        }
        _ => return Err(invalid("the desired CA certificate cannot contain multiple certificates")),
    }
    let authority = Authority::from_pem(certificate, key)
        .and_then(|authority| authority.check_name().map(|()| authority))
        .map_err(|error| invalid(&words(&error)))?;
    if authority.not_before() > now {
        return Err(invalid("error while validating Root CA Certificate: it is not valid yet"));
    }
    if authority.not_after() < now + SHORTEST_REST {
        return Err(invalid("CA certificate expires too soon"));
    }
    Ok(Some(authority))
}

/// What is wrong with an authority; in our own words where Docker would take it.
fn words(error: &CaError) -> String {
    match error {
        CaError::Certificate(_) => "could not parse the desired CA certificate".to_owned(),
        CaError::Key(_) => "malformed private key".to_owned(),
        CaError::KeyMismatch => "certificate key mismatch".to_owned(),
        CaError::NotAnAuthority
        | CaError::UnsupportedKey
        | CaError::UnusableName
        | CaError::Signing { .. }
        | CaError::InvalidRequest { .. }
        | CaError::TimeOutOfRange(_) => format!("error while validating Root CA Certificate: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use model::{ErrorKind, Secret};

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn settings(certificate: &str, key: &Secret) -> CaConfig {
        CaConfig { signing_ca_cert: certificate.to_owned(), signing_ca_key: key.clone(), ..CaConfig::default() }
    }

    #[test]
    fn an_authority_with_its_key_is_taken_in_its_normal_form() {
        let now = Timestamp::now();
        let authority = Authority::generate("example", now).unwrap();
        let padded = format!("A remark.\r\n{}\n", authority.certificate_pem().replace('\n', "\r\n"));

        let given = given_root(&settings(&padded, &authority.key_pem()), now).unwrap().unwrap();

        assert_eq!(given.certificate_pem(), authority.certificate_pem());
        assert!(given_root(&CaConfig::default(), now).unwrap().is_none());
    }

    #[test]
    fn what_is_no_usable_authority_is_refused_in_dockers_words() {
        let now = Timestamp::now();
        let authority = Authority::generate("example", now).unwrap();
        let (certificate, key) = (authority.certificate_pem().to_owned(), authority.key_pem());
        let other = Authority::generate("example", now).unwrap();
        let pair = ca::KeyPair::generate().unwrap();
        let leaf = authority.issue_client(pair.csr_pem(), "alice", DAY, now).unwrap();
        let check = |certificate: &str, key: &Secret, moment: Timestamp, expected: &str| {
            let refusal = given_root(&settings(certificate, key), moment).unwrap_err();
            assert_eq!(refusal.kind, ErrorKind::InvalidArgument);
            assert_eq!(refusal.message, format!("rpc error: code = InvalidArgument desc = {expected}"));
        };
        let cut = format!("{CERTIFICATE}\nAAAA\n-----END CERTIFICATE-----\n");
        let (none, unparsable) = (Secret::default(), "could not parse the desired CA certificate");
        let validating = "error while validating Root CA Certificate";

        check("", &key, now, "if a signing CA key is provided, the signing CA cert must also be provided");
        check("x", &key, now, "if a signing CA key is provided, the signing CA cert must also be provided");
        check("x", &none, now, unparsable);
        check(&cut, &key, now, unparsable);
        check(
            &certificate,
            &none,
            now,
            "there must be at least one valid, reachable external CA corresponding to the desired CA certificate",
        );
        check(
            &format!("{certificate}{}", other.certificate_pem()),
            &key,
            now,
            "the desired CA certificate cannot contain multiple certificates",
        );
        check(&certificate, &Secret::new("no key"), now, "malformed private key");
        check(&certificate, &other.key_pem(), now, "certificate key mismatch");
        check(&leaf, &pair.key_pem(), now, &format!("{validating}: the certificate is not one of an authority"));
        check(&certificate, &key, now - DAY, &format!("{validating}: it is not valid yet"));
        check(&certificate, &key, now + DAY * 365 * 19 + DAY, "CA certificate expires too soon");
    }
}
