//! What the options ask for, read and checked before anything is asked of Azure.

use driver::cloud::{ARCH, Arch, DISK, IMAGE, NETWORK, PRIVATE, REGION, SIZE, SPOT, TYPE, USER, ZONE};
use driver::{DriverError, OptionSpec, Options};
use serde_json::{Value, json};

use crate::environment::Environment;
use crate::sizes;

/// The subscription.
pub(crate) const SUBSCRIPTION: &str = "subscription";
/// Whether managers delete the cluster's resource group when its time is up.
pub(crate) const SELF_DELETE: &str = "self-delete";
/// The region where none is named.
const DEFAULT_REGION: &str = "eastus2";
/// The user where none is named.
const DEFAULT_USER: &str = "azureuser";
/// The size of the disk where none is named: the smallest tier that holds the image.
const DEFAULT_DISK: &str = "32";
/// The smallest and the largest disk.
const DISKS: std::ops::RangeInclusive<u32> = 30..=4095;

/// The options that the driver takes.
pub const OPTIONS: &[OptionSpec] = &[
    option(
        SUBSCRIPTION,
        Some("AZURE_SUBSCRIPTION_ID"),
        "ID",
        None,
        "The subscription; the only one where there is one",
    ),
    option(REGION, None, "NAME", None, "The region; AZURE_DEFAULTS_LOCATION or eastus2 where none is named"),
    OptionSpec {
        is_repeated: true,
        ..option(ZONE, None, "NUMBER", None, "A zone of the region; machines take the zones in turn; may be repeated")
    },
    driver::cloud::SIZE_OPTION,
    OptionSpec {
        is_repeated: true,
        ..option(TYPE, None, "NAME", None, "A machine size as Azure names it, tried in order; may be repeated")
    },
    option(IMAGE, None, "PUBLISHER:OFFER:SKU:VERSION|ID", None, "The image; Ubuntu 24.04 LTS where none is named"),
    option(USER, None, "NAME", Some(DEFAULT_USER), "The user that is made on the machines and may use sudo"),
    option(ARCH, None, "x86_64|aarch64", None, "The architecture of the machines; x86_64 where none is named"),
    option(DISK, None, "GB", Some(DEFAULT_DISK), "The size of a machine's disk"),
    option(NETWORK, None, "SUBNET-ID", None, "A subnet that exists, by its resource id; without it one is made"),
    option(SPOT, None, "true|false", None, "Spot machines, which cost less and may be evicted"),
    option(PRIVATE, None, "true|false", None, "No public addresses; machines are reached by their private ones"),
    option(
        SELF_DELETE,
        Some("SWARMUP_SELF_DELETE"),
        "true|false",
        None,
        "Managers have a managed identity that may delete the resource group, and do when its time is up",
    ),
];

const fn option(
    name: &'static str,
    env: Option<&'static str>,
    value_name: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> OptionSpec {
    OptionSpec { name, env, value_name, default, is_repeated: false, help }
}

/// Names that Azure lets no administrator have.
const RESERVED_USERS: [&str; 32] = [
    "1",
    "123",
    "a",
    "actuser",
    "adm",
    "admin",
    "admin1",
    "admin2",
    "administrator",
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
    "test",
    "test1",
    "test2",
    "test3",
    "user",
    "user1",
    "user2",
    "user3",
    "user4",
    "user5",
];

/// What the options ask for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) region: String,
    pub(crate) zones: Vec<String>,
    /// In order of preference; never empty.
    pub(crate) types: Vec<String>,
    pub(crate) arch: Arch,
    /// As `imageReference` wants it.
    pub(crate) image: Value,
    pub(crate) user: String,
    pub(crate) disk_gb: u32,
    /// The resource id of a subnet that exists.
    pub(crate) subnet: Option<String>,
    pub(crate) is_spot: bool,
    pub(crate) is_private: bool,
    /// Managers are lent an identity that may delete the resource group.
    pub(crate) deletes_itself: bool,
}

