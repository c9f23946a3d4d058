//! What exists, as it is shown.

use serde_json::{Value, json};

use crate::route::Kind;
use crate::world::{Item, Key, Progress, What, World};

impl World {
    /// A resource as a request for it shows it.
    pub(crate) fn view(&self, key: &Key) -> Value {
        let Some(item) = self.items.get(key) else { return Value::Null };
        let mut properties = match &item.what {
            What::Machine(machine) => {
                let own = &machine.properties;
                json!({
                    "hardwareProfile": { "vmSize": own.hardware_profile.vm_size },
                    "priority": own.priority,
                    "osProfile": {
                        "computerName": own.os_profile.computer_name,
                        "adminUsername": own.os_profile.admin_username,
                    },
                    "storageProfile": {
                        "imageReference": own.storage_profile.image_reference,
                        "osDisk": {
                            "diskSizeGB": own.storage_profile.os_disk.disk_size_gb,
                            "managedDisk": { "id": self.id(&machine.disk) },
                        },
                    },
                    "networkProfile": { "networkInterfaces": [{ "id": self.id(&machine.interface) }] },
                })
            }
            What::Disk { machine, size_gb } => {
                let state = if machine.is_some() { "Attached" } else { "Unattached" };
                json!({ "diskSizeGB": size_gb, "diskState": state })
            }
            What::Interface(interface) => {
                let id = self.id(key);
                json!({
                    "primary": true,
                    "ipConfigurations": [{
                        "id": format!("{id}/ipConfigurations/ip"),
                        "name": "ip",
                        "properties": {
                            "privateIPAddress": interface.private,
                            "publicIPAddress": interface.address.as_ref().map(|key| json!({ "id": self.shouted_id(key) })),
                        },
                    }],
                    "virtualMachine": interface.machine.as_ref().map(|key| json!({ "id": self.shouted_id(key) })),
                })
            }
            What::Address(address) => json!({
                "ipAddress": address.public,
                "publicIPAllocationMethod": "Static",
                "ipConfiguration": address.interface.as_ref().map(|key| json!({
                    "id": format!("{}/ipConfigurations/ip", self.id(key)),
                })),
            }),
            What::SecurityGroup { rules } => json!({ "securityRules": rules }),
            What::Network(network) => {
                let id = self.id(key);
                let subnets: Vec<_> = network
                    .subnets
                    .iter()
                    .map(|subnet| {
                        json!({
                            "id": format!("{id}/subnets/{}", subnet.name),
                            "name": subnet.name,
                            "properties": subnet.properties,
                        })
                    })
                    .collect();
                json!({ "addressSpace": { "addressPrefixes": network.space }, "subnets": subnets })
            }
            What::ApplicationGroup => json!({}),
            What::Identity(identity) => json!({
                "tenantId": self.settings.tenant,
                "principalId": identity.principal,
                "clientId": identity.client,
            }),
        };
        if key.kind != Kind::Identity {
            properties["provisioningState"] = json!(item.progress.state());
        }
        let mut view = json!({
            "id": if matches!(item.what, What::Machine(_)) { self.shouted_id(key) } else { self.id(key) },
            "name": item.name,
            "type": format!("{}/{}", key.kind.namespace(), key.kind.name()),
            "location": item.location,
            "tags": item.tags,
            "properties": properties,
        });
        if let Some(lent) = item.what.machine().map(|machine| &machine.lent).filter(|lent| !lent.is_empty()) {
            let each: serde_json::Map<_, _> = lent.iter().map(|key| (self.shouted_id(key), json!({}))).collect();
            view["identity"] = json!({ "type": "UserAssigned", "userAssignedIdentities": each });
        }
        if !item.zones.is_empty() {
            view["zones"] = json!(item.zones);
        }
        view
    }

    /// An id as Azure shows some: with the group's name in capitals. Ids are to be compared without regard to case.
    fn shouted_id(&self, key: &Key) -> String {
        let id = self.id(key);
        let group = self.items.get(key).map_or(key.group.as_str(), |item| item.group.as_str());
        id.replacen(&format!("/resourceGroups/{group}/"), &format!("/resourceGroups/{}/", group.to_uppercase()), 1)
    }

    /// A resource as the lists of all resources show it.
    pub(crate) fn line(&self, key: &Key, item: &Item, expands: bool, has_tags: bool) -> Value {
        let mut line = json!({
            "id": self.id(key),
            "name": item.name,
            "type": format!("{}/{}", key.kind.namespace(), key.kind.name()),
            "location": item.location,
        });
        if has_tags && !item.tags.is_empty() {
            line["tags"] = json!(item.tags);
        }
        if let What::Disk { machine: Some(machine), .. } = &item.what {
            line["managedBy"] = json!(self.shouted_id(machine));
        }
        if expands {
            line["provisioningState"] = json!(item.progress.state());
        }
        line
    }

    /// A resource group.
    pub(crate) fn group_view(&self, name: &str) -> Value {
        let Some(group) = self.groups.get(name) else { return Value::Null };
        let state = if group.gone_at.is_some() { "Deleting" } else { Progress::Succeeded.state() };
        json!({
            "id": format!("/subscriptions/{}/resourceGroups/{}", self.settings.subscription, group.name),
            "name": group.name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": group.location,
            "tags": group.tags,
            "properties": { "provisioningState": state },
        })
    }
}
