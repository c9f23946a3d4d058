//! What the books show a test, and what a test writes into them past the API.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::FakeAzure;
use crate::serve::lock;
use crate::world::{Item, Progress, World};
use crate::{machines, route, world};

/// A machine that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its resource id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its resource group.
    pub group: String,
    /// Its size.
    pub size: String,
    /// Its zone, where it has one.
    pub zone: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its address in the subnet.
    pub private_address: Option<IpAddr>,
    /// Its public address.
    pub public_address: Option<IpAddr>,
    /// The user data that it was given, decoded.
    pub custom_data: Option<String>,
    /// The user that may log in.
    pub admin_user: String,
    /// The key with which that user logs in.
    pub ssh_public_key: String,
    /// Whether it is a spot machine.
    pub is_spot: bool,
    /// The names of the identities that it is lent.
    pub identities: Vec<String>,
    /// What it is doing.
    pub state: MachineState,
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineState {
    /// On its way up.
    Booting,
    /// Up.
    Running,
    /// Down, and not charged.
    Deallocated,
    /// Never came up.
    Failed,
    /// On its way out.
    Deleting,
}

impl FakeAzure {
    /// The machines that exist, by group and name.
    pub fn machines(&self) -> Vec<Machine> {
        let mut world = lock(&self.shared.world);
        let now = Instant::now();
        world.settle(now);
        let machines = world.items.iter().filter_map(|(key, item)| Some((key, item, item.what.machine()?)));
        machines
            .map(|(key, item, record)| {
                let interface = world.items.get(&record.interface).and_then(|item| item.what.interface());
                let address = interface.and_then(|interface| world.items.get(interface.address.as_ref()?));
                let own = &record.properties;
                Machine {
                    id: world.id(key),
                    name: item.name.clone(),
                    group: item.group.clone(),
                    size: own.hardware_profile.vm_size.clone(),
                    zone: item.zones.first().cloned(),
                    tags: item.tags.clone(),
                    private_address: interface.map(|interface| interface.private),
                    public_address: address.and_then(|item| item.what.address()).map(|address| address.public),
                    custom_data: World::custom_data(record),
                    admin_user: own.os_profile.admin_username.clone(),
                    ssh_public_key: own
                        .os_profile
                        .linux_configuration
                        .ssh
                        .public_keys
                        .first()
                        .map(|key| key.key_data.clone())
                        .unwrap_or_default(),
                    identities: record.lent.iter().map(|key| key.name.clone()).collect(),
                    is_spot: own.priority.as_deref() == Some("Spot"),
                    state: state_of(item, record, now),
                }
            })
            .collect()
    }

    /// The ids of all resources, assignments of roles and resource groups that exist.
    pub fn resources(&self) -> Vec<String> {
        let mut world = lock(&self.shared.world);
        world.settle(Instant::now());
        let groups = world.groups.values().map(|group| format!("/resourceGroups/{}", group.name));
        let items = world.items.keys().map(|key| world.id(key));
        let assignments = world.assignments.keys().map(|key| world.assignment_id(key));
        groups.chain(items).chain(assignments).collect()
    }

    /// The tags of a resource or resource group that exists.
    pub fn tags(&self, id: &str) -> Option<BTreeMap<String, String>> {
        let world = lock(&self.shared.world);
        let group = world.groups.values().find(|group| format!("/resourceGroups/{}", group.name) == id);
        let item = || world.items.iter().find(|(key, _)| world.id(key) == id);
        group.map(|group| group.tags.clone()).or_else(|| item().map(|(_, item)| item.tags.clone()))
    }

    /// Gives a resource other tags, as somebody else could; whether it exists.
    pub fn set_tags(&self, id: &str, tags: BTreeMap<String, String>) -> bool {
        let mut world = lock(&self.shared.world);
        let key = world.items.keys().find(|key| world.id(key) == id).cloned();
        let item = key.and_then(|key| world.items.get_mut(&key));
        item.map(|item| item.tags = tags).is_some()
    }

    /// Makes a resource group without tags, as somebody else would.
    pub fn make_group(&self, name: &str) {
        let group = world::Group {
            name: name.to_owned(),
            location: "eastus2".to_owned(),
            tags: BTreeMap::new(),
            gone_at: None,
        };
        lock(&self.shared.world).groups.insert(name.to_lowercase(), group);
    }

    /// Makes a network with one subnet in a resource group of its own, as somebody else would; the subnet's id.
    ///
    /// # Panics
    /// Where the prefix is none.
    pub fn make_network(&self, name: &str, prefix: &str) -> String {
        self.make_group(name);
        let body = serde_json::json!({
            "location": "eastus2",
            "properties": {
                "addressSpace": { "addressPrefixes": [prefix] },
                "subnets": [{ "name": "shared", "properties": { "addressPrefix": prefix } }],
            },
        });
        let mut world = lock(&self.shared.world);
        assert!(world.put_network(name, name, body.to_string().as_bytes()).is_ok(), "a test names a prefix");
        format!("{}/subnets/shared", world.id(&world::Key::new(name, route::Kind::Network, name)))
    }

    /// The rules of all security groups, in Azure's words: `{"name", "properties"}`.
    pub fn security_rules(&self) -> Vec<serde_json::Value> {
        let world = lock(&self.shared.world);
        let groups = world.items.values().filter_map(|item| {
            let world::What::SecurityGroup { rules } = &item.what else { return None };
            Some(serde_json::json!(rules))
        });
        groups.flat_map(|rules| rules.as_array().cloned().unwrap_or_default()).collect()
    }

    /// Whether a packet from an address gets in to a machine (`Tcp`, `Udp`, `Esp`).
    pub fn lets_in(&self, machine: &Machine, from: IpAddr, protocol: &str, port: Option<u16>) -> bool {
        let world = lock(&self.shared.world);
        let key = world::Key::new(&machine.group, route::Kind::Machine, &machine.name);
        world.lets_in(&key, from, protocol, port)
    }
}

fn state_of(item: &Item, record: &machines::MachineRecord, now: Instant) -> MachineState {
    match item.progress {
        Progress::Failed { .. } => MachineState::Failed,
        Progress::Deleting { .. } => MachineState::Deleting,
        _ if record.is_deallocated => MachineState::Deallocated,
        _ if record.boots_at > now => MachineState::Booting,
        Progress::Running { .. } | Progress::Succeeded => MachineState::Running,
    }
}