impl Choice {
    /// Reads options: those of a request, and for what it does not say those that the driver was opened with.
    pub(crate) fn read(environment: &Environment, opened: &Options, asked: &Options) -> Result<Self, DriverError> {
        let mut all = opened.0.clone();
        all.extend(asked.0.clone());
        let options = Options(all);
        let size = options.one(SIZE).unwrap_or("small").parse()?;
        let named: Vec<String> = options.many(TYPE).into_iter().map(str::to_owned).collect();
        let arch = options.arch(sizes::arch_of)?;
        let types = if named.is_empty() {
            sizes::types(size, arch).iter().map(|name| (*name).to_owned()).collect()
        } else {
            named
        };
        let zones: Vec<String> = options.many(ZONE).into_iter().map(str::to_owned).collect();
        if let Some(zone) =
            zones.iter().find(|zone| zone.len() != 1 || !zone.chars().all(|digit| digit.is_ascii_digit()))
        {
            return Err(invalid(ZONE, format!("`{zone}` is no number of a zone, such as 1, 2 or 3")));
        }
        let region = options.one(REGION).map(str::to_owned).or_else(|| environment.region.clone());
        Ok(Self {
            region: region.unwrap_or_else(|| DEFAULT_REGION.to_owned()).to_lowercase().replace(' ', ""),
            zones,
            types,
            arch,
            image: image(options.one(IMAGE), arch)?,
            user: user(options.one(USER).unwrap_or(DEFAULT_USER))?,
            disk_gb: disk(options.one(DISK).unwrap_or(DEFAULT_DISK))?,
            subnet: options.one(NETWORK).map(subnet).transpose()?,
            is_spot: options.is_set(SPOT)?,
            is_private: options.is_set(PRIVATE)?,
            deletes_itself: options.is_set(SELF_DELETE)?,
        })
    }

    /// What to try for a machine, in order: the types in the zone that its number falls on, then those in the next.
    pub(crate) fn candidates(&self, number: u32) -> Vec<Candidate> {
        let in_zone = |zone: Option<&String>| {
            let zone = zone.cloned();
            self.types.iter().map(move |name| Candidate { machine_type: name.clone(), zone: zone.clone() })
        };
        if self.zones.is_empty() {
            return in_zone(None).collect();
        }
        let first = usize::try_from(number.saturating_sub(1)).unwrap_or_default() % self.zones.len();
        self.zones.iter().cycle().skip(first).take(self.zones.len()).flat_map(|zone| in_zone(Some(zone))).collect()
    }

    /// Where machines are tried, for messages.
    pub(crate) fn places(&self) -> String {
        if self.zones.is_empty() {
            self.region.clone()
        } else {
            format!("{} (zones {})", self.region, self.zones.join(", "))
        }
    }
}

/// A machine type in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) machine_type: String,
    pub(crate) zone: Option<String>,
}

/// The subscription that the options name.
pub(crate) fn subscription(options: &Options) -> Result<Option<String>, DriverError> {
    let Some(id) = options.one(SUBSCRIPTION) else { return Ok(None) };
    let is_id = id.len() == 36 && id.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-');
    if !is_id {
        return Err(invalid(SUBSCRIPTION, format!("`{id}` is no id, such as az account show prints")));
    }
    Ok(Some(id.to_lowercase()))
}

fn image(named: Option<&str>, arch: Arch) -> Result<Value, DriverError> {
    let Some(named) = named else {
        let sku = match arch {
            Arch::X86 => "server",
            Arch::Arm => "server-arm64",
        };
        return Ok(json!({ "publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": sku, "version": "latest" }));
    };
    let lower = named.to_lowercase();
    if lower.starts_with("/subscriptions/") {
        return Ok(json!({ "id": named }));
    }
    if lower.starts_with("/communitygalleries/") {
        return Ok(json!({ "communityGalleryImageId": named }));
    }
    if lower.starts_with("/sharedgalleries/") {
        return Ok(json!({ "sharedGalleryImageId": named }));
    }
    match named.split(':').collect::<Vec<_>>().as_slice() {
        [publisher, offer, sku, version] if [publisher, offer, sku, version].iter().all(|part| !part.is_empty()) => {
            Ok(json!({ "publisher": publisher, "offer": offer, "sku": sku, "version": version }))
        }
        _ => Err(invalid(IMAGE, format!("`{named}` is neither PUBLISHER:OFFER:SKU:VERSION nor a resource id"))),
    }
}

fn user(name: &str) -> Result<String, DriverError> {
    if RESERVED_USERS.contains(&name.to_lowercase().as_str()) {
        return Err(invalid(USER, format!("Azure lets no administrator be called `{name}`")));
    }
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter);
    if name.is_empty() || name.len() > 32 || !name.chars().all(is_name) || name.starts_with('-') {
        return Err(invalid(USER, format!("`{name}` is no name of a Linux user")));
    }
    Ok(name.to_owned())
}

