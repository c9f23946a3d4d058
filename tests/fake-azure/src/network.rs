//! Virtual networks, security groups, interfaces and public addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use crate::answer::{Answer, Answered, Refusal};
use crate::bodies::{
    self, ItemBody, Named, NetworkProperties, Nothing, Reference, SecurityGroupProperties, SubnetProperties, Tags,
};
use crate::route::{Kind, Route, Target};
use crate::rules::{self, Packet, Prefix};
use crate::world::{Item, Key, Progress, What, World};

/// A virtual network.
#[derive(Debug, Clone)]
pub(crate) struct NetworkRecord {
    pub(crate) space: Vec<String>,
    pub(crate) subnets: Vec<Named<SubnetProperties>>,
}

impl NetworkRecord {
    pub(crate) fn prefixes(&self) -> Vec<Prefix> {
        self.space.iter().filter_map(|text| Prefix::read(text)).collect()
    }

    pub(crate) fn subnet(&self, name: &str) -> Option<&Named<SubnetProperties>> {
        self.subnets.iter().find(|subnet| subnet.name.eq_ignore_ascii_case(name))
    }
}

/// An interface of a machine.
#[derive(Debug, Clone)]
pub(crate) struct InterfaceRecord {
    pub(crate) private: IpAddr,
    pub(crate) subnet: (Key, String),
    pub(crate) security_group: Option<Key>,
    pub(crate) application_groups: BTreeSet<String>,
    pub(crate) address: Option<Key>,
    pub(crate) machine: Option<Key>,
    /// Until when it is kept for the machine that it was of.
    pub(crate) reserved_until: Option<Instant>,
}

/// A public address.
#[derive(Debug, Clone)]
pub(crate) struct AddressRecord {
    pub(crate) public: IpAddr,
    pub(crate) interface: Option<Key>,
}

/// The resource that an id names, whose form is checked.
pub(crate) fn key_of(reference: &Reference) -> Result<Key, Refusal> {
    let Target::Item { group, kind, name } = Route::read(&reference.id).target else {
        let message = format!("Property id '{}' is invalid.", reference.id);
        return Err(Refusal::new(400, "LinkedInvalidPropertyId", message));
    };
    Ok(Key::new(&group, kind, &name))
}

fn invalid_reference(id: &str) -> Refusal {
    let message = format!(
        "Resource {id} referenced by the resource was not found. Please make sure that the referenced resource exists, \
         and that both resources are in the same region."
    );
    Refusal::new(400, "InvalidResourceReference", message)
}

impl World {
    /// A resource that another refers to: it must exist, and be made.
    pub(crate) fn referenced(&self, key: &Key, location: Option<&str>) -> Result<&Item, Refusal> {
        let item = self.item(key).ok_or_else(|| invalid_reference(&self.id(key)))?;
        if location.is_some_and(|location| !location.eq_ignore_ascii_case(&item.location)) {
            return Err(invalid_reference(&self.id(key)));
        }
        if item.progress != Progress::Succeeded {
            let message = format!(
                "Cannot proceed with operation because resource {} is not in Succeeded state. Resource is in {} state.",
                self.id(key),
                item.progress.state()
            );
            let mut refusal = Refusal::new(429, "RetryableError", "A retryable error occurred.");
            refusal.detail = Some(("ReferencedResourceNotProvisioned".to_owned(), message));
            return Err(refusal);
        }
        Ok(item)
    }

    pub(crate) fn put_security_group(&mut self, group: &str, name: &str, body: &[u8]) -> Answered {
        self.group_to_write(group)?;
        let body: ItemBody<SecurityGroupProperties> = bodies::read(body)?;
        rules::check(&body.properties.security_rules)?;
        for rule in &body.properties.security_rules {
            let groups = [
                &rule.properties.source_application_security_groups,
                &rule.properties.destination_application_security_groups,
            ];
            for reference in groups.into_iter().flatten().flatten() {
                self.referenced(&key_of(reference)?, body.location.as_deref())?;
            }
        }
        let what = What::SecurityGroup { rules: body.properties.security_rules };
        self.put_network_item(&Key::new(group, Kind::SecurityGroup, name), group, name, body.location, body.tags, what)
    }

