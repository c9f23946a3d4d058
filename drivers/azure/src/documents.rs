//! The bodies that are sent to Azure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driver::{DriverError, MachineRequest, Mark};
use serde_json::{Value, json};

use crate::choice::{Candidate, Choice};
use crate::names::{SUBNET, TAG_DISK, TAG_MACHINE, TAG_TYPE, address_of, disk_of, interface_of};

/// The prefix of our virtual network.
pub(crate) const NETWORK_PREFIX: &str = "10.77.0.0/16";
/// The prefix of the subnet in it.
pub(crate) const SUBNET_PREFIX: &str = "10.77.1.0/24";
/// The longest user data, as Azure takes it.
const LONGEST_DATA: usize = 65_535;
/// The version of the network's API by which a machine's inline interfaces are made; one of two that Compute takes.
const INLINE_NETWORK: &str = "2022-11-01";

/// Tags by name.
pub(crate) type Tags = BTreeMap<String, String>;

/// The tags that everything of a cluster carries.
pub(crate) fn tags(mark: &Mark) -> Tags {
    mark.tags().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A resource group.
pub(crate) fn group(region: &str, tags: &Tags) -> Value {
    json!({ "location": region, "tags": tags })
}

/// An identity.
pub(crate) fn identity(region: &str, tags: &Tags) -> Value {
    json!({ "location": region, "tags": tags })
}

/// An application security group.
pub(crate) fn application_group(region: &str, tags: &Tags) -> Value {
    json!({ "location": region, "tags": tags, "properties": {} })
}

/// A security group.
pub(crate) fn security_group(region: &str, tags: &Tags, rules: &[Value]) -> Value {
    json!({ "location": region, "tags": tags, "properties": { "securityRules": rules } })
}

/// A virtual network with one subnet.
pub(crate) fn network(region: &str, tags: &Tags) -> Value {
    json!({
        "location": region,
        "tags": tags,
        "properties": {
            "addressSpace": { "addressPrefixes": [NETWORK_PREFIX] },
            "subnets": [{ "name": SUBNET, "properties": { "addressPrefix": SUBNET_PREFIX } }],
        },
    })
}

/// What a machine's interface is attached to, by resource ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) subnet: String,
    pub(crate) security_group: String,
    /// Where members are told by it.
    pub(crate) application_group: Option<String>,
}

/// A machine with its interface, address and disk, all of which go with it; the identity that it is lent, by its resource
/// id, does not.
///
/// # Errors
/// There is no key to log in with, or the user data is longer than Azure takes.
pub(crate) fn machine(
    request: &MachineRequest,
    choice: &Choice,
    candidate: &Candidate,
    attachment: &Attachment,
    identity: Option<&str>,
) -> Result<Value, DriverError> {
    let action = || format!("create machine `{}`", request.name);
    let key = request.authorized_key.as_deref().ok_or_else(|| {
        DriverError::provider(action(), "Azure makes no machine without a public key that may log in")
    })?;
    let data = request.user_data.as_deref().unwrap_or_default();
    if data.len() > LONGEST_DATA {
        let reason = format!("its user data has {} bytes; Azure takes {LONGEST_DATA}", data.len());
        return Err(DriverError::provider(action(), reason));
    }
    let mut own = tags(&request.mark);
    own.insert(TAG_MACHINE.to_owned(), request.name.clone());
    let mut of_machine = own.clone();
    of_machine.insert(TAG_TYPE.to_owned(), candidate.machine_type.clone());
    of_machine.insert(TAG_DISK.to_owned(), choice.disk_gb.to_string());

    let mut addressing = json!({ "primary": true, "subnet": { "id": attachment.subnet } });
    if let Some(group) = &attachment.application_group {
        addressing["applicationSecurityGroups"] = json!([{ "id": group }]);
    }
    if !choice.is_private {
        addressing["publicIPAddressConfiguration"] = json!({
            "name": address_of(&request.name),
            "tags": own,
            "sku": { "name": "Standard" },
            "properties": { "deleteOption": "Delete", "publicIPAllocationMethod": "Static" },
        });
    }
    let mut os = json!({
        "computerName": request.hostname,
        "adminUsername": choice.user,
        "linuxConfiguration": {
            "disablePasswordAuthentication": true,
            "ssh": {
                "publicKeys": [{
                    "path": format!("/home/{}/.ssh/authorized_keys", choice.user),
                    "keyData": key.trim(),
                }],
            },
        },
    });
    if !data.is_empty() {
        os["customData"] = json!(STANDARD.encode(data));
    }
    let mut properties = json!({
        "hardwareProfile": { "vmSize": candidate.machine_type },
        "storageProfile": {
            "imageReference": choice.image,
            "osDisk": {
                "name": disk_of(&request.name),
                "createOption": "FromImage",
                "deleteOption": "Delete",
                "diskSizeGB": choice.disk_gb,
                "managedDisk": { "storageAccountType": "StandardSSD_LRS" },
            },
        },
        "osProfile": os,
        "networkProfile": {
            "networkApiVersion": INLINE_NETWORK,
            "networkInterfaceConfigurations": [{
                "name": interface_of(&request.name),
                "tags": own,
                "properties": {
                    "primary": true,
                    "deleteOption": "Delete",
                    "networkSecurityGroup": { "id": attachment.security_group },
                    "ipConfigurations": [{ "name": "address", "properties": addressing }],
                },
            }],
        },
        "diagnosticsProfile": { "bootDiagnostics": { "enabled": true } },
    });
    if choice.is_spot {
        properties["priority"] = json!("Spot");
        properties["evictionPolicy"] = json!("Delete");
        properties["billingProfile"] = json!({ "maxPrice": -1 });
    }
    let mut body = json!({ "location": choice.region, "tags": of_machine, "properties": properties });
    if let Some(identity) = identity {
        body["identity"] = json!({ "type": "UserAssigned", "userAssignedIdentities": { identity: {} } });
    }
    if let Some(zone) = &candidate.zone {
        body["zones"] = json!([zone]);
    }
    Ok(body)
}
