//! Looking at a group's machines with their addresses: three lists, however many machines there are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use driver::{Access, DriverError, Instance, InstanceState, SshAccess};

use crate::answers::{AddressAnswer, InterfaceAnswer, MachineAnswer, MachinesByName};
use crate::client::{Call, Client};
use crate::names::{ADDRESSES, COMPUTE, Group, INTERFACES, MACHINES, MachineId, NETWORK};
use crate::sizes::arch_of;

/// What a group holds of machines.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) machines: MachinesByName,
    addresses: BTreeMap<String, Addresses>,
}

/// The addresses of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) private: IpAddr,
    pub(crate) public: Option<IpAddr>,
}

/// The machines of a group by their names in lower case; none where the group does not exist.
pub(crate) async fn machines(client: &Client, group: &Group) -> Result<MachinesByName, DriverError> {
    let call = Call::get(group.all(MACHINES), COMPUTE, format!("list the machines of `{}`", group.name));
    let found = client.list::<MachineAnswer>(&call).await?.unwrap_or_default();
    Ok(found.into_iter().map(|machine| (machine.name.to_lowercase(), machine)).collect())
}

/// The machines of a group with their addresses.
pub(crate) async fn survey(client: &Client, group: &Group) -> Result<Survey, DriverError> {
    let call = |kind| Call::get(group.all(kind), NETWORK, format!("list the addresses of `{}`", group.name));
    let (interfaces, addresses) = (call(INTERFACES), call(ADDRESSES));
    let (machines, interfaces, addresses) = tokio::try_join!(
        machines(client, group),
        client.list::<InterfaceAnswer>(&interfaces),
        client.list::<AddressAnswer>(&addresses),
    )?;
    Ok(Survey::new(machines, &interfaces.unwrap_or_default(), &addresses.unwrap_or_default()))
}

impl Survey {
    /// Joins the lists. Azure writes the same id in different cases.
    fn new(machines: MachinesByName, interfaces: &[InterfaceAnswer], addresses: &[AddressAnswer]) -> Self {
        let public: BTreeMap<String, IpAddr> = addresses
            .iter()
            .filter_map(|address| Some((address.id.to_lowercase(), address.properties.ip_address?)))
            .collect();
        let of_machine = |interface: &InterfaceAnswer| {
            let machine = interface.properties.virtual_machine.as_ref()?;
            let name = machine.id.rsplit('/').next()?.to_lowercase();
            let addressing = &interface.properties.ip_configurations.first()?.properties;
            let public = addressing.public.as_ref().and_then(|address| public.get(&address.id.to_lowercase()));
            Some((name, Addresses { private: addressing.private?, public: public.copied() }))
        };
        Self { machines, addresses: interfaces.iter().filter_map(of_machine).collect() }
    }

    pub(crate) fn machine(&self, name: &str) -> Option<&MachineAnswer> {
        self.machines.get(&name.to_lowercase())
    }

    pub(crate) fn addresses(&self, name: &str) -> Option<Addresses> {
        self.addresses.get(&name.to_lowercase()).copied()
    }
}

/// A machine that runs, or is on its way up.
pub(crate) fn instance(
    id: &MachineId,
    machine: &MachineAnswer,
    addresses: Addresses,
    host_key: Option<String>,
) -> Instance {
    let user = machine.properties.os_profile.as_ref().map(|os| os.admin_username.clone()).unwrap_or_default();
    Instance {
        id: id.instance(),
        name: id.name.clone(),
        state: InstanceState::Running,
        arch: Some(arch_of(&machine.properties.hardware_profile.vm_size).name().to_owned()),
        private_address: Some(addresses.private),
        public_address: addresses.public,
        access: Some(Access::Ssh(SshAccess {
            host: addresses.public.unwrap_or(addresses.private).to_string(),
            port: 22,
            user,
            key_file: None,
            host_key,
        })),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn interface(machine: &Value, address: &str) -> InterfaceAnswer {
        from_value(json!({
            "properties": {
                "virtualMachine": machine,
                "ipConfigurations": [{ "properties": {
                    "privateIPAddress": "10.77.1.4",
                    "publicIPAddress": { "id": address },
                } }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn addresses_are_joined_to_machines_by_ids_in_any_case() {
        let address = json!({ "id": "/resourceGroups/lab/a", "properties": { "ipAddress": "203.0.113.1" } });
        let addresses = [from_value(address).unwrap()];
        let own =
            interface(&json!({ "id": "/resourceGroups/LAB/virtualMachines/Lab-Node-1" }), "/RESOURCEGROUPS/LAB/a");

        let survey = Survey::new(BTreeMap::new(), &[own, interface(&Value::Null, "/b")], &addresses);

        let found = survey.addresses("lab-node-1").unwrap();
        assert_eq!(found.public, "203.0.113.1".parse().ok());
        assert_eq!(survey.addresses("lab-node-2"), None);
    }
}
