//! What a fake starts with.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::rates::Rates;

/// What a fake starts with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address at which it is reached.
    pub address: IpAddr,
    /// Where the metadata server of instances listens, if there is one. An instance is known by the private address that
    /// it asks from.
    pub metadata_server: Option<SocketAddr>,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The only project.
    pub project: String,
    /// How long each answer takes at least.
    pub latency: Duration,
    /// How long an operation takes; a quarter of it is spent waiting.
    pub operation: Duration,
    /// How long an instance takes from its creation or start until it runs.
    pub boot: Duration,
    /// How long `wait` waits at most, before it shows an operation that is not done.
    pub wait: Duration,
    /// How long a token is good for.
    pub token_life: Duration,
    /// How many items a page of a list has at most.
    pub page: usize,
    /// Whether there is a network `default` with a subnetwork in each region.
    pub has_default_network: bool,
    /// Networks that exist besides.
    pub networks: Vec<NetworkSetting>,
    /// Limits of a region's quotas that differ from the usual: `CPUS`.
    pub quotas: BTreeMap<String, u32>,
    /// How many calls are let through: as Google publishes it, or without limit.
    pub rates: Option<Rates>,
    /// How many calls each group has left when the fake starts; all of a minute's where nothing is said.
    pub calls_left: Option<f64>,
    /// Metadata of the project.
    pub metadata: BTreeMap<String, String>,
    /// The service accounts of the project besides its default one.
    pub service_accounts: Vec<String>,
    /// Whether the user may act as them: give them to instances.
    pub may_act_as: bool,
    /// A file that each request is added to as a line of JSON.
    pub log: Option<PathBuf>,
}

/// A network in custom mode, with one subnetwork of the same name.
#[derive(Debug, Clone)]
pub struct NetworkSetting {
    /// The name of both.
    pub name: String,
    /// The subnetwork's region.
    pub region: String,
    /// The subnetwork's prefix; the first address that an instance gets is the one that ends in `.2`.
    pub prefix: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            metadata_server: None,
            port: 0,
            project: "fake-project".to_owned(),
            latency: Duration::ZERO,
            operation: Duration::from_millis(20),
            boot: Duration::from_millis(10),
            wait: Duration::from_mins(2),
            token_life: Duration::from_hours(1),
            page: 500,
            has_default_network: true,
            networks: Vec::new(),
            quotas: BTreeMap::new(),
            rates: None,
            calls_left: None,
            metadata: BTreeMap::new(),
            service_accounts: Vec::new(),
            may_act_as: true,
            log: None,
        }
    }
}
