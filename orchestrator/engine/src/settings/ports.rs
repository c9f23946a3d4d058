//! Which ports of the host are to lead to a container: Docker's `PortBindings`, and all exposed ones where it says so.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use network::{PortRequest, Protocol};

use super::InvalidSettings;
use crate::config::{ContainerConfig, HostConfig, PortBinding};

/// The ports that a container in the bridge publishes.
pub(crate) fn ports(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<PortRequest>, InvalidSettings> {
    let mut requests = Vec::new();
    for (port, bindings) in &host.port_bindings {
        let (target_port, protocol) = target(port)?;
        let any = PortBinding::default();
        let bindings = bindings.iter().flatten().collect::<Vec<_>>();
        let bindings = if bindings.is_empty() { vec![&any] } else { bindings };
        for binding in bindings {
            requests.push(request(target_port, protocol, binding)?);
        }
    }
    if host.publish_all_ports {
        for port in config.exposed_ports.keys().filter(|port| !host.port_bindings.contains_key(*port)) {
            let (target_port, protocol) = target(port)?;
            requests.push(request(target_port, protocol, &PortBinding::default())?);
        }
    }
    Ok(requests)
}

fn request(target_port: u16, protocol: Protocol, binding: &PortBinding) -> Result<PortRequest, InvalidSettings> {
    let host_address = match binding.host_ip.as_str() {
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        address => {
            let invalid = |_| InvalidSettings(format!("invalid IP address: {address}"));
            address.parse().map_err(invalid)?
        }
    };
    if host_address.is_ipv6() {
        return Err(InvalidSettings(format!("ports are not published on addresses of IPv6: {host_address}")));
    }
    Ok(PortRequest { target_port, protocol, host_address, host_ports: host_ports(&binding.host_port)? })
}

/// Reads `80/tcp`; `80` alone is TCP.
fn target(port: &str) -> Result<(u16, Protocol), InvalidSettings> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let number = number.parse().ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| InvalidSettings(format!("invalid port specification: \"{port}\"")))?;
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Ok((number, Protocol::Tcp)),
        "udp" => Ok((number, Protocol::Udp)),
        "sctp" => Err(InvalidSettings(format!("ports of SCTP are not published by this node: {port}"))),
        _ => Err(InvalidSettings(format!("invalid proto: {protocol}"))),
    }
}

/// Reads `8080`, `8080-8090`, and what stands for any port: nothing, or 0.
fn host_ports(text: &str) -> Result<Option<RangeInclusive<u16>>, InvalidSettings> {
    let invalid = || InvalidSettings(format!("invalid port specification: \"{text}\""));
    if matches!(text, "" | "0") {
        return Ok(None);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number > 0).ok_or_else(invalid);
    let (first, last) = (number(first)?, number(last)?);
    if first > last { Err(invalid()) } else { Ok(Some(first..=last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(port: &str, host_ip: &str, host_port: &str) -> Result<PortRequest, String> {
        let binding = PortBinding { host_ip: host_ip.to_owned(), host_port: host_port.to_owned() };
        let bindings = [(port.to_owned(), Some(vec![binding]))].into();
        let host = HostConfig { port_bindings: bindings, ..HostConfig::default() };
        let ports = ports(&ContainerConfig::default(), &host).map_err(|error| error.to_string())?;
        Ok(ports[0].clone())
    }

    #[test]
    fn bindings_are_read_as_docker_writes_them() {
        let request = |target_port, protocol, address: [u8; 4], host_ports| {
            Ok(PortRequest { target_port, protocol, host_address: IpAddr::from(address), host_ports })
        };

        assert_eq!(wanted("80/tcp", "", "8080"), request(80, Protocol::Tcp, [0; 4], Some(8080..=8080)));
        assert_eq!(wanted("53/udp", "127.0.0.1", ""), request(53, Protocol::Udp, [127, 0, 0, 1], None));
        assert_eq!(wanted("80", "0.0.0.0", "8000-8010"), request(80, Protocol::Tcp, [0; 4], Some(8000..=8010)));
        assert_eq!(wanted("80/tcp", "", "0"), request(80, Protocol::Tcp, [0; 4], None));
    }

    #[test]
    fn what_is_no_port_or_cannot_be_published_is_refused() {
        let check = |port: &str, host_ip: &str, host_port: &str, expected: &str| {
            assert_eq!(wanted(port, host_ip, host_port), Err(expected.to_owned()));
        };

        check("0/tcp", "", "", "invalid port specification: \"0/tcp\"");
        check("80/icmp", "", "", "invalid proto: icmp");
        check("80/sctp", "", "", "ports of SCTP are not published by this node: 80/sctp");
        check("80/tcp", "here", "", "invalid IP address: here");
        check("80/tcp", "", "9-8", "invalid port specification: \"9-8\"");
        check("80/tcp", "", "65536", "invalid port specification: \"65536\"");
    }

    #[test]
    fn all_exposed_ports_are_published_where_that_is_asked_for() {
        let exposed = ["80/tcp", "53/udp"].map(|port| (port.to_owned(), serde_json::Map::new())).into();
        let config = ContainerConfig { exposed_ports: exposed, ..ContainerConfig::default() };
        let bound =
            [("80/tcp".to_owned(), Some(vec![PortBinding { host_port: "8080".to_owned(), ..PortBinding::default() }]))];
        let host = HostConfig { publish_all_ports: true, port_bindings: bound.into(), ..HostConfig::default() };

        let published = ports(&config, &host).expect("they are ports");

        let found: Vec<_> = published.iter().map(|port| (port.target_port, port.host_ports.clone())).collect();
        assert_eq!(found, [(80, Some(8080..=8080)), (53, None)]);
    }
}
