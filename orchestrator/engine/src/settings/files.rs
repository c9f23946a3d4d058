//! The files of `/etc` that each container gets for itself: `hosts` and `resolv.conf`.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use super::{InvalidSettings, NetworkMode};
use crate::config::HostConfig;

/// What a container without the host's network has in `/etc/hosts`.
const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                           ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// The name servers of a container whose host has none that it could reach; Docker's.
const DEFAULT_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// The host's own files, as text; empty where there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostFiles {
    pub(crate) hosts: String,
    pub(crate) resolv_conf: String,
}

/// Where a container is in the bridge, and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// Its address.
    pub(crate) address: Ipv4Addr,
    /// The host's.
    pub(crate) gateway: Ipv4Addr,
    /// Its names, the first one in full.
    pub(crate) names: String,
}

/// `/etc/hosts` of a container: the host's where it is in the host's network, and what it was given. In the bridge, it
/// finds itself there.
pub(crate) fn hosts(
    host: &HostConfig,
    network: &NetworkMode,
    position: Option<&Position>,
    files: &HostFiles,
) -> Result<String, InvalidSettings> {
    let mut text = if *network == NetworkMode::HOST { files.hosts.clone() } else { LOCAL_HOSTS.to_owned() };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let gateway = position.map(|position| position.gateway);
    for line in host.extra_hosts.iter().flatten() {
        let (address, name) = extra_host(line, gateway)?;
        let _ = writeln!(text, "{address}\t{name}");
    }
    if let Some(Position { address, names, .. }) = position {
        let _ = writeln!(text, "{address}\t{names}");
    }
    Ok(text)
}

/// Reads `name:address`; the address may stand in brackets, and be the host's in the bridge.
fn extra_host(line: &str, gateway: Option<Ipv4Addr>) -> Result<(IpAddr, &str), InvalidSettings> {
    let invalid = || InvalidSettings::new(format!("bad format for add-host: \"{line}\""));
    let (name, address) = line.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(invalid)?;
    if name.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err(invalid());
    }
    if address == "host-gateway" {
        let gateway = gateway.ok_or_else(|| InvalidSettings::new("unable to derive the IP value for host-gateway"))?;
        return Ok((gateway.into(), name));
    }
    let plain = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let parsed = plain.parse();
    parsed
        .map(|address| (address, name))
        .map_err(|_| InvalidSettings::new(format!("invalid IP address in add-host: \"{address}\"")))
}

/// Whether a host's `resolv.conf` names nobody but a resolver of its own, at the address of systemd's.
pub(crate) fn is_stub(resolv_conf: &str) -> bool {
    let mut servers = resolv_conf.lines().filter_map(name_server).peekable();
    servers.peek().is_some() && servers.all(|server| server == "127.0.0.53")
}

fn name_server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())
}

/// Whether a container in the bridge reaches a name server of its host: neither one of the host's loopback, nor one of
/// IPv6, which the bridge does not have.
fn is_reached(server: &str) -> bool {
    server.parse::<Ipv4Addr>().is_ok_and(|server| !server.is_loopback())
}

