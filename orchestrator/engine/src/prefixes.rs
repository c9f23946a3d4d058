//! The prefixes that a host uses: its routes and its own addresses, which no overlay may take.
//!
//! Read from `/proc/thread-self/net`, so that a node in a network namespace sees its own. IPv4 only, as overlays are.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;

/// Routes, one a line: interface, destination and mask in the host's byte order, hexadecimal.
const ROUTES: &str = "/proc/thread-self/net/route";
/// The forwarding trie, which also holds the local addresses.
const TRIE: &str = "/proc/thread-self/net/fib_trie";

/// Reads the prefixes in CIDR form, sorted, without loopback and the default route. What cannot be read is absent.
pub(crate) fn read() -> Vec<String> {
    let routes = fs::read_to_string(ROUTES).unwrap_or_default();
    let trie = fs::read_to_string(TRIE).unwrap_or_default();
    collect(&routes, &trie)
}

/// Keeps the routes' prefixes, and those addresses that no such prefix covers.
fn collect(routes: &str, trie: &str) -> Vec<String> {
    let mut prefixes: BTreeSet<(Ipv4Addr, u32)> = routes.lines().skip(1).filter_map(route).collect();
    prefixes.retain(|(network, length)| *length > 0 && !network.is_loopback());
    let lone: Vec<_> = local_addresses(trie)
        .filter(|address| !address.is_loopback())
        .filter(|address| !prefixes.iter().any(|(network, length)| covers(*network, *length, *address)))
        .map(|address| (address, 32))
        .collect();
    prefixes.extend(lone);
    prefixes.into_iter().map(|(network, length)| format!("{network}/{length}")).collect()
}

/// Reads a line of the route table.
fn route(line: &str) -> Option<(Ipv4Addr, u32)> {
    let mut fields = line.split_whitespace();
    let destination = kernel_address(fields.nth(1)?)?;
    let mask = u32::from(kernel_address(fields.nth(5)?)?);
    Some((destination, mask.leading_ones()))
}

/// Reads an address as the kernel prints it: the bytes in network order, as a number of this host.
fn kernel_address(text: &str) -> Option<Ipv4Addr> {
    u32::from_str_radix(text, 16).ok().map(|number| Ipv4Addr::from(number.to_ne_bytes()))
}

/// The host's own addresses: a leaf `|-- A.B.C.D` followed by `/32 host LOCAL`.
fn local_addresses(trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    let mut leaf = None;
    trie.lines().filter_map(move |line| {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
            return None;
        }
        if line.starts_with("/32 host LOCAL") { leaf } else { None }
    })
}

fn covers(network: Ipv4Addr, length: u32, address: Ipv4Addr) -> bool {
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    u32::from(network) & mask == u32::from(address) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE_TABLE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
tun0\t0000000A\t010011AC\t0003\t0\t0\t0\t000000FF\t0\t0\t0
";
    const FIB_TRIE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
Local:
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 172.17.0.5
        /32 host LOCAL
     |-- 172.17.255.255
        /32 link BROADCAST
     |-- 192.0.2.7
        /32 host LOCAL
";

    #[test]
    fn routes_and_addresses_outside_of_them_are_reported() {
        assert_eq!(collect(ROUTE_TABLE, FIB_TRIE), ["10.0.0.0/8", "172.17.0.0/16", "192.0.2.7/32"]);
    }

    #[test]
    fn default_routes_and_loopback_are_no_prefixes() {
        let loopback = "header\nlo\t0000007F\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n";

        assert_eq!(collect(loopback, ""), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        assert_eq!(collect("", ""), [""; 0]);
        assert_eq!(collect("header\nnot a route\n", "|-- x\n/32 host LOCAL"), [""; 0]);
    }
}