    pub(crate) fn put_application_group(&mut self, group: &str, name: &str, body: &[u8]) -> Answered {
        self.group_to_write(group)?;
        let body: ItemBody<Nothing> = bodies::read(body)?;
        let key = Key::new(group, Kind::ApplicationGroup, name);
        self.put_network_item(&key, group, name, body.location, body.tags, What::ApplicationGroup)
    }

    pub(crate) fn put_network(&mut self, group: &str, name: &str, body: &[u8]) -> Answered {
        self.group_to_write(group)?;
        let body: ItemBody<NetworkProperties> = bodies::read(body)?;
        let space = body.properties.address_space.address_prefixes;
        let prefixes: Vec<_> = space.iter().map(|text| Prefix::read(text)).collect();
        let is_bad = || Refusal::new(400, "InvalidAddressPrefixFormat", "Address prefix is not formatted correctly.");
        for subnet in &body.properties.subnets {
            let prefix = Prefix::read(&subnet.properties.address_prefix).ok_or_else(is_bad)?;
            if !prefixes.iter().flatten().any(|space| prefix.is_within(*space)) {
                let message = format!(
                    "Subnet '{}' is not valid because its IP address range is outside the IP address range of virtual network '{name}'.",
                    subnet.name
                );
                return Err(Refusal::new(400, "NetcfgInvalidSubnet", message));
            }
            if let Some(reference) = &subnet.properties.network_security_group {
                self.referenced(&key_of(reference)?, body.location.as_deref())?;
            }
        }
        if prefixes.is_empty() || prefixes.contains(&None) {
            return Err(is_bad());
        }
        let key = Key::new(group, Kind::Network, name);
        if let Some((_, lost)) = self
            .subnets_in_use(&key)
            .into_iter()
            .find(|(_, used)| !body.properties.subnets.iter().any(|subnet| subnet.name.eq_ignore_ascii_case(used)))
        {
            return Err(in_use(&lost));
        }
        let what = What::Network(NetworkRecord { space, subnets: body.properties.subnets });
        self.put_network_item(&key, group, name, body.location, body.tags, what)
    }

    /// The subnets of a network that have interfaces in them.
    fn subnets_in_use(&self, network: &Key) -> Vec<(Key, String)> {
        let interfaces = self.items.values().filter_map(|item| item.what.interface());
        interfaces.map(|interface| interface.subnet.clone()).filter(|(own, _)| own == network).collect()
    }

    fn put_network_item(
        &mut self,
        key: &Key,
        group: &str,
        name: &str,
        location: Option<String>,
        tags: Tags,
        what: What,
    ) -> Answered {
        let location = location.ok_or_else(location_required)?;
        let existing = self.items.get(key);
        if let Some(existing) = existing {
            is_idle(existing)?;
            if !existing.location.eq_ignore_ascii_case(&location) {
                let message = format!("The resource '{name}' already exists in location '{}'.", existing.location);
                return Err(Refusal::new(409, "InvalidResourceLocation", message));
            }
        }
        let status = if existing.is_some() { 200 } else { 201 };
        let takes = self.settings.network_provisioning;
        let progress = Progress::Running { state: "Updating", until: self.now + takes, failure: None };
        let item = Item {
            group: self.groups.get(&key.group).map_or_else(|| group.to_owned(), |group| group.name.clone()),
            name: name.to_owned(),
            location,
            tags,
            zones: Vec::new(),
            progress,
            appears_at: self.now,
            what,
        };
        self.items.insert(key.clone(), item);
        let answer = Answer::json(status, self.view(key));
        Ok(self.with_operation(answer, key, takes, None))
    }

