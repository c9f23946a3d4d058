//! What of a virtual machine's request Azure refuses, whatever else exists.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::Refusal;
use crate::bodies::{ImageReference, InterfaceConfiguration, MachineBody, MachineProperties, NetworkProfile};

/// The sizes that exist: name, cores, and whether they are of ARM's architecture.
const SIZES: [(&str, u32, bool); 19] = [
    ("Standard_B2als_v2", 2, false),
    ("Standard_B2as_v2", 2, false),
    ("Standard_B2ls_v2", 2, false),
    ("Standard_B2s_v2", 2, false),
    ("Standard_B2s", 2, false),
    ("Standard_B2ms", 2, false),
    ("Standard_B4ms", 4, false),
    ("Standard_D2as_v4", 2, false),
    ("Standard_D2as_v5", 2, false),
    ("Standard_D2s_v5", 2, false),
    ("Standard_D2als_v6", 2, false),
    ("Standard_D2as_v6", 2, false),
    ("Standard_F2s_v2", 2, false),
    ("Standard_B2pts_v2", 2, true),
    ("Standard_B2pls_v2", 2, true),
    ("Standard_B2ps_v2", 2, true),
    ("Standard_D2pls_v5", 2, true),
    ("Standard_D2ps_v5", 2, true),
    ("Standard_D2ps_v6", 2, true),
];

/// The names that no administrator may have, as the schema lists them.
const DISALLOWED_USERS: [&str; 38] = [
    "administrator",
    "admin",
    "user",
    "user1",
    "test",
    "user2",
    "test1",
    "user3",
    "admin1",
    "1",
    "123",
    "a",
    "actuser",
    "adm",
    "admin2",
    "aspnet",
    "backup",
    "console",
    "david",
    "guest",
    "john",
    "owner",
    "root",
    "server",
    "sql",
    "support",
    "support_388945a0",
    "sys",
    "test2",
    "test3",
    "user4",
    "user5",
    "video",
    "audio",
    "daemon",
    "bin",
    "mail",
    "games",
];

/// The longest custom data.
const LONGEST_DATA: usize = 65_535;

/// The cores of a size.
pub(crate) fn cores(size: &str) -> Option<u32> {
    SIZES.iter().find(|(name, _, _)| *name == size).map(|(_, cores, _)| *cores)
}

/// Refuses what is wrong by itself.
pub(crate) fn machine(body: &MachineBody) -> Result<(), Refusal> {
    let properties = &body.properties;
    let size = &properties.hardware_profile.vm_size;
    let Some((_, _, is_arm)) = SIZES.iter().find(|(name, _, _)| name == size) else {
        return Err(Refusal::bad(format!("The value {size} provided for the VM size is not valid.")));
    };
    let image_is_arm = image(&properties.storage_profile.image_reference)?;
    if image_is_arm.is_some_and(|image| image != *is_arm) {
        let message =
            format!("Cannot create a VM of size '{size}' because it does not support the image's CPU architecture.");
        return Err(Refusal::bad(message));
    }
    let disk = &properties.storage_profile.os_disk;
    if disk.create_option != "FromImage" || disk.disk_size_gb.is_some_and(|size| size < 30) {
        return Err(Refusal::bad("osDisk: a disk is made from the image, and is no smaller than it (30 GB)."));
    }
    if disk.managed_disk.as_ref().is_some_and(|disk| {
        !matches!(disk.storage_account_type.as_str(), "Standard_LRS" | "StandardSSD_LRS" | "Premium_LRS")
    }) {
        return Err(Refusal::bad("osDisk.managedDisk.storageAccountType is not known."));
    }
    user(properties)?;
    if body.zones.iter().flatten().any(|zone| !matches!(zone.as_str(), "1" | "2" | "3")) {
        let message =
            "The zone(s) for the resource is not supported. The supported zones for the location are '1,2,3'.";
        return Err(Refusal::new(400, "InvalidAvailabilityZone", message));
    }
    let is_spot = properties.priority.as_deref() == Some("Spot");
    if !is_spot && (properties.eviction_policy.is_some() || properties.billing_profile.is_some()) {
        return Err(Refusal::bad("evictionPolicy and billingProfile are of Spot machines only."));
    }
    let is_bad_price = |price: f64| price <= 0.0 && price.to_bits() != (-1.0_f64).to_bits();
    if properties.billing_profile.as_ref().is_some_and(|billing| is_bad_price(billing.max_price)) {
        return Err(Refusal::bad("billingProfile.maxPrice is positive, or -1."));
    }
    Ok(())
}

