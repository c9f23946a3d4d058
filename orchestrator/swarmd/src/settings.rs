//! The settings of an agent: what its command line says, else what the installation says, else the default.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context as _;

use model::LeaseTerms;

use crate::arguments::RunArguments;
use crate::installation::Installation;

/// All that an agent is told from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where the node keeps its state.
    pub(crate) data_dir: PathBuf,
    /// Where sockets and the bootstrap file lie.
    pub(crate) run_dir: PathBuf,
    /// Where the `docker` CLI looks by default.
    pub(crate) docker_socket: PathBuf,
    /// The node's host name.
    pub(crate) hostname: String,
    /// Labels of the engine.
    pub(crate) labels: BTreeMap<String, String>,
    /// What the node's machine stays by, where somebody must hold it.
    pub(crate) lease: Option<Leased>,
    /// Registries that need neither a valid certificate nor https.
    pub(crate) insecure_registries: Vec<String>,
}

/// The lease of an installed agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leased {
    /// Its terms.
    pub(crate) terms: LeaseTerms,
    /// The mark of the installation that goes with it.
    pub(crate) mark: String,
}

impl Settings {
    /// Puts the settings together; `machine` is the machine's own name.
    pub(crate) fn new(
        arguments: RunArguments,
        installation: Option<Installation>,
        machine: String,
    ) -> anyhow::Result<Self> {
        let (installed_name, mut labels, lease) = match installation {
            Some(Installation { mark, hostname, labels, lease, .. }) => {
                (Some(hostname), labels, lease.map(|terms| Leased { terms, mark }))
            }
            None => (None, BTreeMap::new(), None),
        };
        for label in &arguments.labels {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            anyhow::ensure!(!key.is_empty(), "the label `{label}` has no key");
            labels.insert(key.to_owned(), value.to_owned());
        }
        for registry in &arguments.insecure_registries {
            check_registry(registry)?;
        }
        Ok(Self {
            data_dir: std::path::absolute(arguments.data_dir).context("failed to find the data directory")?,
            run_dir: std::path::absolute(arguments.run_dir).context("failed to find the run directory")?,
            docker_socket: arguments.docker_socket,
            hostname: arguments.hostname.or(installed_name).unwrap_or(machine),
            labels,
            lease,
            insecure_registries: arguments.insecure_registries,
        })
    }
}

/// Refuses what is neither a host, perhaps with a port, nor a prefix of addresses, and would never fit a registry.
fn check_registry(text: &str) -> anyhow::Result<()> {
    anyhow::ensure!(!text.contains("://"), "insecure registry `{text}` should not contain '://'");
    let is_registry = if let Some((address, length)) = text.split_once('/') {
        let bits = address.parse().map(|address: IpAddr| if address.is_ipv4() { 32 } else { 128 });
        matches!((bits, length.parse::<u8>()), (Ok(bits), Ok(length)) if length <= bits)
    } else {
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
        !text.is_empty() && text.bytes().all(is_host)
    };
    anyhow::ensure!(is_registry, "`{text}` is no registry: HOST, HOST:PORT or a prefix of addresses is expected");
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use model::OnLapse;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn settings(flags: &[&str], installation: Option<Installation>) -> anyhow::Result<Settings> {
        let Command::Run(arguments) = Arguments::parse_from([&["swarmd", "run"], flags].concat()).command else {
            unreachable!("the command line says run")
        };
        Settings::new(arguments, installation, "machine".to_owned())
    }

    fn installation() -> Installation {
        Installation {
            mark: "k3v9".into(),
            cluster_name: "lab".into(),
            hostname: "node-1".into(),
            labels: BTreeMap::from([("zone".into(), "a".into())]),
            lease: Some(LeaseTerms { seconds: 120, on_lapse: OnLapse::EndMachine }),
        }
    }

    #[test]
    fn an_agent_started_by_hand_has_the_machines_name() {
        let settings = settings(&[], None).unwrap();

        assert_eq!((settings.hostname.as_str(), settings.lease), ("machine", None));
    }

    #[test]
    fn an_installed_agent_has_the_name_and_labels_of_its_installation() {
        let settings = settings(&[], Some(installation())).unwrap();

        assert_eq!(settings.hostname, "node-1");
        assert_eq!(settings.labels["zone"], "a");
        assert_eq!(settings.lease.unwrap().mark, "k3v9");
    }

    #[test]
    fn the_command_line_wins() {
        let settings =
            settings(&["--hostname", "other", "--label", "zone=b", "--label", "ssd"], Some(installation())).unwrap();

        assert_eq!(settings.hostname, "other");
        assert_eq!(settings.labels, BTreeMap::from([("zone".into(), "b".into()), ("ssd".into(), String::new())]));
    }

    #[test]
    fn insecure_registries_are_hosts_and_prefixes_of_addresses() {
        let flags = ["--insecure-registry", "reg:5000", "--insecure-registry", "10.0.0.0/8"];
        assert_eq!(settings(&flags, None).unwrap().insecure_registries, ["reg:5000", "10.0.0.0/8"]);

        for wrong in ["", "http://reg:5000", "reg:5000/team", "10.0.0.0/33", "a b"] {
            assert!(settings(&["--insecure-registry", wrong], None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_label_without_a_key_is_refused() {
        assert!(settings(&["--label", "=b"], None).is_err());
    }
}
