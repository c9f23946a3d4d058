//! Which address a node listens on and which it is reached at, in Docker's rules and words.
//!
//! Pure: the host's own addresses are handed in.

use std::net::{IpAddr, SocketAddr};

use model::{CONTROL_PORT, SwarmError};

const BAD_LISTEN: &str = "listen address must be an IP address or network interface (with optional port number)";
const BAD_ADVERTISE: &str =
    "advertise address must be a non-zero IP address or network interface (with optional port number)";
const BAD_DATA_PATH: &str =
    "data path address must be a non-zero IP address or network interface (without a port number)";
const NO_ADDRESS: &str = "could not find the system's IP address";

/// An address of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalAddress {
    /// The interface that carries it.
    pub(crate) interface: String,
    /// The address.
    pub(crate) addr: IpAddr,
}

/// Reads a listen address: an address or an interface, with an optional port; all addresses where absent.
pub(crate) fn listen_addr(text: Option<&str>, locals: &[LocalAddress]) -> Result<SocketAddr, SwarmError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(SocketAddr::from(([0, 0, 0, 0], CONTROL_PORT)));
    };
    let (host, port) = split_port(text).ok_or_else(|| SwarmError::invalid(BAD_LISTEN))?;
    let addr = resolve(host, true, locals).map_err(|refusal| refusal.into_error(BAD_LISTEN))?;
    Ok(SocketAddr::new(addr, port.unwrap_or(CONTROL_PORT)))
}

/// Reads an advertise address; where absent, the one that is listened on, or the host's only one.
pub(crate) fn advertise_addr(
    text: Option<&str>,
    listen: SocketAddr,
    locals: &[LocalAddress],
) -> Result<SocketAddr, SwarmError> {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        let (host, port) = split_port(text).ok_or_else(|| SwarmError::invalid(BAD_ADVERTISE))?;
        let addr = resolve(host, false, locals).map_err(|refusal| refusal.into_error(BAD_ADVERTISE))?;
        return Ok(SocketAddr::new(addr, port.unwrap_or(listen.port())));
    }
    if !listen.ip().is_unspecified() {
        return Ok(listen);
    }
    only_address(locals).map(|addr| SocketAddr::new(addr, listen.port()))
}

/// Checks an address for VXLAN: an address or an interface without a port.
pub(crate) fn data_path_addr(text: Option<&str>, locals: &[LocalAddress]) -> Result<Option<IpAddr>, SwarmError> {
    text.filter(|text| !text.is_empty())
        .map(|text| resolve(text, false, locals).map_err(|refusal| refusal.into_error(BAD_DATA_PATH)))
        .transpose()
}

/// Reads a manager's address to join: `host` or `host:port`. Names are not resolved: the agent takes addresses.
pub(crate) fn remote_addr(text: &str) -> Result<SocketAddr, SwarmError> {
    let refusal = || {
        SwarmError::invalid(format!(
            "the remote address `{text}` is not an IP address, and this node does not look host names up: give the \
             manager's IP address, such as 192.0.2.1 or 192.0.2.1:{CONTROL_PORT}"
        ))
    };
    let (host, port) = split_port(text).ok_or_else(refusal)?;
    let addr = host.parse().map_err(|_| refusal())?;
    Ok(SocketAddr::new(addr, port.unwrap_or(CONTROL_PORT)))
}

/// Why a host part names no address.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// Neither an interface nor an address.
    Unknown,
    /// An interface without one address to take.
    Interface(String),
}

impl Refusal {
    fn into_error(self, words: &str) -> SwarmError {
        match self {
            Self::Unknown => SwarmError::invalid(words),
            Self::Interface(words) => SwarmError::invalid(words),
        }
    }
}

/// Splits `host[:port]`; an IPv6 address with a port stands in brackets.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if text.parse::<IpAddr>().is_ok() {
        return Some((text, None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let port = port.strip_prefix(':').map(str::parse).transpose().ok()?;
        return Some((host, port));
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((text, None)),
    }
}