    /// An answer that names the operation which goes on.
    pub(crate) fn with_operation(
        &mut self,
        answer: Answer,
        key: &Key,
        takes: Duration,
        failure: Option<&'static str>,
    ) -> Answer {
        let id = self.begin(takes, failure);
        let location = self.items.get(key).map_or("global", |item| item.location.as_str());
        let (namespace, version) = match key.kind.namespace() {
            "Microsoft.Compute" => ("Microsoft.Compute", "2025-04-01"),
            other => (other, "2025-05-01"),
        };
        let url = format!(
            "{}/subscriptions/{}/providers/{namespace}/locations/{location}/operations/{id}?api-version={version}",
            self.base, self.settings.subscription
        );
        answer.with("azure-asyncoperation", url).with("retry-after", self.settings.retry_after_seconds.to_string())
    }

    /// Deletes a resource of the network, where nothing uses it.
    pub(crate) fn delete_network_item(&mut self, key: &Key) -> Answered {
        self.group_to_write(&key.group)?;
        let Some(item) = self.item(key) else { return Ok(Answer::empty(204)) };
        if matches!(item.progress, Progress::Deleting { .. }) {
            let answer = Answer::empty(202);
            return Ok(self.with_operation(answer, key, self.settings.network_provisioning, None));
        }
        is_idle(item)?;
        self.check_unused(key)?;
        let takes = self.settings.network_provisioning;
        let until = self.now + takes;
        if let Some(item) = self.items.get_mut(key) {
            item.progress = Progress::Deleting { until };
        }
        Ok(self.with_operation(Answer::empty(202), key, takes, None))
    }

    fn check_unused(&self, key: &Key) -> Result<(), Refusal> {
        match self.items.get(key).map(|item| &item.what) {
            Some(What::SecurityGroup { .. }) => {
                let of_interfaces = self.items.values().filter_map(|item| item.what.interface());
                let of_interfaces = of_interfaces.filter_map(|interface| interface.security_group.clone());
                let networks = self.items.values().filter_map(|item| item.what.network());
                let of_subnets = networks.flat_map(|network| &network.subnets).filter_map(guard_of);
                if of_interfaces.chain(of_subnets).any(|used| used == *key) {
                    let message =
                        format!("Network security group {} cannot be deleted because it is in use.", self.id(key));
                    return Err(Refusal::new(400, "InUseNetworkSecurityGroupCannotBeDeleted", message));
                }
            }
            Some(What::Network(_)) => {
                if let Some((_, subnet)) = self.subnets_in_use(key).first() {
                    return Err(in_use(subnet));
                }
            }
            Some(What::ApplicationGroup) => {
                let id = self.id(key).to_lowercase();
                let is_used = self.items.values().any(|item| {
                    matches!(&item.what, What::Interface(interface) if interface.application_groups.contains(&id))
                });
                if is_used {
                    let message = format!("Application security group {id} cannot be deleted because it is in use.");
                    return Err(Refusal::new(400, "ApplicationSecurityGroupInUse", message));
                }
            }
            Some(What::Interface(interface)) => {
                if interface.machine.is_some() {
                    let message = format!("Network Interface {} is used by an existing machine.", self.id(key));
                    return Err(Refusal::new(400, "NicInUse", message));
                }
                if interface.reserved_until.is_some_and(|until| until > self.now) {
                    return Err(reserved());
                }
            }
            Some(What::Address(address)) if address.interface.is_some() => {
                let message = format!(
                    "Public IP address {} can not be deleted since it is still allocated to a resource.",
                    self.id(key)
                );
                return Err(Refusal::new(400, "PublicIPAddressCannotBeDeleted", message));
            }
            _ => {}
        }
        Ok(())
    }

