//! What Azure answers, as far as the driver looks at it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use crate::documents::Tags;

/// A reference to another resource.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Reference {
    pub(crate) id: String,
}

/// How far a resource is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Provisioned {
    pub(crate) provisioning_state: String,
}

/// A resource group.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GroupAnswer {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tags: Tags,
    #[serde(default)]
    pub(crate) properties: Provisioned,
}

impl GroupAnswer {
    pub(crate) fn is_vanishing(&self) -> bool {
        self.properties.provisioning_state == "Deleting"
    }
}

/// A resource in a list of all.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResourceAnswer {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) full_type: String,
    #[serde(default)]
    pub(crate) tags: Tags,
    #[serde(default)]
    pub(crate) provisioning_state: Option<String>,
    #[serde(default)]
    pub(crate) managed_by: Option<String>,
}

/// A machine.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct MachineAnswer {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tags: Tags,
    #[serde(default)]
    pub(crate) zones: Vec<String>,
    pub(crate) properties: MachineProperties,
}

/// Of a machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MachineProperties {
    #[serde(default)]
    pub(crate) provisioning_state: String,
    pub(crate) hardware_profile: HardwareProfile,
    #[serde(default)]
    pub(crate) os_profile: Option<OsProfile>,
}

/// The size of a machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HardwareProfile {
    pub(crate) vm_size: String,
}

/// Who may log in to a machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OsProfile {
    pub(crate) admin_username: String,
}

/// The state of a machine in detail.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct InstanceView {
    pub(crate) statuses: Vec<ViewStatus>,
}

/// One line of it, such as `ProvisioningState/failed/AllocationFailed`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ViewStatus {
    pub(crate) code: String,
}

impl InstanceView {
    /// Why the machine's provisioning failed.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.statuses.iter().find_map(|status| status.code.strip_prefix("ProvisioningState/failed/"))
    }
}

/// A network interface.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct InterfaceAnswer {
    pub(crate) properties: InterfaceProperties,
}

/// Of a network interface.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InterfaceProperties {
    #[serde(default)]
    pub(crate) virtual_machine: Option<Reference>,
    #[serde(default)]
    pub(crate) ip_configurations: Vec<AddressingAnswer>,
}

/// An address configuration of an interface.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AddressingAnswer {
    pub(crate) properties: AddressingProperties,
}

/// Of an address configuration.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AddressingProperties {
    #[serde(rename = "privateIPAddress", default)]
    pub(crate) private: Option<IpAddr>,
    #[serde(rename = "publicIPAddress", default)]
    pub(crate) public: Option<Reference>,
}

/// A public address.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AddressAnswer {
    pub(crate) id: String,
    pub(crate) properties: AddressProperties,
}

/// Of a public address.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddressProperties {
    #[serde(default)]
    pub(crate) ip_address: Option<IpAddr>,
}

/// A subnet.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SubnetAnswer {
    pub(crate) properties: SubnetProperties,
}

/// Of a subnet.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubnetProperties {
    #[serde(default)]
    pub(crate) address_prefix: Option<String>,
    #[serde(default)]
    pub(crate) address_prefixes: Vec<String>,
}

/// A subscription.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionAnswer {
    pub(crate) subscription_id: String,
    #[serde(default)]
    pub(crate) display_name: String,
    #[serde(default)]
    pub(crate) state: String,
}

/// A quota with what is used of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageAnswer {
    pub(crate) name: UsageName,
    pub(crate) current_value: f64,
    pub(crate) limit: f64,
}

/// The name of a quota.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageName {
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) localized_value: String,
}

/// What one is permitted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PermissionAnswer {
    pub(crate) actions: Vec<String>,
    pub(crate) not_actions: Vec<String>,
}

/// Where a machine's console can be read.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BootDiagnostics {
    pub(crate) serial_console_log_blob_uri: Option<String>,
}

/// Machines by name, lower-case.
pub(crate) type MachinesByName = BTreeMap<String, MachineAnswer>;
