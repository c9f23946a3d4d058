//! What the drivers of clouds have in common: the names of their options, so that one flag means the same at each, and
//! the sizes and architectures that every provider has a machine for.

use std::str::FromStr;

use crate::{DriverError, OptionSpec, Options};

/// Where the machines stand.
pub const REGION: &str = "region";
/// The zones of the region, in turn.
pub const ZONE: &str = "zone";
/// How large a machine is: [`Size`].
pub const SIZE: &str = "size";
/// The provider's own machine types, in order of preference.
pub const TYPE: &str = "machine-type";
/// The image that machines start from.
pub const IMAGE: &str = "image";
/// The user of the image that may log in and use sudo.
pub const USER: &str = "ssh-user";
/// The architecture of the machines: [`Arch`].
pub const ARCH: &str = "arch";
/// The size of a machine's disk.
pub const DISK: &str = "disk-gb";
/// A network that exists already.
pub const NETWORK: &str = "network";
/// Whether machines are spot machines.
pub const SPOT: &str = "spot";
/// Whether the operator reaches machines by their private addresses, and they get no public ones.
pub const PRIVATE: &str = "private-address";

/// What the value of an option is called that is on or off: on by its name alone, `--spot=false` is off.
pub const SWITCH: &str = "true|false";

/// The declaration of the size, the same at every provider.
pub const SIZE_OPTION: OptionSpec = OptionSpec {
    name: SIZE,
    env: Some("SWARMUP_SIZE"),
    value_name: "small|medium|large",
    default: Some("small"),
    is_repeated: false,
    help: "How large the machines are: 2 cores with 2, 4 or 8 GB",
};

/// How large a machine is, where its type is not named: two cores, and 2, 4 or 8 GB of memory or the next more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// 2 GB.
    Small,
    /// 4 GB.
    Medium,
    /// 8 GB.
    Large,
}

impl FromStr for Size {
    type Err = DriverError;

    fn from_str(text: &str) -> Result<Self, DriverError> {
        match text {
            "small" => Ok(Self::Small),
            "medium" => Ok(Self::Medium),
            "large" => Ok(Self::Large),
            other => Err(DriverError::InvalidOption {
                option: SIZE.to_owned(),
                reason: format!("`{other}` is none of small, medium, large"),
            }),
        }
    }
}

/// The architecture of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// `x86_64`
    X86,
    /// `aarch64`
    Arm,
}

impl Arch {
    /// Both.
    pub const ALL: [Self; 2] = [Self::X86, Self::Arm];

    /// As `uname -m` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "aarch64",
        }
    }
}

impl FromStr for Arch {
    type Err = DriverError;

    fn from_str(text: &str) -> Result<Self, DriverError> {
        Self::ALL.into_iter().find(|arch| arch.name() == text).ok_or_else(|| DriverError::InvalidOption {
            option: ARCH.to_owned(),
            reason: format!("`{text}` is neither x86_64 nor aarch64"),
        })
    }
}

impl Options {
    /// The architecture of all machines: the one that is asked for, else that of the machine types that are named, else
    /// `x86_64`. `of_type` tells it of a type.
    ///
    /// # Errors
    /// There is no such architecture, or a type that is named has another one.
    pub fn arch(&self, of_type: impl Fn(&str) -> Arch) -> Result<Arch, DriverError> {
        let asked = self.one(ARCH).map(str::parse).transpose()?;
        let types = self.many(TYPE);
        let arch = asked.or_else(|| types.first().map(|name| of_type(name))).unwrap_or(Arch::X86);
        match types.iter().find(|name| of_type(name) != arch) {
            None => Ok(arch),
            Some(other) => Err(DriverError::InvalidOption {
                option: TYPE.to_owned(),
                reason: format!("`{other}` is no machine type of architecture {}", arch.name()),
            }),
        }
    }

    /// An option that is `true`, `false` or absent, which means `false`.
    ///
    /// # Errors
    /// It is something else.
    pub fn is_set(&self, name: &str) -> Result<bool, DriverError> {
        match self.one(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(DriverError::InvalidOption {
                option: name.to_owned(),
                reason: format!("`{other}` is neither true nor false"),
            }),
        }
    }
}

/// None of the machines that were asked for can be had anywhere; `tried` names each type with its zone.
pub fn no_capacity(provider: &str, machines: &str, tried: &str) -> DriverError {
    DriverError::Unmet {
        what: format!("{provider} has no capacity for {machines}: tried {tried}"),
        hint: "name other zones with --zone, other types with --machine-type, or try again later".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OptionValue;

    #[test]
    fn a_size_is_one_of_three() {
        assert_eq!("medium".parse::<Size>().unwrap(), Size::Medium);
        assert!("huge".parse::<Size>().unwrap_err().to_string().contains("small, medium, large"));
    }

    #[test]
    fn machines_are_of_one_architecture() {
        let of_type = |name: &str| if name.starts_with("arm") { Arch::Arm } else { Arch::X86 };
        let many = |value: &str| OptionValue::Many(value.split(',').map(ToOwned::to_owned).collect());
        let arch = |options: &[(&str, &str)]| {
            Options(options.iter().map(|(name, value)| ((*name).to_owned(), many(value))).collect()).arch(of_type)
        };
        let refusal = |options: &[(&str, &str)]| arch(options).unwrap_err().to_string();

        assert_eq!(arch(&[]).unwrap(), Arch::X86);
        assert_eq!(arch(&[(ARCH, "aarch64")]).unwrap(), Arch::Arm);
        assert_eq!(arch(&[(TYPE, "arm-1,arm-2")]).unwrap(), Arch::Arm);
        assert!(refusal(&[(ARCH, "sparc")]).contains("`sparc` is neither x86_64 nor aarch64"));
        assert!(refusal(&[(TYPE, "arm-1,x-1")]).contains("`x-1` is no machine type of architecture aarch64"));
        assert!(refusal(&[(ARCH, "x86_64"), (TYPE, "arm-1")]).contains("`arm-1` is no machine type of architecture"));
    }

    #[test]
    fn a_switch_is_on_off_or_wrong() {
        let options = |value: &str| Options([(SPOT.to_owned(), OptionValue::One(value.to_owned()))].into());

        assert!(options("true").is_set(SPOT).unwrap());
        assert!(!options("false").is_set(SPOT).unwrap() && !Options::default().is_set(SPOT).unwrap());
        assert!(options("yes").is_set(SPOT).is_err());
    }
}
