//! Which network a container is in.

use super::InvalidSettings;
use crate::config::{ContainerConfig, HostConfig};

/// Which network a container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// The node's.
    Host,
    /// None but the loopback.
    None,
}

impl NetworkMode {
    /// What the settings ask for. Refused where the node does not offer it.
    pub fn of(config: &ContainerConfig, host: &HostConfig) -> Result<Self, InvalidSettings> {
        if config.network_disabled {
            return Ok(Self::None);
        }
        match host.network_mode.as_str() {
            "host" => Ok(Self::Host),
            "none" => Ok(Self::None),
            mode => {
                let mode = if mode.is_empty() { "default" } else { mode };
                Err(InvalidSettings::new(format!(
                    "network mode `{mode}` is not offered by this node: use `--network host` or `--network none`"
                )))
            }
        }
    }

    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mode: &str, expected: Result<NetworkMode, &str>) {
        let host = HostConfig { network_mode: mode.to_owned(), ..HostConfig::default() };

        let found = NetworkMode::of(&ContainerConfig::default(), &host);

        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn only_the_hosts_network_and_none_are_offered() {
        check("host", Ok(NetworkMode::Host));
        check("none", Ok(NetworkMode::None));
        for (mode, named) in [("", "default"), ("bridge", "bridge"), ("container:x", "container:x"), ("web", "web")] {
            let words = "is not offered by this node: use `--network host` or `--network none`";
            check(mode, Err(&format!("network mode `{named}` {words}")));
        }
    }
}