    /// The address that a subnet gives out next.
    pub(crate) fn next_private(&self, network: &Key, subnet: &Named<SubnetProperties>) -> Result<IpAddr, Refusal> {
        let taken: BTreeSet<IpAddr> = self
            .items
            .values()
            .filter_map(|item| item.what.interface())
            .filter(|interface| {
                self.settings.is_one_link || interface.subnet == (network.clone(), subnet.name.to_lowercase())
            })
            .map(|interface| interface.private)
            .collect();
        Prefix::read(&subnet.properties.address_prefix)
            .and_then(|prefix| prefix.usable().find(|address| !taken.contains(address)))
            .ok_or_else(|| Refusal::new(400, "SubnetIsFull", format!("Subnet {} has no address left.", subnet.name)))
    }

    /// The public address that is given out next.
    pub(crate) fn next_public(&self) -> Result<IpAddr, Refusal> {
        let addresses = self.items.values().filter_map(|item| item.what.address());
        let taken: BTreeSet<IpAddr> = addresses.map(|address| address.public).collect();
        let refusal = || {
            let message = "Cannot create more public IP addresses for this subscription in this region.";
            Refusal::new(400, "PublicIPCountLimitReached", message)
        };
        if taken.len() >= usize::try_from(self.settings.addresses).unwrap_or(usize::MAX) {
            return Err(refusal());
        }
        let all = (1..255).map(|last| IpAddr::V4(Ipv4Addr::new(203, 0, 113, last)));
        all.into_iter().find(|address| !taken.contains(address)).ok_or_else(refusal)
    }

    /// Whether a packet to a machine gets in, by the rules of its interface and of its subnet.
    pub(crate) fn lets_in(&self, machine: &Key, from: IpAddr, protocol: &str, port: Option<u16>) -> bool {
        let record = self.items.get(machine).and_then(|item| item.what.machine());
        let interface = record.and_then(|record| self.items.get(&record.interface)?.what.interface());
        let network = interface.and_then(|interface| self.items.get(&interface.subnet.0)?.what.network());
        let Some((interface, network)) = interface.zip(network) else { return false };
        let senders = self.items.values().filter_map(|item| item.what.interface());
        let senders = senders.filter(|interface| interface.private == from);
        let sender_groups = senders.flat_map(|interface| interface.application_groups.clone()).collect();
        let prefixes = network.prefixes();
        let packet = Packet {
            from,
            protocol,
            port,
            network: &prefixes,
            sender_groups: &sender_groups,
            receiver_groups: &interface.application_groups,
        };
        let of_subnet = network.subnet(&interface.subnet.1).and_then(guard_of);
        let guards: Vec<_> = interface.security_group.iter().cloned().chain(of_subnet).collect();
        if guards.is_empty() {
            // A Standard address without a security group is closed.
            return prefixes.iter().any(|prefix| prefix.holds(from));
        }
        guards.iter().all(|guard| match self.items.get(guard).map(|item| &item.what) {
            Some(What::SecurityGroup { rules }) => rules::lets_in(rules, &packet),
            _ => false,
        })
    }
}

/// The security group that a subnet refers to.
fn guard_of(subnet: &Named<SubnetProperties>) -> Option<Key> {
    key_of(subnet.properties.network_security_group.as_ref()?).ok()
}

/// Refuses to touch a resource that something is being done to.
pub(crate) fn is_idle(item: &Item) -> Result<(), Refusal> {
    if matches!(item.progress, Progress::Running { .. } | Progress::Deleting { .. }) {
        let message = "Another operation on this or dependent resource is in progress.";
        return Err(Refusal::new(429, "AnotherOperationInProgress", message));
    }
    Ok(())
}

pub(crate) fn location_required() -> Refusal {
    Refusal::new(400, "LocationRequired", "The location property is required for this definition.")
}

pub(crate) fn reserved() -> Refusal {
    let message = "Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide another \
                   nic(s) or retry after 180 seconds.";
    Refusal::new(400, "NicReservedForAnotherVm", message)
}

fn in_use(subnet: &str) -> Refusal {
    Refusal::new(400, "InUseSubnetCannotBeDeleted", format!("Subnet {subnet} is in use and cannot be deleted."))
}