fn user(properties: &MachineProperties) -> Result<(), Refusal> {
    let os = &properties.os_profile;
    let name = &os.admin_username;
    if DISALLOWED_USERS.contains(&name.to_lowercase().as_str()) || name.is_empty() || name.len() > 64 {
        return Err(Refusal::bad("The Admin Username specified is not allowed."));
    }
    if os.computer_name.is_empty() || os.computer_name.len() > 64 {
        return Err(Refusal::bad("Linux host name cannot be empty or exceed 64 characters in length."));
    }
    let linux = &os.linux_configuration;
    let is_login_possible = linux.disable_password_authentication && !linux.ssh.public_keys.is_empty();
    if !is_login_possible {
        return Err(Refusal::bad("Authentication using either SSH or by user name and password must be enabled."));
    }
    for key in &linux.ssh.public_keys {
        if key.path != format!("/home/{name}/.ssh/authorized_keys") {
            return Err(Refusal::bad(
                "Destination path for SSH public keys is currently limited to its default value.",
            ));
        }
        let mut words = key.key_data.split_whitespace();
        let is_key = matches!(words.next(), Some("ssh-rsa" | "ssh-ed25519"))
            && words.next().is_some_and(|data| STANDARD.decode(data).is_ok());
        if !is_key {
            return Err(Refusal::bad("linuxConfiguration.ssh.publicKeys.keyData is invalid."));
        }
    }
    match os.custom_data.as_ref().map(|data| STANDARD.decode(data)) {
        Some(Err(_)) => Err(Refusal::bad("Custom data in OSProfile must be in Base64 encoding.")),
        Some(Ok(data)) if data.len() > LONGEST_DATA => Err(Refusal::bad(
            "Custom data in OSProfile must be in Base64 encoding and with a maximum length of 87380 characters.",
        )),
        _ => Ok(()),
    }
}

/// Refuses an image that does not exist; whether it is one for ARM, where that is known.
fn image(image: &ImageReference) -> Result<Option<bool>, Refusal> {
    let named = (&image.publisher, &image.offer, &image.sku, &image.version);
    match (&image.id, named) {
        (Some(_), (None, None, None, None)) => Ok(None),
        (None, (Some(publisher), Some(offer), Some(sku), Some(_))) => {
            match (publisher.to_lowercase().as_str(), offer.as_str(), sku.as_str()) {
                ("canonical", "ubuntu-24_04-lts", "server" | "minimal")
                | ("debian", "debian-12" | "debian-13", "12-gen2" | "13-gen2") => Ok(Some(false)),
                ("canonical", "ubuntu-24_04-lts", "server-arm64" | "minimal-arm64") => Ok(Some(true)),
                _ => {
                    let message = format!("The platform image '{publisher}:{offer}:{sku}' is not available.");
                    Err(Refusal::new(404, "PlatformImageNotFound", message))
                }
            }
        }
        _ => Err(Refusal::bad("imageReference has an id, or publisher, offer, sku and version.")),
    }
}

/// The one interface of a machine; refuses what of it is wrong by itself.
pub(crate) fn interface(profile: &NetworkProfile) -> Result<&InterfaceConfiguration, Refusal> {
    if !matches!(profile.network_api_version.as_deref(), Some("2020-11-01" | "2022-11-01")) {
        return Err(Refusal::bad("networkApiVersion is required with networkInterfaceConfigurations."));
    }
    let [configuration] = profile.network_interface_configurations.as_slice() else {
        return Err(Refusal::bad("This fake makes machines with one interface."));
    };
    let [addressing] = configuration.properties.ip_configurations.as_slice() else {
        return Err(Refusal::bad("This fake makes interfaces with one address configuration."));
    };
    if configuration.properties.primary != Some(true) || addressing.properties.primary == Some(false) {
        return Err(Refusal::bad("One network interface must be marked as the primary."));
    }
    if let Some(address) = &addressing.properties.public_address {
        if address.sku.name != "Standard" {
            let message =
                "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region.";
            return Err(Refusal::new(400, "IPv4BasicSkuPublicIpCountLimitReached", message));
        }
        if address.properties.allocation.as_deref() != Some("Static") {
            let message = "Standard sku public IP addresses must have AllocationMethod set to Static.";
            return Err(Refusal::new(400, "PublicIPAddressesOfStandardSkuMustBeStatic", message));
        }
    }
    Ok(configuration)
}
