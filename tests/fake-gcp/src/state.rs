//! All that exists at the fake's Google.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::{Map, Value};

use crate::answer::Refusal;
use crate::catalog;
use crate::clock::{Clock, Moment};
use crate::operations::{Operation, OperationError};
use crate::settings::Settings;

/// An instance as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Its status: `RUNNING`.
    pub status: String,
    /// Its address in its subnetwork.
    pub private_address: Ipv4Addr,
    /// Its address outside, where it has one at the moment.
    pub public_address: Option<Ipv4Addr>,
    /// The metadata `user-data`.
    pub user_data: Option<String>,
    /// The metadata `ssh-keys`.
    pub ssh_keys: Option<String>,
    /// Its machine type.
    pub machine_type: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Machine {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.status == "RUNNING"
    }
}

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    /// Announced by an operation that has not begun.
    Announced,
    /// Up since a moment.
    Up(Moment),
    /// Going down.
    Stopping,
    /// Down.
    Off,
    /// Being removed.
    Deleting,
}

/// An instance.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) id: u64,
    pub(crate) zone: String,
    pub(crate) created: Moment,
    pub(crate) power: Power,
    /// The operation that changes it at the moment.
    pub(crate) busy: Option<String>,
    /// `instanceProperties`, as they were asked for.
    pub(crate) properties: Map<String, Value>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) labels_version: u32,
    pub(crate) scheduling: Map<String, Value>,
    pub(crate) network: String,
    pub(crate) subnetwork: String,
    pub(crate) private: Ipv4Addr,
    pub(crate) public: Option<Ipv4Addr>,
    pub(crate) wants_public: bool,
    pub(crate) cores: u32,
}

/// A network.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) id: u64,
    pub(crate) created: Moment,
    pub(crate) body: Map<String, Value>,
    pub(crate) is_auto: bool,
    pub(crate) busy: Option<String>,
    /// It was there from the beginning.
    pub(crate) is_given: bool,
}

/// A subnetwork.
#[derive(Debug, Clone)]
pub(crate) struct Subnetwork {
    pub(crate) id: u64,
    pub(crate) created: Moment,
    pub(crate) body: Map<String, Value>,
    pub(crate) network: String,
    pub(crate) prefix: Prefix,
    pub(crate) busy: Option<String>,
    pub(crate) is_given: bool,
}

/// A firewall rule.
#[derive(Debug, Clone)]
pub(crate) struct Firewall {
    pub(crate) id: u64,
    pub(crate) created: Moment,
    pub(crate) body: Map<String, Value>,
    pub(crate) network: String,
    pub(crate) busy: Option<String>,
}

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) first: u32,
    pub(crate) length: u8,
}

impl Prefix {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let first = u32::from(address.parse::<Ipv4Addr>().ok()?);
        let length = length.parse::<u8>().ok().filter(|length| (8..=29).contains(length))?;
        let prefix = Self { first, length };
        (first % prefix.size() == 0).then_some(prefix)
    }

    pub(crate) fn size(self) -> u32 {
        1 << (32 - self.length)
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.first < other.first + other.size() && other.first < self.first + self.size()
    }
}

/// All that exists.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    /// Where the fake is reached, for links.
    pub(crate) base: String,
    pub(crate) clock: Clock,
    pub(crate) next_id: u64,
    pub(crate) next_public: u8,
    /// By name.
    pub(crate) networks: BTreeMap<String, Network>,
    /// By region and name.
    pub(crate) subnetworks: BTreeMap<(String, String), Subnetwork>,
    /// By name.
    pub(crate) firewalls: BTreeMap<String, Firewall>,
    /// By zone and name.
    pub(crate) instances: BTreeMap<(String, String), Instance>,
    /// By name, which is unique here.
    pub(crate) operations: BTreeMap<String, Operation>,
    /// The operations that requests with an id have started.
    pub(crate) by_request: BTreeMap<String, String>,
    /// What the next operation ends with.
    pub(crate) doom: Option<OperationError>,
}

impl State {
    pub(crate) fn new(settings: Settings, base: String) -> Self {
        let mut state = Self {
            base,
            clock: Clock::default(),
            next_id: 1_000_000_000_000_000_001,
            next_public: 1,
            networks: BTreeMap::new(),
            subnetworks: BTreeMap::new(),
            firewalls: BTreeMap::new(),
            instances: BTreeMap::new(),
            operations: BTreeMap::new(),
            by_request: BTreeMap::new(),
            doom: None,
            settings,
        };
        if state.settings.has_default_network {
            state.give_network("default", true);
            for region in catalog::regions() {
                state.give_subnetwork("default", region, catalog::default_prefix(region).unwrap_or_default());
            }
        }
        for network in state.settings.networks.clone() {
            state.give_network(&network.name, false);
            state.give_subnetwork(&network.name, &network.region, &network.prefix);
        }
        state
    }