/// `/etc/resolv.conf` of a container: the host's, with what the container asks for in its place. In the bridge, without
/// the name servers that are not reached from there; where none is left, with Docker's default ones.
pub(crate) fn resolv_conf(
    host: &HostConfig,
    network: &NetworkMode,
    files: &HostFiles,
) -> Result<String, InvalidSettings> {
    for server in &host.dns {
        server.parse::<IpAddr>().map_err(|_| InvalidSettings::new(format!("invalid IP address: {server}")))?;
    }
    let is_one_word = |text: &&String| !text.is_empty() && !text.chars().any(char::is_whitespace);
    if let Some(bad) = host.dns_search.iter().chain(&host.dns_options).find(|text| !is_one_word(text)) {
        return Err(InvalidSettings::new(format!("invalid DNS setting: \"{bad}\"")));
    }
    let replaced = [("nameserver", &host.dns), ("search", &host.dns_search), ("options", &host.dns_options)];
    let is_replaced = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        let word = if word == "domain" { "search" } else { word };
        replaced.iter().any(|(name, values)| *name == word && !values.is_empty())
    };
    let is_in_bridge = *network == NetworkMode::BRIDGE;
    let is_of_use = |line: &&str| !is_in_bridge || name_server(line).is_none_or(is_reached);
    let mut text = String::new();
    let mut has_server = !host.dns.is_empty();
    for line in files.resolv_conf.lines().filter(|line| !is_replaced(line)).filter(is_of_use) {
        has_server |= name_server(line).is_some();
        text.push_str(line);
        text.push('\n');
    }
    let default = DEFAULT_SERVERS.iter().filter(|_| is_in_bridge && !has_server).copied();
    for server in host.dns.iter().map(String::as_str).chain(default) {
        let _ = writeln!(text, "nameserver {server}");
    }
    // A dot alone is how clients ask for no domains.
    let search: Vec<&str> = host.dns_search.iter().map(String::as_str).filter(|domain| *domain != ".").collect();
    for (word, values) in [("search", search.join(" ")), ("options", host.dns_options.join(" "))] {
        if !values.is_empty() {
            let _ = writeln!(text, "{word} {values}");
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> HostFiles {
        HostFiles {
            hosts: "127.0.0.1 localhost\n192.0.2.1 gate".to_owned(),
            resolv_conf: "# by hand\nnameserver 192.0.2.53\nsearch lab\noptions ndots:2\n".to_owned(),
        }
    }

    #[test]
    fn hosts_are_the_hosts_own_in_its_network_and_the_loopback_elsewhere() {
        let extra = Some(vec!["db:192.0.2.7".to_owned(), "six:[2001:db8::1]".to_owned()]);
        let host = HostConfig { extra_hosts: extra, ..HostConfig::default() };

        let shared = hosts(&host, &NetworkMode::HOST, None, &files()).expect("the lines are right");
        let own = hosts(&host, &NetworkMode::NONE, None, &files()).expect("the lines are right");

        assert_eq!(shared, "127.0.0.1 localhost\n192.0.2.1 gate\n192.0.2.7\tdb\n2001:db8::1\tsix\n");
        assert!(own.starts_with("127.0.0.1\tlocalhost\n") && own.ends_with("192.0.2.7\tdb\n2001:db8::1\tsix\n"));
        assert!(!own.contains("gate"));
    }

    #[test]
    fn a_line_that_names_no_address_is_refused() {
        let check = |line: &str, expected: &str| {
            let host = HostConfig { extra_hosts: Some(vec![line.to_owned()]), ..HostConfig::default() };
            assert_eq!(hosts(&host, &NetworkMode::NONE, None, &files()).unwrap_err().to_string(), expected);
        };

        check("db", "bad format for add-host: \"db\"");
        check("d b:192.0.2.1", "bad format for add-host: \"d b:192.0.2.1\"");
        check("db:x", "invalid IP address in add-host: \"x\"");
        check("db:host-gateway", "unable to derive the IP value for host-gateway");
    }

    #[test]
    fn the_resolver_is_the_hosts_but_for_what_is_asked_for() {
        let host = HostConfig { dns: vec!["192.0.2.99".to_owned()], ..HostConfig::default() };
        let none = HostConfig { dns_search: vec![".".to_owned()], ..HostConfig::default() };

        assert_eq!(
            resolv_conf(&HostConfig::default(), &NetworkMode::HOST, &files()).expect("nothing is asked"),
            files().resolv_conf
        );
        assert_eq!(
            resolv_conf(&host, &NetworkMode::HOST, &files()).expect("it is an address"),
            "# by hand\nsearch lab\noptions ndots:2\nnameserver 192.0.2.99\n"
        );
        assert_eq!(
            resolv_conf(&none, &NetworkMode::HOST, &files()).expect("it is a domain"),
            "# by hand\nnameserver 192.0.2.53\noptions ndots:2\n"
        );
    }

    #[test]
    fn in_the_bridge_a_container_finds_itself_and_its_host() {
        let extra = Some(vec!["gate:host-gateway".to_owned()]);
        let host = HostConfig { extra_hosts: extra, ..HostConfig::default() };
        let position = Position {
            address: Ipv4Addr::new(172, 17, 0, 2),
            gateway: Ipv4Addr::new(172, 17, 0, 1),
            names: "web.lab web".to_owned(),
        };

        let text = hosts(&host, &NetworkMode::BRIDGE, Some(&position), &files()).expect("the lines are right");

        assert_eq!(text, format!("{LOCAL_HOSTS}172.17.0.1\tgate\n172.17.0.2\tweb.lab web\n"));
    }

    #[test]
    fn in_the_bridge_name_servers_that_are_not_reached_are_left_out() {
        let check = |resolv_conf: &str, expected: &str| {
            let files = HostFiles { hosts: String::new(), resolv_conf: resolv_conf.to_owned() };
            let text = resolv_conf_of(&HostConfig::default(), &files);
            assert_eq!(text, expected);
        };

        check("nameserver 127.0.0.1\nnameserver 192.0.2.53\nsearch lab\n", "nameserver 192.0.2.53\nsearch lab\n");
        check("nameserver ::1\nnameserver fd00::53\n", "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        check("", "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        let asked = HostConfig { dns: vec!["127.0.0.9".to_owned()], ..HostConfig::default() };
        let files = HostFiles { hosts: String::new(), resolv_conf: "nameserver 127.0.0.1\n".to_owned() };
        assert_eq!(resolv_conf_of(&asked, &files), "nameserver 127.0.0.9\n");
        assert!(is_stub("nameserver 127.0.0.53\noptions edns0\n") && !is_stub("nameserver 127.0.0.1\n"));
        assert!(!is_stub(""));
    }

    fn resolv_conf_of(host: &HostConfig, files: &HostFiles) -> String {
        resolv_conf(host, &NetworkMode::BRIDGE, files).expect("nothing is wrong")
    }

    #[test]
    fn a_resolver_with_more_than_words_is_refused() {
        let server = HostConfig { dns: vec!["x\nnameserver y".to_owned()], ..HostConfig::default() };
        let domain = HostConfig { dns_search: vec!["a b".to_owned()], ..HostConfig::default() };

        assert!(resolv_conf(&server, &NetworkMode::HOST, &files()).is_err());
        assert!(resolv_conf(&domain, &NetworkMode::HOST, &files()).is_err());
    }
}
