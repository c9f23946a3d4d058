//! Ports of a container, as clients write them: `80/tcp`, `53/UDP`, `8080`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use engine::{CreateRequest, PortBinding};

use crate::error::ApiError;

/// The protocols that have ports.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Gives every port of a request its protocol, in small letters.
///
/// # Errors
/// One is none, or is to be published at no port or address of a host.
pub(super) fn normalize_ports(request: &mut CreateRequest) -> Result<(), ApiError> {
    let exposed = std::mem::take(&mut request.config.exposed_ports);
    for port in exposed.into_keys() {
        request.config.exposed_ports.insert(container_port(&port)?, serde_json::Map::new());
    }
    let bindings = std::mem::take(&mut request.host_config.port_bindings);
    let mut normal: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for (port, bindings) in bindings {
        let port = container_port(&port)?;
        for binding in bindings.iter().flatten() {
            check_binding(binding)?;
        }
        let known = normal.entry(port).or_insert(Some(Vec::new()));
        known.get_or_insert_default().extend(bindings.unwrap_or_default());
    }
    request.host_config.port_bindings = normal;
    Ok(())
}

fn container_port(text: &str) -> Result<String, ApiError> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    match port(number) {
        Some(number) if PROTOCOLS.contains(&protocol.as_str()) => Ok(format!("{number}/{protocol}")),
        Some(_) | None => Err(invalid(text)),
    }
}

fn check_binding(binding: &PortBinding) -> Result<(), ApiError> {
    let (host_ip, host_port) = (&binding.host_ip, &binding.host_port);
    if !host_ip.is_empty() && host_ip.parse::<IpAddr>().is_err() {
        return Err(ApiError::invalid(format!("invalid IP address: {host_ip}")));
    }
    let (low, high) = host_port.split_once('-').unwrap_or((host_port, host_port));
    // Zero is any, as nothing is.
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let is_range = matches!((number(low), number(high)), (Some(low), Some(high)) if low <= high);
    if host_port.is_empty() || is_range { Ok(()) } else { Err(invalid(host_port)) }
}

fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number > 0)
}

fn invalid(text: &str) -> ApiError {
    ApiError::invalid(format!("invalid port specification: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_a_number_and_a_protocol() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(container_port(text).ok().as_deref(), expected, "{text}");
        };
        check("80", Some("80/tcp"));
        check("80/tcp", Some("80/tcp"));
        check("53/UDP", Some("53/udp"));
        check("9/sctp", Some("9/sctp"));
        for wrong in ["", "0", "0/tcp", "65536/tcp", "80/icmp", "80/", "/tcp", "-1/tcp", "+1", "1-2/tcp", "x/tcp"] {
            check(wrong, None);
        }
    }

    #[test]
    fn ports_of_the_host_are_numbers_ranges_or_any() {
        let check = |host_ip: &str, host_port: &str, expected: Result<(), &str>| {
            let binding = PortBinding { host_ip: host_ip.to_owned(), host_port: host_port.to_owned() };
            let found = check_binding(&binding).map_err(|error| error.message);
            assert_eq!(found, expected.map_err(str::to_owned), "{host_ip} {host_port}");
        };
        check("", "", Ok(()));
        check("::1", "0", Ok(()));
        check("127.0.0.1", "8000-8010", Ok(()));
        check("localhost", "80", Err("invalid IP address: localhost"));
        check("", "9-8", Err("invalid port specification: \"9-8\""));
        check("", "70000", Err("invalid port specification: \"70000\""));
        check("", "+8", Err("invalid port specification: \"+8\""));
        check("", "http", Err("invalid port specification: \"http\""));
    }
}