    fn give_network(&mut self, name: &str, is_auto: bool) {
        let network =
            Network { id: self.id(), created: self.clock.now(), body: Map::new(), is_auto, busy: None, is_given: true };
        self.networks.insert(name.to_owned(), network);
    }

    fn give_subnetwork(&mut self, network: &str, region: &str, prefix: &str) {
        let prefix = Prefix::read(prefix).expect("the settings have a valid prefix for each network");
        let subnetwork = Subnetwork {
            id: self.id(),
            created: self.clock.now(),
            body: Map::new(),
            network: network.to_owned(),
            prefix,
            busy: None,
            is_given: true,
        };
        self.subnetworks.insert((region.to_owned(), network.to_owned()), subnetwork);
    }

    /// An id that nothing has.
    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A link to something of the project: `zones/z/instances/i`.
    pub(crate) fn link(&self, below: &str) -> String {
        format!("{}compute/v1/projects/{}/{below}", self.base, self.settings.project)
    }

    /// Something of the project as error messages name it.
    pub(crate) fn named(&self, below: &str) -> String {
        format!("projects/{}/{below}", self.settings.project)
    }

    /// The lowest address of a subnetwork that is free: the first is the gateway's, the last two are Google's.
    pub(crate) fn free_address(&self, region: &str, subnetwork: &str) -> Result<Ipv4Addr, Refusal> {
        let prefix = self.subnetworks[&(region.to_owned(), subnetwork.to_owned())].prefix;
        let taken: BTreeSet<u32> = self
            .instances
            .values()
            .filter(|instance| instance.subnetwork == subnetwork && catalog::region_of(&instance.zone) == Some(region))
            .map(|instance| u32::from(instance.private))
            .collect();
        (prefix.first + 2..prefix.first + prefix.size() - 2)
            .find(|address| !taken.contains(address))
            .map(Ipv4Addr::from)
            .ok_or_else(|| Refusal::new(400, "invalid", format!("IP space of '{subnetwork}' is exhausted")))
    }

    /// A public address that no instance has.
    pub(crate) fn public_address(&mut self) -> Ipv4Addr {
        loop {
            let address = Ipv4Addr::new(203, 0, 113, self.next_public);
            self.next_public = if self.next_public >= 254 { 1 } else { self.next_public + 1 };
            if self.instances.values().all(|instance| instance.public != Some(address)) {
                return address;
            }
        }
    }

    /// The instances as tests see them.
    pub(crate) fn machines(&self) -> Vec<Machine> {
        let now = self.clock.now();
        let visible = self.instances.iter().filter(|(_, instance)| instance.power != Power::Announced);
        visible
            .map(|((zone, name), instance)| Machine {
                name: name.clone(),
                zone: zone.clone(),
                status: instance.status(now, self.settings.boot).to_owned(),
                private_address: instance.private,
                public_address: instance.public,
                user_data: instance.metadata("user-data").map(ToOwned::to_owned),
                ssh_keys: instance.metadata("ssh-keys").map(ToOwned::to_owned),
                machine_type: instance.machine_type().to_owned(),
                labels: instance.labels.clone(),
            })
            .collect()
    }

    /// What somebody made.
    pub(crate) fn holdings(&self) -> Vec<String> {
        let instances = self.instances.keys().map(|(_, name)| format!("instances/{name}"));
        let firewalls = self.firewalls.keys().map(|name| format!("firewalls/{name}"));
        let networks = self.networks.iter().filter(|(_, network)| !network.is_given);
        let networks = networks.map(|(name, _)| format!("networks/{name}"));
        let subnetworks = self.subnetworks.iter().filter(|(_, subnetwork)| !subnetwork.is_given);
        let subnetworks = subnetworks.map(|((_, name), _)| format!("subnetworks/{name}"));
        instances.chain(firewalls).chain(networks).chain(subnetworks).collect()
    }

    /// Removes an instance without an operation.
    pub(crate) fn vanish(&mut self, name: &str) {
        self.instances.retain(|(_, known), _| known != name);
    }
}
