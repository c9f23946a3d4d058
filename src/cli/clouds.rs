//! The providers that a command looks at without a cluster of its own: those that are named, else every cloud; in all
//! regions, unless one is named.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use driver::Driver;
use driver::cloud::REGION;
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
            Ok((answers, failures)) => {
                looked.extend(answers);
                for failure in failures {
                    global.printer().warning(&format!("{failure:#}"));
                }
            }
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

/// Asks one provider, in each of its regions. What one region refuses says nothing of the others; where the regions are
/// not told, the one of the options is asked.
async fn ask(provider: &'static Provider, home: &Home, given: &Given) -> Result<(Vec<Looked>, Vec<anyhow::Error>)> {
    let mut options = given.clone();
    for values in options.values_mut() {
        values.retain(|name, _| provider.option(name).is_some());
    }
    let wishes = Wishes { options, ..Wishes::default() };
    let options = config::given_options(provider, &wishes, &|name| std::env::var(name).ok())?;
    let driver = provider.driver(&options, home, &open::dialer())?;
    let told = if options.one(REGION).is_some() { Ok(BTreeMap::new()) } else { driver.regions().await };
    let mut failures = Vec::new();
    let regions = told.unwrap_or_else(|error| {
        let only_one = format!("only the configured region of provider `{}` is looked at", provider.name);
        failures.push(anyhow::Error::new(error).context(only_one));
        BTreeMap::new()
    });
    if regions.is_empty() {
        let failed = || format!("failed to ask provider `{}`", provider.name);
        return Ok((vec![find(provider, driver, None).await.with_context(failed)?], failures));
    }
    let asked = regions.iter().map(|(region, driver)| find(provider, driver.clone(), Some(region)));
    let mut looked = Vec::new();
    for (region, answer) in regions.keys().zip(join_all(asked).await) {
        match answer.with_context(|| format!("provider `{}` was not asked in {region}", provider.name)) {
            Ok(answer) => looked.push(answer),
            Err(error) => failures.push(error),
        }
    }
    // Where none answers, the reason is the same for all.
    match failures.pop() {
        Some(failure) if looked.is_empty() => Err(failure),
        last => {
            failures.extend(last);
            Ok((looked, failures))
        }
    }
}

async fn find(provider: &Provider, driver: Arc<dyn Driver>, region: Option<&str>) -> Result<Looked> {
    let found = driver.find(None).await?;
    let mut seen = sightings(provider.name, &found);
    for sighting in &mut seen {
        sighting.region = region.map(ToOwned::to_owned);
    }
    Ok(Looked { driver, seen })
}
