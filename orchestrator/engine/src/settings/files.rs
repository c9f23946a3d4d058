//! The files of `/etc` that each container gets for itself: `hosts` and `resolv.conf`.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{InvalidSettings, NetworkMode};
use crate::config::HostConfig;

/// What a container without the host's network has in `/etc/hosts`.
const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                           ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// The name servers of a container whose host has none that it could reach; Docker's.
const DEFAULT_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];
/// Where name servers are asked.
const NAME_SERVER_PORT: u16 = 53;

/// Where a container is in its networks, and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// Its addresses.
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// The host's, where it is in a network.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Its names, the first one in full.
    pub(crate) names: String,
}

impl Position {
    /// Its lines of `/etc/hosts`, one for each of its addresses.
    pub(crate) fn lines(&self) -> String {
        let mut lines = String::new();
        for address in &self.addresses {
            let _ = writeln!(lines, "{address}\t{}", self.names);
        }
        lines
    }
}

/// Whom a container asks for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Servers {
    /// Whom its host asks.
    Hosts,
    /// Those of them that are reached from the node's bridge.
    Reached,
    /// A name server of its own, which asks others in its place.
    Own,
}

/// `/etc/hosts` of a container: the host's where it is in the host's network, and what it was given. In networks of its
/// own, it finds itself there.
pub(crate) fn hosts(
    host: &HostConfig,
    network: &NetworkMode,
    position: Option<&Position>,
    hosts_own: &str,
) -> Result<String, InvalidSettings> {
    let mut text = if *network == NetworkMode::HOST { hosts_own } else { LOCAL_HOSTS }.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let gateway = position.and_then(|position| position.gateway);
    for line in host.extra_hosts.iter().flatten() {
        let (address, name) = extra_host(line, gateway)?;
        let _ = writeln!(text, "{address}\t{name}");
    }
    if let Some(position) = position {
        text.push_str(&position.lines());
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
/// the name servers that are not reached from there; where none is left, with Docker's default ones. With a name server of
/// its own, that one alone, which is asked for single words first.
pub(crate) fn resolv_conf(host: &HostConfig, servers: Servers, hosts_own: &str) -> Result<String, InvalidSettings> {
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
    let is_in_bridge = servers == Servers::Reached;
    let is_of_use = |line: &&str| match servers {
        Servers::Hosts => true,
        Servers::Reached => name_server(line).is_none_or(is_reached),
        Servers::Own => name_server(line).is_none() && !line.trim_start().starts_with("options"),
    };
    let mut text = String::new();
    let mut has_server = !host.dns.is_empty();
    for line in hosts_own.lines().filter(|line| !is_replaced(line)).filter(is_of_use) {
        has_server |= name_server(line).is_some();
        text.push_str(line);
        text.push('\n');
    }
    let default = DEFAULT_SERVERS.iter().filter(|_| is_in_bridge && !has_server).copied();
    let own = resolver::ADDRESS.to_string();
    let named: Vec<&str> = match servers {
        Servers::Own => vec![&own],
        Servers::Hosts | Servers::Reached => host.dns.iter().map(String::as_str).chain(default).collect(),
    };
    for server in named {
        let _ = writeln!(text, "nameserver {server}");
    }
    let options = match servers {
        Servers::Own => own_options(host, hosts_own),
        Servers::Hosts | Servers::Reached => host.dns_options.join(" "),
    };
    // A dot alone is how clients ask for no domains.
    let search: Vec<&str> = host.dns_search.iter().map(String::as_str).filter(|domain| *domain != ".").collect();
    for (word, values) in [("search", search.join(" ")), ("options", options)] {
        if !values.is_empty() {
            let _ = writeln!(text, "{word} {values}");
        }
    }
    Ok(text)
}

/// The options of a container with a name server of its own: those that it asks for, else the host's; and that it puts
/// single words to it as they are, unless they say otherwise.
fn own_options(host: &HostConfig, hosts_own: &str) -> String {
    let of_host = hosts_own.lines().filter_map(|line| line.trim_start().strip_prefix("options")).next_back();
    let of_host = of_host.unwrap_or_default().split_whitespace();
    let mut options: Vec<&str> = host.dns_options.iter().map(String::as_str).collect();
    if options.is_empty() {
        options.extend(of_host);
    }
    if !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push("ndots:0");
    }
    options.join(" ")
}

/// Whom a name server of a container asks: those that the container asks for, else its host's, else Docker's default ones.
pub(crate) fn servers(asked: &[String], hosts_own: &str) -> Vec<SocketAddr> {
    let address = |server: &str| Some(SocketAddr::new(server.parse().ok()?, NAME_SERVER_PORT));
    let mut servers: Vec<SocketAddr> = asked.iter().filter_map(|server| address(server)).collect();
    if servers.is_empty() {
        servers = hosts_own.lines().filter_map(name_server).filter_map(address).collect();
    }
    if servers.is_empty() {
        servers = DEFAULT_SERVERS.into_iter().filter_map(address).collect();
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "127.0.0.1 localhost\n192.0.2.1 gate";
    const RESOLV_CONF: &str = "# by hand\nnameserver 192.0.2.53\nsearch lab\noptions ndots:2\n";

    #[test]
    fn hosts_are_the_hosts_own_in_its_network_and_the_loopback_elsewhere() {
        let extra = Some(vec!["db:192.0.2.7".to_owned(), "six:[2001:db8::1]".to_owned()]);
        let host = HostConfig { extra_hosts: extra, ..HostConfig::default() };

        let shared = hosts(&host, &NetworkMode::HOST, None, HOSTS).expect("the lines are right");
        let own = hosts(&host, &NetworkMode::NONE, None, HOSTS).expect("the lines are right");

        assert_eq!(shared, "127.0.0.1 localhost\n192.0.2.1 gate\n192.0.2.7\tdb\n2001:db8::1\tsix\n");
        assert!(own.starts_with("127.0.0.1\tlocalhost\n") && own.ends_with("192.0.2.7\tdb\n2001:db8::1\tsix\n"));
        assert!(!own.contains("gate"));
    }

    #[test]
    fn a_line_that_names_no_address_is_refused() {
        let check = |line: &str, expected: &str| {
            let host = HostConfig { extra_hosts: Some(vec![line.to_owned()]), ..HostConfig::default() };
            assert_eq!(hosts(&host, &NetworkMode::NONE, None, HOSTS).unwrap_err().to_string(), expected);
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
            resolv_conf(&HostConfig::default(), Servers::Hosts, RESOLV_CONF).expect("nothing is asked"),
            RESOLV_CONF
        );
        assert_eq!(
            resolv_conf(&host, Servers::Hosts, RESOLV_CONF).expect("it is an address"),
            "# by hand\nsearch lab\noptions ndots:2\nnameserver 192.0.2.99\n"
        );
        assert_eq!(
            resolv_conf(&none, Servers::Hosts, RESOLV_CONF).expect("it is a domain"),
            "# by hand\nnameserver 192.0.2.53\noptions ndots:2\n"
        );
    }

    #[test]
    fn in_the_bridge_a_container_finds_itself_and_its_host() {
        let extra = Some(vec!["gate:host-gateway".to_owned()]);
        let host = HostConfig { extra_hosts: extra, ..HostConfig::default() };
        let position = Position {
            addresses: vec![Ipv4Addr::new(172, 17, 0, 2)],
            gateway: Some(Ipv4Addr::new(172, 17, 0, 1)),
            names: "web.lab web".to_owned(),
        };

        let text = hosts(&host, &NetworkMode::BRIDGE, Some(&position), HOSTS).expect("the lines are right");

        assert_eq!(text, format!("{LOCAL_HOSTS}172.17.0.1\tgate\n172.17.0.2\tweb.lab web\n"));
    }

    #[test]
    fn in_the_bridge_name_servers_that_are_not_reached_are_left_out() {
        let check = |resolv_conf: &str, expected: &str| {
            assert_eq!(resolv_conf_of(&HostConfig::default(), resolv_conf), expected);
        };

        check("nameserver 127.0.0.1\nnameserver 192.0.2.53\nsearch lab\n", "nameserver 192.0.2.53\nsearch lab\n");
        check("nameserver ::1\nnameserver fd00::53\n", "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        check("", "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        let asked = HostConfig { dns: vec!["127.0.0.9".to_owned()], ..HostConfig::default() };
        assert_eq!(resolv_conf_of(&asked, "nameserver 127.0.0.1\n"), "nameserver 127.0.0.9\n");
        assert!(is_stub("nameserver 127.0.0.53\noptions edns0\n") && !is_stub("nameserver 127.0.0.1\n"));
        assert!(!is_stub(""));
    }

    fn resolv_conf_of(host: &HostConfig, hosts_own: &str) -> String {
        resolv_conf(host, Servers::Reached, hosts_own).expect("nothing is wrong")
    }

    #[test]
    fn a_name_server_of_ones_own_is_the_only_one_and_asks_others() {
        let asked = HostConfig {
            dns: vec!["192.0.2.99".to_owned()],
            dns_search: vec!["front".to_owned()],
            dns_options: vec!["timeout:1".to_owned()],
            ..HostConfig::default()
        };
        let own = |host: &HostConfig, text: &str| resolv_conf(host, Servers::Own, text).expect("nothing is wrong");
        let texts =
            |asked: &[String], text: &str| servers(asked, text).iter().map(ToString::to_string).collect::<Vec<_>>();

        let plain = HostConfig::default();
        assert_eq!(own(&plain, RESOLV_CONF), "# by hand\nsearch lab\nnameserver 127.0.0.11\noptions ndots:2\n");
        assert_eq!(own(&plain, "options edns0\n"), "nameserver 127.0.0.11\noptions edns0 ndots:0\n");
        let expected = "# by hand\nnameserver 127.0.0.11\nsearch front\noptions timeout:1 ndots:0\n";
        assert_eq!(own(&asked, RESOLV_CONF), expected);
        assert_eq!(texts(&asked.dns, RESOLV_CONF), ["192.0.2.99:53"]);
        assert_eq!(texts(&[], "nameserver 127.0.0.53\nnameserver fd00::1\n"), ["127.0.0.53:53", "[fd00::1]:53"]);
        assert_eq!(texts(&[], ""), ["8.8.8.8:53", "8.8.4.4:53"]);
    }

    #[test]
    fn a_resolver_with_more_than_words_is_refused() {
        let server = HostConfig { dns: vec!["x\nnameserver y".to_owned()], ..HostConfig::default() };
        let domain = HostConfig { dns_search: vec!["a b".to_owned()], ..HostConfig::default() };

        assert!(resolv_conf(&server, Servers::Hosts, RESOLV_CONF).is_err());
        assert!(resolv_conf(&domain, Servers::Hosts, RESOLV_CONF).is_err());
    }
}
