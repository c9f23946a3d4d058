//! The providers that a command looks at without a cluster of its own: those that are named, else every cloud.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use driver::Driver;
use futures_util::future::join_all;

use super::arguments::DriverFlags;
use super::failure::{StateError, UsageError};
use super::{Global, open};
use crate::config::{self, Wishes};
use crate::home::Home;
use crate::providers::{self, PROVIDERS, Provider};
use crate::sighting::{Sighting, sightings};

/// A provider that was asked, and the clusters that it shows.
pub(super) struct Looked {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) seen: Vec<Sighting>,
}

/// Asks the providers that are named, else every cloud, for clusters. One that was not named and cannot be asked is
/// warned about and passed over.
pub(super) async fn look(global: &Global, home: &Home, named: &[String], flags: DriverFlags) -> Result<Vec<Looked>> {
    let chosen: Vec<&'static Provider> = if named.is_empty() {
        PROVIDERS.iter().filter(|provider| provider.is_cloud()).collect()
    } else {
        named.iter().map(|name| providers::find(name)).collect::<Result<_, _>>()?
    };
    if chosen.is_empty() {
        let hint = "build with --features clouds, or name a provider with --provider";
        return Err(StateError::new("this swarmup was built without the drivers of clouds", hint).into());
    }
    let options = flags.into_options();
    if let Some(name) = options.values().flat_map(|given| given.keys()).find(|name| is_unknown(&chosen, name)) {
        return Err(UsageError::new(format!("none of these providers has an option `{name}`"), "leave it out").into());
    }
    let asked = join_all(chosen.iter().map(|provider| ask(provider, home, &options))).await;
    let mut looked = Vec::new();
    for (provider, answer) in chosen.into_iter().zip(asked) {
        match answer {
            Ok(answer) => looked.push(answer),
            Err(error) if named.is_empty() => {
                global.printer().warning(&format!("provider `{}` was not asked: {error:#}", provider.name));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(looked)
}

fn is_unknown(chosen: &[&Provider], option: &str) -> bool {
    chosen.iter().all(|provider| provider.option(option).is_none())
}

/// What flags say of options, by provider.
type Given = BTreeMap<String, BTreeMap<String, Vec<String>>>;

async fn ask(provider: &'static Provider, home: &Home, given: &Given) -> Result<Looked> {
    let mut options = given.clone();
    for values in options.values_mut() {
        values.retain(|name, _| provider.option(name).is_some());
    }
    let wishes = Wishes { options, ..Wishes::default() };
    let options = config::given_options(provider, &wishes, &|name| std::env::var(name).ok())?;
    let driver = provider.driver(&options, home, &open::dialer())?;
    let found = driver.find(None).await.with_context(|| format!("failed to ask provider `{}`", provider.name))?;
    Ok(Looked { driver, seen: sightings(provider.name, &found) })
}
