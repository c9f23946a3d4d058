//! The driver's options, read and checked.

use driver::cloud::{self, Arch, Size};
use driver::{DriverError, Options};

use crate::environment::Environment;
use crate::sizes::{self, arch_of, types};

/// The option that names the project.
pub(crate) const PROJECT: &str = "project";
/// The option that names the account by which managers delete machines.
pub(crate) const SERVICE_ACCOUNT: &str = "service-account";
/// The region where neither option nor environment names one.
const REGION: &str = "us-central1";
/// The size of a disk where no option says it.
const DISK_GB: u32 = 20;
/// The smallest disk that the images fit on.
const SMALLEST_DISK_GB: u32 = 10;
/// The largest disk of one kind that Compute Engine makes.
const LARGEST_DISK_GB: u32 = 65_536;
/// The user that cloud-init makes in Ubuntu's images.
const USER: &str = "ubuntu";

/// What was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The options as they were given.
    given: Options,
    pub(crate) project: Option<String>,
    pub(crate) region: String,
    /// The zones that machines take in turn; none where the region's are tried one after the other.
    pub(crate) zones: Vec<String>,
    /// The machine types, the preferred one first.
    pub(crate) types: Vec<String>,
    pub(crate) image: String,
    pub(crate) user: String,
    pub(crate) disk_gb: u32,
    pub(crate) network: Option<String>,
    pub(crate) subnetwork: Option<String>,
    pub(crate) is_spot: bool,
    pub(crate) is_private: bool,
    /// The service account of managers: an e-mail address, or `default`.
    pub(crate) service_account: Option<String>,
}

impl Settings {
    pub(crate) fn read(given: &Options, environment: &Environment) -> Result<Self, DriverError> {
        let zones: Vec<String> = match (given.many(cloud::ZONE), given.one(cloud::REGION)) {
            (zones, _) if !zones.is_empty() => zones.into_iter().map(ToOwned::to_owned).collect(),
            (_, Some(_)) => Vec::new(),
            (_, None) => environment.zone.iter().cloned().collect(),
        };
        for zone in &zones {
            check_name(cloud::ZONE, zone)?;
        }
        let region = region(given, environment, &zones)?;
        let size: Size = given.one(cloud::SIZE).or(cloud::SIZE_OPTION.default).unwrap_or_default().parse()?;
        let named: Vec<_> = given.many(cloud::TYPE).into_iter().map(ToOwned::to_owned).collect();
        let arch = given.arch(arch_of)?;
        let types =
            if named.is_empty() { types(size, arch).iter().map(|name| (*name).to_owned()).collect() } else { named };
        let (network, subnetwork) = match given.one(cloud::NETWORK).map(|text| text.split_once('/').ok_or(text)) {
            None => (None, None),
            Some(Err(network)) => (Some(network.to_owned()), None),
            Some(Ok((network, subnetwork))) => (Some(network.to_owned()), Some(subnetwork.to_owned())),
        };
        for name in network.iter().chain(&subnetwork) {
            check_name(cloud::NETWORK, name)?;
        }
        Ok(Self {
            given: given.clone(),
            project: given.one(PROJECT).map(ToOwned::to_owned).or_else(|| environment.project.clone()),
            region,
            zones,
            types,
            image: image(given.one(cloud::IMAGE), arch)?,
            user: given.one(cloud::USER).unwrap_or(USER).to_owned(),
            disk_gb: disk(given.one(cloud::DISK))?,
            network,
            subnetwork,
            is_spot: given.is_set(cloud::SPOT)?,
            is_private: given.is_set(cloud::PRIVATE)?,
            service_account: given.one(SERVICE_ACCOUNT).map(service_account).transpose()?,
        })
    }

    /// The settings of a machine that brings options of its own.
    pub(crate) fn with(&self, options: &Options, environment: &Environment) -> Result<Self, DriverError> {
        let mut all = self.given.clone();
        all.0.extend(options.0.clone());
        if all == self.given { Ok(self.clone()) } else { Self::read(&all, environment) }
    }
}

fn region(given: &Options, environment: &Environment, zones: &[String]) -> Result<String, DriverError> {
    let of_zone = zones.first().and_then(|zone| zone.rsplit_once('-')).map(|(region, _)| region.to_owned());
    let named = given.one(cloud::REGION).map(ToOwned::to_owned);
    let region = named.or(of_zone).or_else(|| environment.region.clone()).unwrap_or_else(|| REGION.to_owned());
    check_name(cloud::REGION, &region)?;
    let elsewhere = zones.iter().find(|zone| zone.rsplit_once('-').is_none_or(|(known, _)| known != region));
    match elsewhere {
        None => Ok(region),
        Some(zone) => Err(invalid(cloud::ZONE, format!("`{zone}` is no zone of region `{region}`"))),
    }
}

