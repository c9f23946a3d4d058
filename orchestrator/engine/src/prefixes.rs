//! The prefixes that a host uses: its routes and its own addresses, which no overlay may take.
//!
//! Read from `/proc/thread-self/net`, so that a node in a network namespace sees its own. Of IPv6 what is routed beyond
//! one link counts: every link has the link-local and the multicast prefixes.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Routes, one a line: interface, destination and mask in the host's byte order, hexadecimal.
const ROUTES: &str = "/proc/thread-self/net/route";
/// The forwarding trie, which also holds the local addresses.
const TRIE: &str = "/proc/thread-self/net/fib_trie";

/// Routes of IPv6, one a line: destination, its length, source, its length, next hop, metric, references, uses, flags,
/// interface, hexadecimal. Holds the host's own addresses, too. Missing where the kernel has no IPv6.
const ROUTES_V6: &str = "/proc/thread-self/net/ipv6_route";
/// Flag of a route that says that there is no way.
const REJECT: u32 = 0x0200;
/// Flag of the route to an address that the host answers for with others.
const ANYCAST: u32 = 0x0010_0000;
/// Flag of the route to an address of the host's own.
const LOCAL: u32 = 0x8000_0000;

/// Reads the prefixes in CIDR form, sorted, IPv4 first, without loopback and the default routes. What cannot be read
/// is absent.
pub(crate) fn read() -> Vec<String> {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut prefixes = collect_v4(&text(ROUTES), &text(TRIE));
    prefixes.extend(collect_v6(&text(ROUTES_V6)));
    prefixes
}

/// Keeps the routes' prefixes, and those addresses that no such prefix covers.
fn collect_v6(routes: &str) -> Vec<String> {
    let routes: Vec<RouteV6> = routes.lines().filter_map(route_v6).filter(RouteV6::leads_beyond_a_link).collect();
    let is_prefix = |route: &&RouteV6| route.length > 0 && route.flags & (REJECT | ANYCAST | LOCAL) == 0;
    let mut prefixes: BTreeSet<(Ipv6Addr, u32)> =
        routes.iter().filter(is_prefix).map(|route| (route.destination, route.length)).collect();
    let own = routes.iter().filter(|route| route.flags & LOCAL != 0 && route.flags & ANYCAST == 0);
    let lone: Vec<_> = own
        .filter(|route| !prefixes.iter().any(|(network, length)| covers_v6(*network, *length, route.destination)))
        .map(|route| (route.destination, 128))
        .collect();
    prefixes.extend(lone);
    prefixes.into_iter().map(|(network, length)| format!("{network}/{length}")).collect()
}

/// A line of the route table of IPv6.
#[derive(Debug)]
struct RouteV6 {
    destination: Ipv6Addr,
    length: u32,
    flags: u32,
}

impl RouteV6 {
    fn leads_beyond_a_link(&self) -> bool {
        let to = self.destination;
        !(to.is_loopback() || to.is_unicast_link_local() || to.is_multicast())
    }
}

/// Reads a line of the route table of IPv6.
fn route_v6(line: &str) -> Option<RouteV6> {
    let mut fields = line.split_whitespace();
    let destination = Ipv6Addr::from(u128::from_str_radix(fields.next()?, 16).ok()?);
    let length = u32::from_str_radix(fields.next()?, 16).ok().filter(|length| *length <= 128)?;
    let flags = u32::from_str_radix(fields.nth(6)?, 16).ok()?;
    Some(RouteV6 { destination, length, flags })
}

fn covers_v6(network: Ipv6Addr, length: u32, address: Ipv6Addr) -> bool {
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    u128::from(network) & mask == u128::from(address) & mask
}

/// Keeps the routes' prefixes, and those addresses that no such prefix covers.
fn collect_v4(routes: &str, trie: &str) -> Vec<String> {
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

    const ROUTE_TABLE_V6: &str = "\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
20010db8000000000000000000000000 20 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
20010db9000000000000000000000000 20 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000003 00000000 00000003     eth0
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
fd000000000000000000000000000000 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80300001     eth0
fd000000000000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000004 00000000 80200001     eth0
fd010000000000000000000000000007 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000004 00000000 80200001       lo
fe8000000000000000fc00fffe000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001     eth0
ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000003 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    #[test]
    fn of_ipv6_what_is_routed_beyond_a_link_is_reported() {
        assert_eq!(collect_v6(ROUTE_TABLE_V6), ["2001:db8::/32", "fd00::/64", "fd01::7/128"]);
    }

    #[test]
    fn routes_and_addresses_outside_of_them_are_reported() {
        assert_eq!(collect_v4(ROUTE_TABLE, FIB_TRIE), ["10.0.0.0/8", "172.17.0.0/16", "192.0.2.7/32"]);
    }

    #[test]
    fn default_routes_and_loopback_are_no_prefixes() {
        let loopback = "header\nlo\t0000007F\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n";

        assert_eq!(collect_v4(loopback, ""), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        assert_eq!(collect_v4("", ""), [""; 0]);
        assert_eq!(collect_v6(""), [""; 0]);
        assert_eq!(collect_v6("not a route\nfd00 81 00 00 00 00 00 00 00000001 eth0\n"), [""; 0]);
        assert_eq!(collect_v4("header\nnot a route\n", "|-- x\n/32 host LOCAL"), [""; 0]);
    }
}