fn resolve(host: &str, may_be_unspecified: bool, locals: &[LocalAddress]) -> Result<IpAddr, Refusal> {
    let of_interface: Vec<IpAddr> =
        locals.iter().filter(|local| local.interface == host).map(|local| local.addr).collect();
    if !of_interface.is_empty() {
        return address_of_interface(host, &of_interface).map_err(Refusal::Interface);
    }
    match host.parse::<IpAddr>() {
        Ok(addr) if may_be_unspecified || !addr.is_unspecified() => Ok(addr),
        Ok(_) | Err(_) => Err(Refusal::Unknown),
    }
}

/// An interface must have one IPv4 address, or else one IPv6 address.
fn address_of_interface(interface: &str, addrs: &[IpAddr]) -> Result<IpAddr, String> {
    let one_of = |family: &str, is_family: fn(&IpAddr) -> bool| {
        let mut found = addrs.iter().filter(|addr| is_family(addr));
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => {
                Err(format!("interface {interface} has more than one {family} address ({first} and {second})"))
            }
            (first, _) => Ok(first.copied()),
        }
    };
    if let Some(addr) = one_of("IPv4", IpAddr::is_ipv4)? {
        return Ok(addr);
    }
    one_of("IPv6", IpAddr::is_ipv6)?.ok_or_else(|| format!("interface {interface} has no usable IPv4 or IPv6 address"))
}

/// The host's only address, or Docker's list of what there is to choose from.
fn only_address(locals: &[LocalAddress]) -> Result<IpAddr, SwarmError> {
    let usable = |is_family: fn(&IpAddr) -> bool| {
        locals.iter().filter(move |local| !local.addr.is_loopback() && is_family(&local.addr))
    };
    let mut candidates = usable(IpAddr::is_ipv4).peekable();
    if candidates.peek().is_none() {
        return match usable(is_global_ipv6).collect::<Vec<_>>()[..] {
            [] => Err(SwarmError::invalid(NO_ADDRESS)),
            [only] => Ok(only.addr),
            [first, second, ..] => Err(several(first, second)),
        };
    }
    match candidates.collect::<Vec<_>>()[..] {
        [only] => Ok(only.addr),
        [first, second, ..] => Err(several(first, second)),
        [] => Err(SwarmError::invalid(NO_ADDRESS)),
    }
}

fn is_global_ipv6(addr: &IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if !addr.is_unicast_link_local())
}

