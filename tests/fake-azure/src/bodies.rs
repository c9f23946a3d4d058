//! The bodies that are understood, as the published schemas name their fields; a field that is not here is refused.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::answer::Refusal;

/// Tags of a resource.
pub(crate) type Tags = BTreeMap<String, String>;

/// Reads a body strictly.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal::new(
            400,
            "InvalidRequestContent",
            format!("The request content was invalid and could not be read: {error}"),
        )
    })
}

/// Of a resource group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupBody {
    pub(crate) location: Option<String>,
    #[serde(default)]
    pub(crate) tags: Tags,
}

/// Of a change of tags.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagsBody {
    pub(crate) tags: Tags,
}

/// Of a resource of any other type; `I` is what identities it may be lent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemBody<P, I = Never> {
    pub(crate) location: Option<String>,
    #[serde(default)]
    pub(crate) tags: Tags,
    pub(crate) zones: Option<Vec<String>>,
    pub(crate) identity: Option<I>,
    pub(crate) properties: P,
}

/// What no body can hold.
#[derive(Debug, Deserialize)]
pub(crate) enum Never {}

/// Of a virtual machine.
pub(crate) type MachineBody = ItemBody<MachineProperties, LentBody>;

/// The identities that a machine is lent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct LentBody {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    #[expect(clippy::zero_sized_map_values, reason = "an empty object is what the schema has there")]
    pub(crate) user_assigned_identities: BTreeMap<String, Nothing>,
}

/// Of an identity, which has no properties.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityBody {
    pub(crate) location: Option<String>,
    #[serde(default)]
    pub(crate) tags: Tags,
}

/// Of the assignment of a role.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignmentBody {
    pub(crate) properties: AssignmentProperties,
}

/// Which role is assigned, and to whom.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AssignmentProperties {
    pub(crate) role_definition_id: String,
    pub(crate) principal_id: String,
    pub(crate) principal_type: Option<String>,
}

/// A reference to another resource.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reference {
    pub(crate) id: String,
}

/// Nothing that needs be said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Of a security group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SecurityGroupProperties {
    #[serde(default)]
    pub(crate) security_rules: Vec<Named<RuleProperties>>,
}

/// Something with a name of its own inside another resource.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named<P> {
    pub(crate) name: String,
    pub(crate) properties: P,
}

/// A rule of a security group.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RuleProperties {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) protocol: String,
    pub(crate) access: String,
    pub(crate) direction: String,
    pub(crate) priority: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_address_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_application_security_groups: Option<Vec<Reference>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_port_range: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) destination_address_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) destination_application_security_groups: Option<Vec<Reference>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) destination_port_range: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) destination_port_ranges: Option<Vec<String>>,
}

/// Of a virtual network.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NetworkProperties {
    pub(crate) address_space: AddressSpace,
    #[serde(default)]
    pub(crate) subnets: Vec<Named<SubnetProperties>>,
}

/// The prefixes of a virtual network.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AddressSpace {
    pub(crate) address_prefixes: Vec<String>,
}

/// Of a subnet.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SubnetProperties {
    pub(crate) address_prefix: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) network_security_group: Option<Reference>,
}

/// Of a virtual machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct MachineProperties {
    pub(crate) hardware_profile: HardwareProfile,
    pub(crate) storage_profile: StorageProfile,
    pub(crate) os_profile: OsProfile,
    pub(crate) network_profile: NetworkProfile,
    pub(crate) priority: Option<String>,
    pub(crate) eviction_policy: Option<String>,
    pub(crate) billing_profile: Option<BillingProfile>,
    pub(crate) diagnostics_profile: Option<DiagnosticsProfile>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct HardwareProfile {
    pub(crate) vm_size: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct StorageProfile {
    pub(crate) image_reference: ImageReference,
    pub(crate) os_disk: OsDisk,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ImageReference {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) publisher: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sku: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OsDisk {
    pub(crate) name: Option<String>,
    pub(crate) create_option: String,
    pub(crate) delete_option: Option<String>,
    #[serde(rename = "diskSizeGB")]
    pub(crate) disk_size_gb: Option<u32>,
    pub(crate) managed_disk: Option<ManagedDisk>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ManagedDisk {
    pub(crate) storage_account_type: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OsProfile {
    pub(crate) computer_name: String,
    pub(crate) admin_username: String,
    pub(crate) custom_data: Option<String>,
    pub(crate) linux_configuration: LinuxConfiguration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct LinuxConfiguration {
    pub(crate) disable_password_authentication: bool,
    pub(crate) ssh: SshConfiguration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SshConfiguration {
    pub(crate) public_keys: Vec<SshPublicKey>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SshPublicKey {
    pub(crate) path: String,
    pub(crate) key_data: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NetworkProfile {
    pub(crate) network_api_version: Option<String>,
    pub(crate) network_interface_configurations: Vec<InterfaceConfiguration>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InterfaceConfiguration {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tags: Tags,
    pub(crate) properties: InterfaceProperties,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct InterfaceProperties {
    pub(crate) primary: Option<bool>,
    pub(crate) delete_option: Option<String>,
    pub(crate) network_security_group: Option<Reference>,
    pub(crate) ip_configurations: Vec<Named<AddressingProperties>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AddressingProperties {
    pub(crate) primary: Option<bool>,
    pub(crate) subnet: Reference,
    pub(crate) application_security_groups: Option<Vec<Reference>>,
    #[serde(rename = "publicIPAddressConfiguration")]
    pub(crate) public_address: Option<AddressConfiguration>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressConfiguration {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tags: Tags,
    pub(crate) sku: AddressSku,
    pub(crate) properties: AddressProperties,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressSku {
    pub(crate) name: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AddressProperties {
    pub(crate) delete_option: Option<String>,
    #[serde(rename = "publicIPAllocationMethod")]
    pub(crate) allocation: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct BillingProfile {
    pub(crate) max_price: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct DiagnosticsProfile {
    pub(crate) boot_diagnostics: BootDiagnostics,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BootDiagnostics {
    pub(crate) enabled: bool,
}
