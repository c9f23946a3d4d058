//! The files of `/etc` that each container gets for itself: `hosts` and `resolv.conf`.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::{InvalidSettings, NetworkMode};
use crate::config::HostConfig;

/// What a container without the host's network has in `/etc/hosts`.
const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                           ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// The host's own files, as text; empty where there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostFiles {
    pub(crate) hosts: String,
    pub(crate) resolv_conf: String,
}

/// `/etc/hosts` of a container: the host's where it is in the host's network, and what it was given.
pub(crate) fn hosts(host: &HostConfig, network: NetworkMode, files: &HostFiles) -> Result<String, InvalidSettings> {
    let mut text = match network {
        NetworkMode::Host => files.hosts.clone(),
        NetworkMode::None => LOCAL_HOSTS.to_owned(),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in host.extra_hosts.iter().flatten() {
        let (address, name) = extra_host(line)?;
        let _ = writeln!(text, "{address}\t{name}");
    }
    Ok(text)
}

/// Reads `name:address`; the address may stand in brackets.
fn extra_host(line: &str) -> Result<(IpAddr, &str), InvalidSettings> {
    let invalid = || InvalidSettings::new(format!("bad format for add-host: \"{line}\""));
    let (name, address) = line.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(invalid)?;
    if address == "host-gateway" {
        return Err(InvalidSettings::new("unable to derive the IP value for host-gateway"));
    }
    if name.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err(invalid());
    }
    let plain = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let parsed = plain.parse();
    parsed
        .map(|address| (address, name))
        .map_err(|_| InvalidSettings::new(format!("invalid IP address in add-host: \"{address}\"")))
}

/// `/etc/resolv.conf` of a container: the host's, with what the container asks for in its place.
pub(crate) fn resolv_conf(host: &HostConfig, files: &HostFiles) -> Result<String, InvalidSettings> {
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
    let mut text = String::new();
    for line in files.resolv_conf.lines().filter(|line| !is_replaced(line)) {
        text.push_str(line);
        text.push('\n');
    }
    for server in &host.dns {
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

        let shared = hosts(&host, NetworkMode::Host, &files()).expect("the lines are right");
        let own = hosts(&host, NetworkMode::None, &files()).expect("the lines are right");

        assert_eq!(shared, "127.0.0.1 localhost\n192.0.2.1 gate\n192.0.2.7\tdb\n2001:db8::1\tsix\n");
        assert!(own.starts_with("127.0.0.1\tlocalhost\n") && own.ends_with("192.0.2.7\tdb\n2001:db8::1\tsix\n"));
        assert!(!own.contains("gate"));
    }

    #[test]
    fn a_line_that_names_no_address_is_refused() {
        let check = |line: &str, expected: &str| {
            let host = HostConfig { extra_hosts: Some(vec![line.to_owned()]), ..HostConfig::default() };
            assert_eq!(hosts(&host, NetworkMode::None, &files()).unwrap_err().to_string(), expected);
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

        assert_eq!(resolv_conf(&HostConfig::default(), &files()).expect("nothing is asked"), files().resolv_conf);
        assert_eq!(
            resolv_conf(&host, &files()).expect("it is an address"),
            "# by hand\nsearch lab\noptions ndots:2\nnameserver 192.0.2.99\n"
        );
        assert_eq!(
            resolv_conf(&none, &files()).expect("it is a domain"),
            "# by hand\nnameserver 192.0.2.53\noptions ndots:2\n"
        );
    }

    #[test]
    fn a_resolver_with_more_than_words_is_refused() {
        let server = HostConfig { dns: vec!["x\nnameserver y".to_owned()], ..HostConfig::default() };
        let domain = HostConfig { dns_search: vec!["a b".to_owned()], ..HostConfig::default() };

        assert!(resolv_conf(&server, &files()).is_err());
        assert!(resolv_conf(&domain, &files()).is_err());
    }
}
