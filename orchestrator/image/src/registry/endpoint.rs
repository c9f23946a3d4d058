//! Where a registry is: its host, and whether plain http will do.

use std::net::IpAddr;

use reqwest::{StatusCode, Url};

use super::{RegistryClient, RegistryError};
use crate::{DEFAULT_DOMAIN, Reference};

/// Docker Hub's host is not the one in its names.
const HUB: &str = "registry-1.docker.io";

/// A registry that can be spoken to.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) http: reqwest::Client,
    /// `https://host:port/v2/`.
    pub(super) base: Url,
    /// Whether neither certificates nor https are asked for.
    pub(super) is_lax: bool,
    /// Host and port, for people.
    pub(super) registry: String,
}

impl RegistryClient {
    /// Finds out how to speak to a reference's registry. A lax one is asked over https first, as by Docker.
    pub(super) async fn endpoint(&self, reference: &Reference) -> Result<Endpoint, RegistryError> {
        let registry = if reference.domain() == DEFAULT_DOMAIN { HUB } else { reference.domain() };
        let is_lax = is_lax(registry, &self.settings.insecure);
        let http = if is_lax { &self.lax } else { &self.strict };
        let base = |scheme: &str| {
            let what = |error| RegistryError::Nonsense { registry: registry.to_owned(), what: format!("{error}") };
            Url::parse(&format!("{scheme}://{registry}/v2/")).map_err(what)
        };
        let mut base_url = base("https")?;
        let unreachable = |source| RegistryError::Unreachable { registry: registry.to_owned(), source };
        let ask = |url: &Url| http.get(url.clone()).timeout(self.settings.stall).send();
        if is_lax && let Err(error) = ask(&base_url).await {
            if !error.is_connect() {
                return Err(unreachable(error));
            }
            base_url = base("http")?;
            let answer = ask(&base_url).await.map_err(unreachable)?;
            if answer.status() == StatusCode::BAD_REQUEST {
                // A registry with https that is not reached by it: its first answer says why.
                return Err(unreachable(error));
            }
        }
        Ok(Endpoint { http: http.clone(), base: base_url, is_lax, registry: registry.to_owned() })
    }
}

/// This machine itself, or what the operator lists: hosts, hosts with ports, prefixes of addresses.
fn is_lax(registry: &str, insecure: &[String]) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    let address: Option<IpAddr> = host.parse().ok();
    let is_covered = |entry: &String| match (entry.split_once('/'), address) {
        (Some((prefix, length)), Some(address)) => match (prefix.parse(), length.parse()) {
            (Ok(prefix), Ok(length)) => is_within(address, prefix, length),
            _ => false,
        },
        (Some(_), None) => false,
        (None, _) => entry == registry || entry == host,
    };
    host == "localhost" || address.is_some_and(|address| address.is_loopback()) || insecure.iter().any(is_covered)
}

fn is_within(address: IpAddr, prefix: IpAddr, length: u32) -> bool {
    let shared = |one: u128, other: u128, width: u32| {
        let shift = width.saturating_sub(length);
        shift >= width || one.checked_shr(shift) == other.checked_shr(shift)
    };
    match (address, prefix) {
        (IpAddr::V4(one), IpAddr::V4(other)) => shared(one.to_bits().into(), other.to_bits().into(), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => shared(one.to_bits(), other.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_what_is_listed_may_be_lax() {
        let listed = ["reg:5000", "plain.example", "10.0.0.0/8", "fd00::/8"].map(str::to_owned);
        for registry in [
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5",
            "localhost:1",
            "reg:5000",
            "plain.example:9",
            "10.1.2.3:5000",
            "[fd00::1]:5",
        ] {
            assert!(is_lax(registry, &listed), "{registry}");
        }
        for registry in
            ["docker.io", "reg", "reg:5001", "11.0.0.1", "127.0.0.1.example", "localhost.example", "[fe80::1]:5"]
        {
            assert!(!is_lax(registry, &listed), "{registry}");
        }
    }
}