fn image(given: Option<&str>, arch: Arch) -> Result<String, DriverError> {
    let Some(text) = given else { return Ok(sizes::image(arch).to_owned()) };
    let text = text.trim_start_matches("https://www.googleapis.com/compute/v1/");
    match text.split('/').collect::<Vec<_>>()[..] {
        [project, family] => Ok(format!("projects/{project}/global/images/family/{family}")),
        ["projects", _, "global", "images", _] | ["projects", _, "global", "images", "family", _] => {
            Ok(text.to_owned())
        }
        _ => Err(invalid(cloud::IMAGE, format!("`{text}` is neither PROJECT/FAMILY nor projects/…/global/images/…"))),
    }
}

fn service_account(text: &str) -> Result<String, DriverError> {
    let is_part = |part: &str| {
        let is_inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter);
        !part.is_empty() && part.chars().all(is_inner)
    };
    let is_address = text.split_once('@').is_some_and(|(name, domain)| is_part(name) && is_part(domain));
    if is_address || text == "default" {
        return Ok(text.to_owned());
    }
    Err(invalid(SERVICE_ACCOUNT, format!("`{text}` is neither the e-mail address of a service account nor `default`")))
}

fn disk(given: Option<&str>) -> Result<u32, DriverError> {
    let Some(text) = given else { return Ok(DISK_GB) };
    let size = text.parse::<u32>().ok().filter(|size| (SMALLEST_DISK_GB..=LARGEST_DISK_GB).contains(size));
    size.ok_or_else(|| {
        invalid(cloud::DISK, format!("`{text}` is not a size from {SMALLEST_DISK_GB} to {LARGEST_DISK_GB}"))
    })
}

fn check_name(option: &str, name: &str) -> Result<(), DriverError> {
    let is_inner = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    if !name.is_empty() && name.chars().all(is_inner) {
        return Ok(());
    }
    Err(invalid(option, format!("`{name}` is not a name that Compute Engine takes")))
}

pub(crate) fn invalid(option: &str, reason: String) -> DriverError {
    DriverError::InvalidOption { option: option.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use driver::OptionValue;

    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Settings, DriverError> {
        let one = |(name, value): &(&str, &str)| ((*name).to_owned(), OptionValue::One((*value).to_owned()));
        Settings::read(&Options(given.iter().map(one).collect()), &Environment::default())
    }

    #[test]
    fn a_zone_names_its_region() {
        let settings = read(&[("zone", "europe-west1-b")]).unwrap();

        assert_eq!(
            (settings.region.as_str(), settings.zones.as_slice()),
            ("europe-west1", ["europe-west1-b".to_owned()].as_slice())
        );
        assert_eq!(read(&[]).unwrap().region, REGION);
    }

    #[test]
    fn gcloud_s_own_variables_count_where_no_option_does() {
        let environment = Environment {
            region: Some("us-east1".to_owned()),
            zone: Some("us-east1-c".to_owned()),
            project: Some("lab".to_owned()),
            ..Environment::default()
        };

        let settings = Settings::read(&Options::default(), &environment).unwrap();

        assert_eq!(settings.zones, ["us-east1-c"]);
        assert_eq!(settings.project.as_deref(), Some("lab"));
    }

    #[test]
    fn a_type_names_its_architecture_and_an_image_its_project() {
        let settings = read(&[("machine-type", "c4a-standard-2"), ("disk-gb", "30")]).unwrap();

        assert_eq!((settings.image.as_str(), settings.disk_gb), (sizes::image(Arch::Arm), 30));
        let image = read(&[("image", "debian-cloud/debian-13")]).unwrap().image;
        assert_eq!(image, "projects/debian-cloud/global/images/family/debian-13");
    }

    #[test]
    fn what_cannot_be_is_refused_by_the_option_s_name() {
        for (option, value) in [
            ("zone", "Nowhere!"),
            ("size", "huge"),
            ("arch", "riscv64"),
            ("disk-gb", "5"),
            ("image", "debian"),
            ("network", "a/b/c"),
            ("spot", "perhaps"),
            ("service-account", "swarmup"),
        ] {
            let refused = read(&[(option, value)]).unwrap_err();
            assert!(
                matches!(&refused, DriverError::InvalidOption { option: named, .. } if named == option),
                "{refused}"
            );
        }
        assert!(read(&[("zone", "us-east1-b"), ("region", "us-west1")]).is_err());
        assert!(read(&[("arch", "aarch64"), ("machine-type", "e2-small")]).is_err());
    }
}
