//! What things are called at Azure, and their ids.

use driver::{ClusterId, DriverError, InstanceId};

/// The version of the API of resource groups, and of lists of resources.
pub(crate) const RESOURCES: &str = "2024-11-01";
/// The version of the API of subscriptions.
pub(crate) const SUBSCRIPTIONS: &str = "2022-12-01";
/// The version of the API of permissions.
pub(crate) const AUTHORIZATION: &str = "2022-04-01";
/// The version of the API of machines: the first with tags on inline interfaces and addresses.
pub(crate) const COMPUTE: &str = "2025-04-01";
/// The version of the API of disks, which have their own.
pub(crate) const DISKS: &str = "2024-03-02";
/// The version of the API of identities.
pub(crate) const MANAGED_IDENTITY: &str = "2023-01-31";
/// The version of the API of networks.
pub(crate) const NETWORK: &str = "2025-05-01";

/// The virtual network.
pub(crate) const VIRTUAL_NETWORK: &str = "swarmup-network";
/// The subnet in it.
pub(crate) const SUBNET: &str = "machines";
/// The security group.
pub(crate) const SECURITY_GROUP: &str = "swarmup-firewall";
/// The application security group, where the network is not ours.
pub(crate) const APPLICATION_GROUP: &str = "swarmup-members";
/// The identity of the managers, where they are lent one.
pub(crate) const IDENTITY: &str = "swarmup-managers";

/// The tag that says which machine something belongs to.
pub(crate) const TAG_MACHINE: &str = "swarmup-machine";
/// The tag of a machine that holds its size at Azure.
pub(crate) const TAG_TYPE: &str = "swarmup-machine-type";
/// The tag of a machine that holds the size of its disk.
pub(crate) const TAG_DISK: &str = "swarmup-disk-gb";

/// How much of a cluster's id its group's name holds.
const ID_CHARACTERS: usize = 10;

/// A resource group of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    pub(crate) subscription: String,
    pub(crate) name: String,
}

impl Group {
    /// The group of a cluster.
    pub(crate) fn of_cluster(subscription: &str, name: &str, id: &ClusterId) -> Self {
        let id: String = id.0.chars().filter(char::is_ascii_alphanumeric).take(ID_CHARACTERS).collect();
        Self { subscription: subscription.to_owned(), name: format!("swarmup-{name}-{id}") }
    }

    /// Its path and id.
    pub(crate) fn path(&self) -> String {
        format!("/subscriptions/{}/resourceGroups/{}", self.subscription, self.name)
    }

    /// All resources of a type in it.
    pub(crate) fn all(&self, kind: &str) -> String {
        format!("{}/providers/{kind}", self.path())
    }

    /// A resource in it.
    pub(crate) fn resource(&self, kind: &str, name: &str) -> String {
        format!("{}/{name}", self.all(kind))
    }

    /// A machine in it.
    pub(crate) fn machine(&self, name: &str) -> String {
        self.resource(MACHINES, name)
    }
}

/// The types of resources.
pub(crate) const MACHINES: &str = "Microsoft.Compute/virtualMachines";
pub(crate) const DISK_TYPE: &str = "Microsoft.Compute/disks";
pub(crate) const INTERFACES: &str = "Microsoft.Network/networkInterfaces";
pub(crate) const ADDRESSES: &str = "Microsoft.Network/publicIPAddresses";
pub(crate) const SECURITY_GROUPS: &str = "Microsoft.Network/networkSecurityGroups";
pub(crate) const NETWORKS: &str = "Microsoft.Network/virtualNetworks";
pub(crate) const APPLICATION_GROUPS: &str = "Microsoft.Network/applicationSecurityGroups";
pub(crate) const IDENTITIES: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";
/// No resource of its own, but a part of what it is about: no list of resources shows it.
pub(crate) const ASSIGNMENTS: &str = "Microsoft.Authorization/roleAssignments";

/// What a type is called in our words, and the version of its API.
pub(crate) fn kind_of(full_type: &str) -> (&str, Option<&'static str>) {
    let known = [
        (MACHINES, "machine", COMPUTE),
        (DISK_TYPE, "disk", DISKS),
        (INTERFACES, "interface", NETWORK),
        (ADDRESSES, "address", NETWORK),
        (SECURITY_GROUPS, "firewall", NETWORK),
        (NETWORKS, "network", NETWORK),
        (APPLICATION_GROUPS, "members", NETWORK),
        (IDENTITIES, "identity", MANAGED_IDENTITY),
    ];
    let found = known.iter().find(|(name, _, _)| name.eq_ignore_ascii_case(full_type));
    match found {
        Some((_, kind, version)) => (kind, Some(version)),
        None => (full_type.rsplit('/').next().unwrap_or(full_type), None),
    }
}

/// How the names of machines' disks end.
pub(crate) const DISK_SUFFIX: &str = "-disk";

/// What comes with a machine is called after it.
pub(crate) fn interface_of(machine: &str) -> String {
    format!("{machine}-interface")
}

/// What comes with a machine is called after it.
pub(crate) fn address_of(machine: &str) -> String {
    format!("{machine}-address")
}

/// What comes with a machine is called after it.
pub(crate) fn disk_of(machine: &str) -> String {
    format!("{machine}{DISK_SUFFIX}")
}

/// A machine, as its instance id names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MachineId {
    pub(crate) group: Group,
    pub(crate) name: String,
}

impl MachineId {
    pub(crate) fn new(group: &Group, name: &str) -> Self {
        Self { group: group.clone(), name: name.to_owned() }
    }

    /// Reads an instance id.
    pub(crate) fn read(id: &InstanceId) -> Result<Self, DriverError> {
        let parts: Vec<&str> = id.0.split('/').collect();
        let is = |index: usize, word: &str| parts[index].eq_ignore_ascii_case(word);
        let is_machine = parts.len() == 9
            && is(1, "subscriptions")
            && is(3, "resourceGroups")
            && is(6, "Microsoft.Compute")
            && is(7, "virtualMachines");
        if !is_machine {
            return Err(DriverError::NoSuchMachine { id: id.0.clone() });
        }
        let group = Group { subscription: parts[2].to_owned(), name: parts[4].to_owned() };
        Ok(Self { group, name: parts[8].to_owned() })
    }

    pub(crate) fn path(&self) -> String {
        self.group.machine(&self.name)
    }

    pub(crate) fn instance(&self) -> InstanceId {
        InstanceId(self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_id_says_which_machine_it_is() {
        let group = Group::of_cluster("0000", "lab", &ClusterId("mark-of lab/1234567".to_owned()));
        let machine = MachineId::new(&group, "lab-node-1");

        assert_eq!(group.name, "swarmup-lab-markoflab1");
        assert_eq!(MachineId::read(&machine.instance()).unwrap(), machine);
        assert!(MachineId::read(&InstanceId("i-123".to_owned())).is_err());
    }

    #[test]
    fn types_are_known_in_any_case() {
        assert_eq!(kind_of("microsoft.network/virtualnetworks"), ("network", Some(NETWORK)));
        assert_eq!(kind_of("Microsoft.Insights/metricAlerts"), ("metricAlerts", None));
    }
}
