//! Who asks a registry.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use model::Secret;
use serde::Deserialize;

/// What Docker's clients send in `X-Registry-Auth`; all empty is nobody in particular.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Credentials {
    /// Who.
    pub username: String,
    /// With which password.
    pub password: Secret,
    /// Instead of both: what a token is got with.
    #[serde(rename = "identitytoken")]
    pub identity_token: Secret,
    /// Instead of all: the token itself.
    #[serde(rename = "registrytoken")]
    pub registry_token: Secret,
}

/// A header that is not as Docker's clients write it.
#[derive(Debug, thiserror::Error)]
#[error("the registry's credentials are not base64 of JSON")]
pub struct InvalidCredentials;

impl Credentials {
    /// Reads the header `X-Registry-Auth`: JSON in URL-safe base64, with or without padding; empty is nobody.
    pub fn from_header(header: &str) -> Result<Self, InvalidCredentials> {
        let text = header.trim().trim_end_matches('=');
        if text.is_empty() {
            return Ok(Self::default());
        }
        let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
        let bytes = URL_SAFE.decode(&padded).or_else(|_| STANDARD.decode(&padded)).map_err(|_| InvalidCredentials)?;
        // An array would be taken for the fields in their order.
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&bytes).map_err(|_| InvalidCredentials)?;
        serde_json::from_value(fields.into()).map_err(|_| InvalidCredentials)
    }

    /// What proves the user name, if there is one.
    pub(super) fn basic(&self) -> Option<String> {
        let text = format!("{}:{}", self.username, self.password.expose());
        (!self.username.is_empty()).then(|| format!("Basic {}", STANDARD.encode(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_in_every_way_that_clients_write_them() {
        let json = r#"{"username":"me","password":"a?b>","serveraddress":"x","auth":""}"#;
        for header in
            [URL_SAFE.encode(json), STANDARD.encode(json), URL_SAFE.encode(json).trim_end_matches('=').to_owned()]
        {
            let credentials = Credentials::from_header(&header).unwrap();

            assert_eq!((credentials.username.as_str(), credentials.password.expose()), ("me", "a?b>"));
        }
        assert_eq!(Credentials::from_header("").unwrap(), Credentials::default());
        assert!(Credentials::from_header("!").is_err());
        assert!(!format!("{:?}", Credentials::from_header(&URL_SAFE.encode(json))).contains("a?b>"));
    }
}
