//! THE list of drivers: the one place where a provider is registered.
//!
//! Adding a provider is one crate, its lines in the manifest, and one entry here. Flags, file keys, environment
//! variables, help and validation of its options come from the options that the driver declares.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driver::{Driver, DriverError, OptionSpec, Options};
use reach::Dialer;

use crate::engine::{Engine, Memory, Swarmd};
use crate::home::Home;

/// The provider of clusters that name none.
pub const DEFAULT: &str = "local";

/// Makes a driver from a cluster's options; what the driver must find again it keeps in the folder given.
type Open = fn(&Options, &Path, &Dialer) -> Result<Arc<dyn Driver>, DriverError>;

/// A provider of machines.
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: &'static str,
    /// One line for help.
    pub about: &'static str,
    /// The options that its driver declares.
    pub options: &'static [OptionSpec],
    /// Makes the driver.
    open: Open,
    /// Whether its machines exist in memory only, so that nothing can run on them.
    is_memory: bool,
    /// Whether it makes machines in somebody's account, where they cost money and others may have some too.
    is_cloud: bool,
}

/// The list.
pub static PROVIDERS: &[Provider] = &[
    Provider {
        name: local::NAME,
        about: local::ABOUT,
        options: local::OPTIONS,
        open: |options, folder, _| local::open(options, folder),
        is_memory: false,
        is_cloud: false,
    },
    Provider {
        name: generic::NAME,
        about: generic::ABOUT,
        options: generic::OPTIONS,
        open: generic::open,
        is_memory: false,
        is_cloud: false,
    },
    Provider {
        name: fake::NAME,
        about: fake::ABOUT,
        options: fake::OPTIONS,
        open: |options, folder, _| fake::open(options, folder),
        is_memory: true,
        is_cloud: false,
    },
    #[cfg(feature = "aws")]
    Provider {
        name: aws::NAME,
        about: aws::ABOUT,
        options: aws::OPTIONS,
        open: |options, folder, _| aws::open(options, folder),
        is_memory: false,
        is_cloud: true,
    },
    #[cfg(feature = "azure")]
    Provider {
        name: azure::NAME,
        about: azure::ABOUT,
        options: azure::OPTIONS,
        open: |options, folder, _| azure::open(options, folder),
        is_memory: false,
        is_cloud: true,
    },
    #[cfg(feature = "gcp")]
    Provider {
        name: gcp::NAME,
        about: gcp::ABOUT,
        options: gcp::OPTIONS,
        open: |options, folder, _| gcp::open(options, folder),
        is_memory: false,
        is_cloud: true,
    },
];

/// No driver has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no provider `{name}`")]
pub struct UnknownProvider {
    /// What was given.
    pub name: String,
}

impl UnknownProvider {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        format!("the providers are: {}", names().collect::<Vec<_>>().join(", "))
    }
}

impl Provider {
    /// The option of that name.
    pub fn option(&self, name: &str) -> Option<&'static OptionSpec> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The driver, with a cluster's options and its own folder in this home; where it opens sessions itself, they are
    /// the dialer's.
    pub fn driver(&self, options: &Options, home: &Home, dialer: &Dialer) -> Result<Arc<dyn Driver>, DriverError> {
        (self.open)(options, &home.driver_folder(self.name), dialer)
    }

    /// What is installed on its machines, with an agent of the user's own where one is given.
    pub fn engine(&self, agent: Option<PathBuf>, home: &Home) -> Arc<dyn Engine> {
        if self.is_memory { Arc::new(Memory) } else { Arc::new(Swarmd::new(agent, home.cache_folder())) }
    }

    /// Whether it makes machines in somebody's account.
    pub fn is_cloud(&self) -> bool {
        self.is_cloud
    }

    /// Whether nothing can run on its machines.
    pub fn is_memory(&self) -> bool {
        self.is_memory
    }
}

/// The provider of that name.
pub fn find(name: &str) -> Result<&'static Provider, UnknownProvider> {
    let provider = PROVIDERS.iter().find(|provider| provider.name == name);
    provider.ok_or_else(|| UnknownProvider { name: name.to_owned() })
}

/// The names of all providers, in the order of the list.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|provider| provider.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_the_default_is_one_of_them() {
        let unique: BTreeSet<_> = names().collect();

        assert_eq!(unique.len(), PROVIDERS.len());
        assert!(unique.contains(DEFAULT));
    }

    #[test]
    fn no_option_is_declared_twice_by_one_driver() {
        for provider in PROVIDERS {
            let unique: BTreeSet<_> = provider.options.iter().map(|option| option.name).collect();
            assert_eq!(unique.len(), provider.options.len(), "{}", provider.name);
        }
    }
}