fn disk(size: &str) -> Result<u32, DriverError> {
    let gb = size.parse().ok().filter(|gb| DISKS.contains(gb));
    gb.ok_or_else(|| invalid(DISK, format!("`{size}` is no number of GB from {} to {}", DISKS.start(), DISKS.end())))
}

fn subnet(id: &str) -> Result<String, DriverError> {
    let parts: Vec<_> = id.split('/').map(str::to_lowercase).collect();
    let words: Vec<_> = parts.iter().map(String::as_str).collect();
    match words.as_slice() {
        [
            "",
            "subscriptions",
            _,
            "resourcegroups",
            _,
            "providers",
            "microsoft.network",
            "virtualnetworks",
            _,
            "subnets",
            _,
        ] => Ok(id.to_owned()),
        _ => Err(invalid(NETWORK, format!("`{id}` is no resource id of a subnet (/subscriptions/…/subnets/NAME)"))),
    }
}

fn invalid(option: &str, reason: String) -> DriverError {
    DriverError::InvalidOption { option: option.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use driver::OptionValue;

    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<Choice, DriverError> {
        let value = |(name, value): &(&str, &str)| {
            let values = value.split(' ').map(str::to_owned).collect();
            ((*name).to_owned(), OptionValue::Many(values))
        };
        let options = Options(options.iter().map(value).collect());
        Choice::read(&Environment::default(), &Options::default(), &options)
    }

    #[test]
    fn without_options_machines_are_small_and_have_ubuntu() {
        let choice = read(&[]).unwrap();

        assert_eq!((choice.region.as_str(), choice.types[0].as_str()), ("eastus2", "Standard_B2als_v2"));
        assert_eq!(choice.image["sku"], "server");
        assert_eq!(choice.candidates(1).len(), choice.types.len());
    }

    #[test]
    fn the_architecture_is_the_types_own() {
        let choice = read(&[(TYPE, "Standard_D2ps_v5")]).unwrap();

        assert_eq!((choice.arch, &choice.image["sku"]), (Arch::Arm, &json!("server-arm64")));
        assert!(read(&[(TYPE, "Standard_D2ps_v5"), (ARCH, "x86_64")]).is_err());
        assert!(read(&[(TYPE, "Standard_D2ps_v5 Standard_B2s")]).is_err());
    }

    #[test]
    fn machines_take_the_zones_in_turn_and_try_every_type_in_one_before_the_next() {
        let choice = read(&[(ZONE, "1 2"), (TYPE, "Standard_B2s Standard_B2ms")]).unwrap();

        let tried: Vec<_> = choice
            .candidates(2)
            .into_iter()
            .map(|candidate| format!("{}@{}", candidate.machine_type, candidate.zone.unwrap_or_default()))
            .collect();

        assert_eq!(tried, ["Standard_B2s@2", "Standard_B2ms@2", "Standard_B2s@1", "Standard_B2ms@1"]);
    }

    #[test]
    fn a_request_overrides_what_the_driver_was_opened_with() {
        let with = |region: &str| Options([(REGION.to_owned(), OptionValue::One(region.to_owned()))].into());
        let environment = Environment { region: Some("westus".to_owned()), ..Environment::default() };
        let region = |opened, asked| Choice::read(&environment, &opened, &asked).unwrap().region;

        assert_eq!(region(Options::default(), Options::default()), "westus");
        assert_eq!(region(with("North Europe"), Options::default()), "northeurope");
        assert_eq!(region(with("uksouth"), with("eastus")), "eastus");
    }

    #[test]
    fn what_azure_would_refuse_is_refused_here() {
        for (option, value) in [
            (ARCH, "i386"),
            (SIZE, "huge"),
            (ZONE, "eastus2-1"),
            (IMAGE, "ubuntu"),
            (USER, "root"),
            (USER, "Me"),
            (DISK, "8"),
            (NETWORK, "my-net"),
            (SPOT, "maybe"),
            (SELF_DELETE, "perhaps"),
        ] {
            let error = read(&[(option, value)]).unwrap_err();
            assert!(matches!(&error, DriverError::InvalidOption { option: named, .. } if named == option), "{error}");
        }
    }
}
