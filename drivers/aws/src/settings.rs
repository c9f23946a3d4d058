//! What the options ask for, checked.

use driver::cloud::{Arch, DISK, IMAGE, NETWORK, PRIVATE, REGION, SIZE, SPOT, Size, TYPE, USER, ZONE};
use driver::{DriverError, Options};

use crate::size;

/// The user of Ubuntu's images.
const UBUNTU_USER: &str = "ubuntu";
/// Gigabytes of disk where none are asked for.
const DISK_GB: u32 = 20;
/// The disks that gp3 has; Ubuntu's images need 8.
const DISKS: std::ops::RangeInclusive<u32> = 8..=16_384;

/// What the options ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The region; absent: the one that the provider's own chain finds.
    pub(crate) region: Option<String>,
    /// The zones that machines go round; none: one that the driver chooses.
    pub(crate) zones: Vec<String>,
    /// Subnets that exist; none: the region's default ones, else one of our own.
    pub(crate) subnets: Vec<String>,
    /// The instance types, in order of preference; there is at least one.
    pub(crate) types: Vec<String>,
    pub(crate) arch: Arch,
    /// The image; absent: the newest Ubuntu.
    pub(crate) image: Option<String>,
    pub(crate) user: String,
    pub(crate) disk_gb: u32,
    pub(crate) is_spot: bool,
    /// Whether machines have private addresses only.
    pub(crate) is_private: bool,
}

impl Settings {
    pub(crate) fn read(options: &Options) -> Result<Self, DriverError> {
        let named: Vec<_> = texts(options, TYPE)?;
        let arch = options.arch(size::arch_of)?;
        let size: Size = options.one(SIZE).map_or(Ok(Size::Small), str::parse)?;
        let of_size = size::types(size, arch).iter().map(|name| (*name).to_owned());
        let image = options.one(IMAGE).map(|text| with_prefix(IMAGE, text, "ami-")).transpose()?;
        let subnets = texts(options, NETWORK)?;
        Ok(Self {
            region: options.one(REGION).map(|text| filled(REGION, text)).transpose()?,
            zones: texts(options, ZONE)?,
            subnets: subnets.iter().map(|text| with_prefix(NETWORK, text, "subnet-")).collect::<Result<_, _>>()?,
            types: if named.is_empty() { of_size.collect() } else { named },
            arch,
            image,
            user: options.one(USER).map_or_else(|| Ok(UBUNTU_USER.to_owned()), |text| filled(USER, text))?,
            disk_gb: disk(options.one(DISK))?,
            is_spot: options.is_set(SPOT)?,
            is_private: options.is_set(PRIVATE)?,
        })
    }
}

fn invalid(option: &str, reason: impl Into<String>) -> DriverError {
    DriverError::InvalidOption { option: option.to_owned(), reason: reason.into() }
}

fn filled(option: &str, text: &str) -> Result<String, DriverError> {
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err(invalid(option, format!("`{text}` is no name")));
    }
    Ok(text.to_owned())
}

/// The values of an option that may be repeated, none twice.
fn texts(options: &Options, option: &str) -> Result<Vec<String>, DriverError> {
    let mut texts: Vec<String> = Vec::new();
    for text in options.many(option) {
        let text = filled(option, text)?;
        if texts.contains(&text) {
            return Err(invalid(option, format!("`{text}` is named twice")));
        }
        texts.push(text);
    }
    Ok(texts)
}

fn with_prefix(option: &str, text: &str, prefix: &str) -> Result<String, DriverError> {
    if text.strip_prefix(prefix).is_none_or(str::is_empty) {
        return Err(invalid(option, format!("`{text}` is no id: it does not begin with `{prefix}`")));
    }
    Ok(text.to_owned())
}

fn disk(text: Option<&str>) -> Result<u32, DriverError> {
    let Some(text) = text else { return Ok(DISK_GB) };
    text.parse()
        .ok()
        .filter(|size| DISKS.contains(size))
        .ok_or_else(|| invalid(DISK, format!("`{text}` is no number from {} to {}", DISKS.start(), DISKS.end())))
}

#[cfg(test)]
mod tests {
    use driver::OptionValue;
    use driver::cloud::ARCH;

    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<Settings, DriverError> {
        let many = |value: &str| OptionValue::Many(value.split(',').map(ToOwned::to_owned).collect());
        Settings::read(&Options(options.iter().map(|(name, value)| ((*name).to_owned(), many(value))).collect()))
    }

    #[test]
    fn nothing_asked_for_means_small_machines_of_the_usual_kind() {
        let settings = read(&[]).unwrap();

        assert_eq!((settings.types[0].as_str(), settings.arch), ("t3.small", Arch::X86));
        assert_eq!((settings.user.as_str(), settings.disk_gb), ("ubuntu", 20));
        assert!(!settings.is_spot && !settings.is_private && settings.image.is_none());
    }

    #[test]
    fn the_architecture_follows_the_types() {
        assert_eq!(read(&[(TYPE, "t4g.small,m7g.large")]).unwrap().arch, Arch::Arm);
        assert_eq!(read(&[(ARCH, "aarch64"), (SIZE, "large")]).unwrap().types[0], "t4g.large");
        assert!(read(&[(TYPE, "t4g.small,t3.small")]).is_err());
        assert!(read(&[(TYPE, "t4g.small"), (ARCH, "x86_64")]).is_err());
    }

    #[test]
    fn what_cannot_be_understood_is_refused_by_name() {
        for (name, value) in [
            (REGION, ""),
            (ZONE, "a,a"),
            (SIZE, "huge"),
            (ARCH, "sparc"),
            (IMAGE, "ubuntu"),
            (USER, "a b"),
            (DISK, "4"),
            (DISK, "much"),
            (NETWORK, "vpc-1"),
            (SPOT, "yes"),
            (PRIVATE, "1"),
        ] {
            let refused = read(&[(name, value)]);

            let Err(DriverError::InvalidOption { option, .. }) = refused else { panic!("{name}={value}: {refused:?}") };
            assert_eq!(option, name);
        }
    }
}