fn several(first: &LocalAddress, second: &LocalAddress) -> SwarmError {
    let common = "could not choose an IP address to advertise since this system has multiple addresses on";
    let (one, other) = (first.addr, second.addr);
    if first.interface == second.interface {
        return SwarmError::invalid(format!("{common} interface {} ({one} and {other})", first.interface));
    }
    SwarmError::invalid(format!(
        "{common} different interfaces ({one} on {} and {other} on {})",
        first.interface, second.interface
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locals(pairs: &[(&str, &str)]) -> Vec<LocalAddress> {
        pairs
            .iter()
            .map(|(interface, addr)| LocalAddress { interface: (*interface).to_owned(), addr: addr.parse().unwrap() })
            .collect()
    }

    fn one_interface() -> Vec<LocalAddress> {
        locals(&[("lo", "127.0.0.1"), ("eth0", "10.0.0.5"), ("eth0", "fe80::1")])
    }

    fn words<T: std::fmt::Debug>(outcome: Result<T, SwarmError>) -> String {
        outcome.expect_err("this must be refused").message
    }

    #[test]
    fn a_listen_address_is_an_address_or_an_interface_with_an_optional_port() {
        let check = |text: Option<&str>, expected: &str| {
            assert_eq!(listen_addr(text, &one_interface()), Ok(expected.parse().unwrap()), "{text:?}");
        };

        check(None, "0.0.0.0:2377");
        check(Some(""), "0.0.0.0:2377");
        check(Some("0.0.0.0:2377"), "0.0.0.0:2377");
        check(Some("10.0.0.5"), "10.0.0.5:2377");
        check(Some("eth0:4000"), "10.0.0.5:4000");
        check(Some("[::]:2377"), "[::]:2377");
        assert_eq!(words(listen_addr(Some("eth9"), &one_interface())), BAD_LISTEN);
        assert_eq!(words(listen_addr(Some("10.0.0.5:x"), &one_interface())), BAD_LISTEN);
    }

    #[test]
    fn an_advertise_address_is_an_address_one_with_a_port_or_an_interface() {
        let listen: SocketAddr = "0.0.0.0:2377".parse().unwrap();
        let check = |text: Option<&str>, expected: &str| {
            assert_eq!(advertise_addr(text, listen, &one_interface()), Ok(expected.parse().unwrap()), "{text:?}");
        };

        check(Some("10.0.0.5"), "10.0.0.5:2377");
        check(Some("192.0.2.1:5000"), "192.0.2.1:5000");
        check(Some("eth0"), "10.0.0.5:2377");
        check(Some("eth0:5000"), "10.0.0.5:5000");
        check(None, "10.0.0.5:2377");
        assert_eq!(words(advertise_addr(Some("0.0.0.0"), listen, &one_interface())), BAD_ADVERTISE);
        assert_eq!(words(advertise_addr(Some("eth7"), listen, &one_interface())), BAD_ADVERTISE);
    }

    #[test]
    fn the_address_that_is_listened_on_is_advertised() {
        let listen: SocketAddr = "10.0.0.5:2377".parse().unwrap();
        let several = locals(&[("eth0", "10.0.0.5"), ("eth1", "10.1.0.5")]);

        assert_eq!(advertise_addr(None, listen, &several), Ok(listen));
    }

    #[test]
    fn several_candidates_are_refused_and_listed() {
        let listen: SocketAddr = "0.0.0.0:2377".parse().unwrap();
        let check = |pairs: &[(&str, &str)], expected: &str| {
            assert_eq!(words(advertise_addr(None, listen, &locals(pairs))), expected);
        };

        check(
            &[("lo", "127.0.0.1"), ("eth0", "10.0.2.15"), ("eth0", "10.0.2.16")],
            "could not choose an IP address to advertise since this system has multiple addresses on interface eth0 \
             (10.0.2.15 and 10.0.2.16)",
        );
        check(
            &[("eth0", "10.0.2.15"), ("eth1", "192.168.56.101")],
            "could not choose an IP address to advertise since this system has multiple addresses on different \
             interfaces (10.0.2.15 on eth0 and 192.168.56.101 on eth1)",
        );
        check(&[("lo", "127.0.0.1")], NO_ADDRESS);
    }

    #[test]
    fn an_interface_with_two_addresses_of_a_family_is_no_answer() {
        let listen: SocketAddr = "0.0.0.0:2377".parse().unwrap();
        let two = locals(&[("eth0", "10.0.2.15"), ("eth0", "10.0.2.16")]);

        assert_eq!(
            words(advertise_addr(Some("eth0"), listen, &two)),
            "interface eth0 has more than one IPv4 address (10.0.2.15 and 10.0.2.16)"
        );
    }

    #[test]
    fn an_ipv6_address_counts_where_there_is_no_other() {
        let listen: SocketAddr = "[::]:2377".parse().unwrap();
        let only = locals(&[("eth0", "fe80::1"), ("eth0", "2001:db8::5")]);

        assert_eq!(advertise_addr(None, listen, &only), Ok("[2001:db8::5]:2377".parse().unwrap()));
    }

    #[test]
    fn a_data_path_address_has_no_port() {
        assert_eq!(data_path_addr(Some("eth0"), &one_interface()), Ok(Some("10.0.0.5".parse().unwrap())));
        assert_eq!(data_path_addr(None, &one_interface()), Ok(None));
        assert_eq!(words(data_path_addr(Some("10.0.0.5:4789"), &one_interface())), BAD_DATA_PATH);
    }

    #[test]
    fn a_remote_is_an_address_whose_port_defaults() {
        assert_eq!(remote_addr("10.0.0.1"), Ok("10.0.0.1:2377".parse().unwrap()));
        assert_eq!(remote_addr("10.0.0.1:4000"), Ok("10.0.0.1:4000".parse().unwrap()));
    }

    #[test]
    fn a_remote_that_is_a_host_name_is_refused_by_name_and_with_the_way_out() {
        for text in ["manager.example", "manager.example:2377", "10.0.0.1:port", "[fd00::1", ""] {
            let refusal = words(remote_addr(text));

            assert!(refusal.starts_with(&format!("the remote address `{text}` is not an IP address")), "{refusal}");
            assert!(refusal.contains("give the manager's IP address, such as 192.0.2.1"), "{refusal}");
        }
    }
}
