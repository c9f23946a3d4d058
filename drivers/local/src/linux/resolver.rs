//! Name servers for machines: the host's, without those that listen on the host's loopback only.

use std::fs;
use std::net::IpAddr;

/// Where systemd-resolved keeps the servers behind its stub.
const BEHIND_THE_STUB: &str = "/run/systemd/resolve/resolv.conf";
/// Asked where the host names no server that a machine could reach.
const FALLBACK: [&str; 2] = ["1.1.1.1", "8.8.8.8"];

/// The `resolv.conf` of a machine on this host.
pub(super) fn for_machines() -> String {
    let candidates = ["/etc/resolv.conf", BEHIND_THE_STUB].map(|path| fs::read_to_string(path).unwrap_or_default());
    choose(&candidates)
}

/// Takes the first candidate that names a server which a machine can reach.
fn choose(candidates: &[String]) -> String {
    candidates
        .iter()
        .find_map(|candidate| without_loopback(candidate))
        .unwrap_or_else(|| FALLBACK.map(|server| format!("nameserver {server}\n")).concat())
}

/// The lines of a `resolv.conf` but for servers on loopback; `None` where no server is left.
fn without_loopback(text: &str) -> Option<String> {
    let mut kept = String::new();
    let mut has_server = false;
    for line in text.lines() {
        if let Some(server) = line.trim().strip_prefix("nameserver") {
            // Machines have no IPv6 way out.
            if !matches!(server.trim().parse::<IpAddr>(), Ok(IpAddr::V4(address)) if !address.is_loopback()) {
                continue;
            }
            has_server = true;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    has_server.then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(candidates: [&str; 2], expected: &str) {
        assert_eq!(choose(&candidates.map(str::to_owned)), expected);
    }

    #[test]
    fn servers_on_loopback_are_left_out() {
        check(["nameserver 192.0.2.1\nsearch example.org\n", ""], "nameserver 192.0.2.1\nsearch example.org\n");
        check(["nameserver 127.0.0.53\nnameserver 192.0.2.1\n", ""], "nameserver 192.0.2.1\n");
        check(["nameserver ::1\nnameserver 192.0.2.1\n", ""], "nameserver 192.0.2.1\n");
    }

    #[test]
    fn behind_a_stub_stand_the_real_servers() {
        check(["nameserver 127.0.0.53\noptions edns0\n", "nameserver 192.0.2.9\n"], "nameserver 192.0.2.9\n");
    }

    #[test]
    fn a_host_without_servers_leaves_the_public_ones() {
        check(["", ""], "nameserver 1.1.1.1\nnameserver 8.8.8.8\n");
    }
}
