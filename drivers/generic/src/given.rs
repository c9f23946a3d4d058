//! What the user says about the hosts.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use driver::{DriverError, InstanceId, Options};

pub(crate) const HOST: &str = "host";
pub(crate) const SSH_KEY: &str = "ssh-key";
pub(crate) const HOST_KEY: &str = "host-key";
pub(crate) const ADDRESS_INTERFACE: &str = "address-interface";

/// The user that logs in where none is named.
const DEFAULT_USER: &str = "root";
/// SSH's own port.
const DEFAULT_PORT: u16 = 22;

/// What the user says about the hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// The hosts, in order, none twice.
    pub(crate) hosts: Vec<GivenHost>,
    /// The key that logs in; absent: the agent's keys.
    pub(crate) ssh_key: Option<PathBuf>,
    /// The keys that hosts must show: of one host, or of all.
    pub(crate) host_keys: Vec<(Option<String>, String)>,
    /// The interface whose address the members use.
    pub(crate) address_interface: Option<String>,
}

/// Where a host is and who logs in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GivenHost {
    pub(crate) user: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Not `[USER@]ADDRESS[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a host: [USER@]ADDRESS[:PORT] is expected")]
pub(crate) struct InvalidHost {
    text: String,
}

impl Given {
    pub(crate) fn read(options: &Options) -> Result<Self, DriverError> {
        let mut hosts: Vec<GivenHost> = Vec::new();
        let mut seen = BTreeSet::new();
        for text in options.many(HOST) {
            let host = text.parse::<GivenHost>().map_err(|error| invalid(HOST, error.to_string()))?;
            if !seen.insert((host.host.clone(), host.port)) {
                return Err(invalid(HOST, format!("`{text}` is given twice")));
            }
            hosts.push(host);
        }
        let ssh_key = match options.one(SSH_KEY) {
            None => None,
            Some(path) => Some(std::path::absolute(path).map_err(|error| invalid(SSH_KEY, error.to_string()))?),
        };
        let given = Self {
            hosts,
            ssh_key,
            host_keys: options.many(HOST_KEY).into_iter().map(read_host_key).collect(),
            address_interface: options.one(ADDRESS_INTERFACE).map(str::to_owned),
        };
        given.check_host_keys()?;
        Ok(given)
    }

    fn check_host_keys(&self) -> Result<(), DriverError> {
        for (owner, key) in &self.host_keys {
            if !key.starts_with("SHA256:") && reach::fingerprint(key).is_none() {
                let reason = format!("`{key}` is neither an OpenSSH public key nor a fingerprint such as SHA256:…");
                return Err(invalid(HOST_KEY, reason));
            }
            if let Some(owner) = owner
                && !self.hosts.iter().any(|host| host.host == *owner)
            {
                return Err(invalid(HOST_KEY, format!("there is no host `{owner}` among the hosts given")));
            }
        }
        Ok(())
    }

    /// The key that a host must show, where one was given.
    pub(crate) fn host_key(&self, host: &GivenHost) -> Option<&str> {
        let own = self.host_keys.iter().find(|(owner, _)| owner.as_deref() == Some(host.host.as_str()));
        own.or_else(|| self.host_keys.iter().find(|(owner, _)| owner.is_none())).map(|(_, key)| key.as_str())
    }
}

/// `ADDRESS=KEY`, or a key for all hosts. Base64 may end in `=`, but holds none before a blank.
fn read_host_key(text: &str) -> (Option<String>, String) {
    let is_address =
        |text: &str| !text.contains([' ', ':']) || text.trim_matches(['[', ']']).parse::<Ipv6Addr>().is_ok();
    match text.split_once('=') {
        Some((address, key)) if is_address(address) && !key.trim().is_empty() => {
            (Some(address.trim_matches(['[', ']']).to_owned()), key.trim().to_owned())
        }
        Some(_) | None => (None, text.trim().to_owned()),
    }
}

pub(crate) fn invalid(option: &str, reason: String) -> DriverError {
    DriverError::InvalidOption { option: option.to_owned(), reason }
}

impl GivenHost {
    /// The machine's id: where it is says which it is.
    pub(crate) fn id(&self) -> InstanceId {
        InstanceId(self.to_string())
    }

    /// Its address, where it was given as one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for GivenHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let wrong = || InvalidHost { text: text.to_owned() };
        let (user, rest) = text.rsplit_once('@').unwrap_or((DEFAULT_USER, text));
        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let (host, port) = bracketed.split_once(']').ok_or_else(wrong)?;
            host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(wrong)?) };
            (host, port)
        } else if rest.parse::<Ipv6Addr>().is_ok() {
            (rest, None)
        } else {
            rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?,
        };
        let is_word = |word: &str| {
            !word.is_empty() && !word.starts_with('-') && !word.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        let is_host = host.parse::<IpAddr>().is_ok()
            || host.chars().all(|character| character.is_ascii_alphanumeric() || ".-_".contains(character));
        if !is_word(user) || !is_word(host) || !is_host {
            return Err(wrong());
        }
        Ok(Self { user: user.to_owned(), host: host.to_owned(), port })
    }
}

impl fmt::Display for GivenHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port } = self;
        if host.contains(':') {
            return write!(formatter, "{user}@[{host}]:{port}");
        }
        write!(formatter, "{user}@{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use driver::OptionValue;

    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let parsed = text.parse::<GivenHost>().ok();
        assert_eq!(parsed.as_ref().map(ToString::to_string).as_deref(), expected, "{text}");
        assert_eq!(parsed.as_ref().map(|host| host.to_string().parse()), parsed.clone().map(Ok), "{text}");
    }

    #[test]
    fn hosts_are_read_in_every_usual_form() {
        check("192.0.2.1", Some("root@192.0.2.1:22"));
        check("ops@example.org:2222", Some("ops@example.org:2222"));
        check("ops@fd00::1", Some("ops@[fd00::1]:22"));
        check("root@[fd00::1]:2222", Some("root@[fd00::1]:2222"));
        check("[fd00::1]", Some("root@[fd00::1]:22"));
        check("a@b@host", Some("a@b@host:22"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "@", "root@", "root@host:", "root@host:0", "root@host:70000", "root@[fd00::1", "a b", "-oX@h"]
        {
            check(text, None);
        }
        check("root@host;reboot", None);
        check("root@-oProxyCommand=x", None);
    }

    fn options(hosts: &[&str], keys: &[&str]) -> Options {
        let many = |values: &[&str]| OptionValue::Many(values.iter().map(|value| (*value).to_owned()).collect());
        Options([(HOST.to_owned(), many(hosts)), (HOST_KEY.to_owned(), many(keys))].into())
    }

    #[test]
    fn a_host_given_twice_is_refused() {
        let error = Given::read(&options(&["root@192.0.2.1", "ops@192.0.2.1:22"], &[])).unwrap_err();

        assert_eq!(error.to_string(), "option `host` is wrong: `ops@192.0.2.1:22` is given twice");
    }

    #[test]
    fn host_keys_belong_to_one_host_or_to_all() {
        let key = reach::SshKeyPair::generate("h").public;
        let own = format!("192.0.2.1={key}");
        let given = Given::read(&options(&["192.0.2.1", "192.0.2.2"], &[&own, "SHA256:abc"])).unwrap();

        assert_eq!(given.host_key(&given.hosts[0]), Some(key.as_str()));
        assert_eq!(given.host_key(&given.hosts[1]), Some("SHA256:abc"));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused() {
        assert!(Given::read(&options(&["192.0.2.1"], &["192.0.2.1=nonsense"])).is_err());
        assert!(Given::read(&options(&["192.0.2.1"], &["192.0.2.9=SHA256:abc"])).is_err());
    }
}
