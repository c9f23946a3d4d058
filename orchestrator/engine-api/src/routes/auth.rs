//! `POST /auth`: `docker login` asks whether a registry lets somebody in.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use image::{Credentials, DEFAULT_DOMAIN, Reference, RegistryError};
use model::with_causes;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::body::read_json;
use crate::error::ApiError;
use crate::respond::json;

/// What Docker Hub is called by clients of several ages.
const HUB: [&str; 4] = ["", "index.docker.io", "registry-1.docker.io", DEFAULT_DOMAIN];

/// Docker's `AuthConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AuthBody {
    #[serde(rename = "serveraddress")]
    server_address: String,
    #[serde(flatten)]
    credentials: Credentials,
}

/// Docker's answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AuthDocument {
    status: &'static str,
    /// This engine asks for none, so that clients keep the password.
    identity_token: &'static str,
}

/// `POST /auth`
pub(super) async fn check(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let body: AuthBody = read_json(request).await?;
    let reference = registry(&body.server_address)?;
    api.engine.images().login(&reference, &body.credentials).await.map_err(|error| {
        if let RegistryError::Denied { reason, .. } = &error {
            let message = format!("login attempt to {} failed: {reason}", reference.domain());
            return ApiError::new(StatusCode::UNAUTHORIZED, message);
        }
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, with_causes(&error))
    })?;
    Ok(json(StatusCode::OK, &AuthDocument { status: "Login Succeeded", identity_token: "" }))
}

/// Something at a registry that is given by its host, or by an address as Docker Hub's is.
fn registry(address: &str) -> Result<Reference, ApiError> {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let host = if HUB.contains(&host) { DEFAULT_DOMAIN } else { host };
    let reference = format!("{host}/any").parse().ok();
    // A host that is none would be a part of another registry's names.
    reference.filter(|reference: &Reference| reference.domain() == host).ok_or_else(|| {
        ApiError::invalid(format!("invalid registry {address:?}: a host with a point or a port is expected"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_host_whatever_stands_around_it() {
        let check = |address: &str, expected: Option<&str>| {
            let found = registry(address).ok();
            assert_eq!(found.as_ref().map(Reference::domain), expected, "{address}");
        };
        check("", Some("docker.io"));
        check("https://index.docker.io/v1/", Some("docker.io"));
        check("127.0.0.1:5000", Some("127.0.0.1:5000"));
        check("https://reg.example/v2/", Some("reg.example"));
        check("http://localhost", Some("localhost"));
        for wrong in ["reg", "a b", "https://reg", "user@host.x", "..", "a.b:x"] {
            check(wrong, None);
        }
    }
}
