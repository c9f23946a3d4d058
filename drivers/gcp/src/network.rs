//! What the machines of a cluster share: the firewall's rules, and a network of their own where there is no other.
//!
//! The network is the one that an option names, else the project's `default`, else one that is made here. A new
//! firewall's operations are not waited for: machines are made meanwhile, and [`Cloud::settle_rules`] waits for both.

use std::collections::BTreeSet;
use std::time::Duration;

use driver::{ClusterId, ClusterRequest, DriverError, Network, OptionValue, Options, TAG_ID, Wait, cloud, wait_until};
use futures_util::future::{join_all, try_join_all};
use google_cloud_compute_v1::model;
use google_cloud_compute_v1::model::{Operation, Subnetwork};

use crate::cloud::{CHANGES, Cloud, LISTS, READS};
use crate::failure::{Meaning, meaning};
use crate::machines::tail;
use crate::marking::{self, PREFIX, description, fresh_id, key};
use crate::rules::{Changes, Rule, wanted};
use crate::settings::invalid;

/// The network that Google makes in each new project.
const DEFAULT: &str = "default";
/// The addresses of a network of our own.
const OWN_PREFIX: &str = "10.200.0.0/20";
/// How often rules are compared, where others change them meanwhile.
const ROUNDS: usize = 5;
/// No list has more pages.
const MOST_PAGES: usize = 1000;

/// The handles of a network: its name, its subnetwork's, and its rules'.
pub(crate) const NETWORK: &str = "network";
pub(crate) const SUBNETWORK: &str = "subnetwork";
const RULES: &str = "rules";

/// What a cluster's network consists of at the provider: only what carries its mark.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    pub(crate) firewalls: Vec<model::Firewall>,
    pub(crate) networks: Vec<model::Network>,
}

/// The network that machines are put into.
#[derive(Debug, Clone)]
struct Place {
    network: String,
    /// Absent where Compute Engine picks it: in networks in auto mode.
    subnetwork: Option<String>,
    is_own: bool,
}

impl Cloud {
    pub(crate) async fn ensure_network(&self, request: &ClusterRequest) -> Result<Network, DriverError> {
        self.memory.forget(&request.id);
        let key = key(&request.id);
        let (standing, other) = tokio::try_join!(self.firewalls(Some(&request.id)), self.named_network())?;
        let own = format!("{PREFIX}{key}");
        let is_in_own = standing.iter().any(|firewall| tail(firewall.network.as_deref()) == own);
        let place = match other {
            Some(network) if !is_in_own => self.place(&network)?,
            _ => self.own_network(request, &own).await?,
        };
        let rules = wanted(&request.firewall, &key, &place.network, !place.is_own)?;
        self.ensure_rules(request, standing, &rules).await?;
        let text = |text: &str| OptionValue::One(text.to_owned());
        let mut handles = Options([(NETWORK.to_owned(), text(&place.network))].into());
        handles.0.extend(place.subnetwork.as_deref().map(|name| (SUBNETWORK.to_owned(), text(name))));
        let rules = rules.into_iter().map(|rule| rule.name).collect();
        handles.0.insert(RULES.to_owned(), OptionValue::Many(rules));
        let prefix = place.is_own.then(|| OWN_PREFIX.to_owned());
        Ok(Network { cluster: request.id.clone(), prefix, handles })
    }

    /// The network that the option names, or the default one; `None` where there is none.
    async fn named_network(&self) -> Result<Option<model::Network>, DriverError> {
        let asked = self.settings.network.as_deref();
        let name = asked.unwrap_or(DEFAULT);
        let found = self
            .call(READS, &format!("look at network `{name}`"), |clients| {
                clients.networks.get().set_project(&clients.project).set_network(name).send()
            })
            .await;
        match (found, asked) {
            (Ok(network), _) => Ok(Some(network)),
            (Err(failure), None) if meaning(&failure) == Meaning::Absent => Ok(None),
            (Err(failure), Some(_)) if meaning(&failure) == Meaning::Absent => {
                Err(invalid(cloud::NETWORK, format!("there is no network `{name}`")))
            }
            (Err(failure), _) => Err(failure),
        }
    }

    /// Where in a network of others the machines go.
    fn place(&self, network: &model::Network) -> Result<Place, DriverError> {
        let name = network.name.clone().unwrap_or_default();
        let region = &self.settings.region;
        let subnetwork = if network.auto_create_subnetworks == Some(true) {
            self.settings.subnetwork.clone()
        } else {
            let here = format!("/regions/{region}/");
            let here = network.subnetworks.iter().filter(|link| link.contains(&here));
            let here: Vec<_> = here.map(|link| tail(Some(link))).collect();
            match (self.settings.subnetwork.as_deref(), here.as_slice()) {
                (Some(asked), here) if here.contains(&asked) => Some(asked.to_owned()),
                (None, [only]) => Some((*only).to_owned()),
                (_, here) => {
                    let known = here.join(", ");
                    let reason = format!("name one subnetwork of `{name}` in {region} as `{name}/SUBNETWORK`: {known}");
                    return Err(invalid(cloud::NETWORK, reason));
                }
            }
        };
        Ok(Place { network: name, subnetwork, is_own: false })
    }

    /// Makes the cluster's own network with one subnetwork.
    async fn own_network(&self, request: &ClusterRequest, name: &str) -> Result<Place, DriverError> {
        let description = description(&request.mark());
        let region = &self.settings.region;
        let action = format!("make network `{name}`");
        let network = model::Network::new().set_name(name).set_description(&description);
        let network = network.set_auto_create_subnetworks(false);
        let id = fresh_id();
        let made = self.call(CHANGES, &action, |clients| {
            let call = clients.networks.insert().set_project(&clients.project);
            call.set_request_id(&id).set_body(network.clone()).send()
        });
        self.unless_there(&action, made.await).await?;

        let action = format!("make subnetwork `{name}`");
        let subnetwork = Subnetwork::new()
            .set_name(name)
            .set_description(&description)
            .set_network(format!("global/networks/{name}"))
            .set_ip_cidr_range(OWN_PREFIX);
        let id = fresh_id();
        let made = self.call(CHANGES, &action, |clients| {
            let call = clients.subnetworks.insert().set_project(&clients.project);
            call.set_region(region).set_request_id(&id).set_body(subnetwork.clone()).send()
        });
        self.unless_there(&action, made.await).await?;
        Ok(Place { network: name.to_owned(), subnetwork: Some(name.to_owned()), is_own: true })
    }

    /// Waits for what is being made; what is there is as good.
    async fn unless_there(&self, action: &str, made: Result<Operation, DriverError>) -> Result<(), DriverError> {
        let finished = match made {
            Ok(operation) => self.finish(action, operation).await,
            Err(failure) => Err(failure),
        };
        match finished {
            Err(failure) if meaning(&failure) == Meaning::Exists => Ok(()),
            finished => finished,
        }
    }

    /// Makes the rules that stand those that are wanted.
    async fn ensure_rules(
        &self,
        request: &ClusterRequest,
        mut standing: Vec<model::Firewall>,
        rules: &[Rule],
    ) -> Result<(), DriverError> {
        let is_new = standing.is_empty();
        for _ in 0..ROUNDS {
            let known: Vec<_> = standing.iter().map(Rule::read).collect();
            let changes = Changes::between(&known, rules);
            if changes.is_empty() {
                return Ok(());
            }
            let (began, were_there) = self.change_rules(request, &changes).await?;
            if is_new && !were_there {
                self.memory.keep_pending(&request.id, began);
                return Ok(());
            }
            try_join_all(
                began.into_iter().map(|(action, operation)| async move { self.finish(&action, operation).await }),
            )
            .await?;
            if !were_there {
                return self.delete_rules(&changes.delete).await;
            }
            // Another process of ours was at it, and has ended in the middle.
            self.pause().await;
            standing = self.firewalls(Some(&request.id)).await?;
        }
        Err(DriverError::provider(
            format!("make the firewall of `{}`", request.name),
            "somebody else changes its rules",
        ))
    }

    /// Begins to insert and patch rules; whether some were there that had not been listed.
    async fn change_rules(
        &self,
        request: &ClusterRequest,
        changes: &Changes,
    ) -> Result<(Vec<(String, Operation)>, bool), DriverError> {
        let key = key(&request.id);
        let description = description(&request.mark());
        let (key, description) = (key.as_str(), description.as_str());
        let inserting = changes.insert.iter().map(|rule| async move {
            let action = format!("make firewall rule `{}`", rule.name);
            let body = rule.body(key, description);
            let id = fresh_id();
            let made = self.call(CHANGES, &action, |clients| {
                let call = clients.firewalls.insert().set_project(&clients.project);
                call.set_request_id(&id).set_body(body.clone()).send()
            });
            match made.await {
                Ok(operation) => Ok(Some((action, operation))),
                Err(failure) if meaning(&failure) == Meaning::Exists => Ok(None),
                Err(failure) => Err(failure),
            }
        });
        let changing = changes.patch.iter().map(|rule| async move {
            let action = format!("change firewall rule `{}`", rule.name);
            let body = rule.body(key, description);
            let made = self.call(CHANGES, &action, |clients| {
                let call = clients.firewalls.patch().set_project(&clients.project);
                call.set_firewall(&rule.name).set_body(body.clone()).send()
            });
            made.await.map(|operation| (action, operation))
        });
        // All of them, also where one fails: what was begun is waited for or found again.
        let (inserted, patched) = tokio::join!(join_all(inserting), join_all(changing));
        let inserted = inserted.into_iter().collect::<Result<Vec<_>, _>>()?;
        let patched = patched.into_iter().collect::<Result<Vec<_>, _>>()?;
        let were_there = inserted.iter().any(Option::is_none);
        Ok((inserted.into_iter().flatten().chain(patched).collect(), were_there))
    }

    /// Waits until the rules of a network stand that [`ensure_network`](Self::ensure_network) has begun.
    pub(crate) async fn settle_rules(&self, network: &Network) -> Result<(), DriverError> {
        if let Some(pending) = self.memory.take_pending(&network.cluster) {
            let finishing =
                pending.into_iter().map(|(action, operation)| async move { self.finish(&action, operation).await });
            return join_all(finishing).await.into_iter().collect();
        }
        // Another process has begun them: they stand, are about to, or never will.
        let names: BTreeSet<_> = network.handles.many(RULES).into_iter().collect();
        let patience = self.environment.patience;
        let wait = Wait { limit: patience.unseen.max(Duration::from_secs(1)), interval: patience.interval };
        wait_until(&wait, format!("see the firewall rules of cluster `{}`", network.cluster), || async {
            let standing = self.firewalls(Some(&network.cluster)).await?;
            let standing: BTreeSet<_> = standing.iter().filter_map(|firewall| firewall.name.as_deref()).collect();
            Ok(names.is_subset(&standing).then_some(()))
        })
        .await
    }

    /// Removes a cluster's network, in which no machine is any more.
    pub(crate) async fn remove_parts(&self, parts: &Parts) -> Result<(), DriverError> {
        let firewalls = parts.firewalls.iter().filter_map(|firewall| firewall.name.clone()).collect::<Vec<_>>();
        let subnetworks = parts.networks.iter().flat_map(own_subnetworks);
        let subnetworks = try_join_all(subnetworks.map(|(region, name)| self.delete_subnetwork(region, name)));
        tokio::try_join!(self.delete_rules(&firewalls), subnetworks)?;
        let networks = parts.networks.iter().filter_map(|network| network.name.as_deref());
        try_join_all(networks.map(|name| self.delete_network(name))).await?;
        Ok(())
    }

    async fn delete_rules(&self, names: &[String]) -> Result<(), DriverError> {
        let deletes = names.iter().map(|name| async move {
            let action = format!("remove firewall rule `{name}`");
            let removed = self.call(CHANGES, &action, |clients| {
                clients.firewalls.delete().set_project(&clients.project).set_firewall(name).send()
            });
            self.unless_gone(&action, removed.await).await
        });
        // All of them, also where one fails.
        join_all(deletes).await.into_iter().collect()
    }

    async fn delete_subnetwork(&self, region: &str, name: &str) -> Result<(), DriverError> {
        let action = format!("remove subnetwork `{name}`");
        let removed = self.call(CHANGES, &action, |clients| {
            let call = clients.subnetworks.delete().set_project(&clients.project);
            call.set_region(region).set_subnetwork(name).send()
        });
        self.unless_gone(&action, removed.await).await
    }

    async fn delete_network(&self, name: &str) -> Result<(), DriverError> {
        let action = format!("remove network `{name}`");
        let removed = self.call(CHANGES, &action, |clients| {
            clients.networks.delete().set_project(&clients.project).set_network(name).send()
        });
        self.unless_gone(&action, removed.await).await
    }

    /// Waits for what is being removed; what is gone is as good.
    pub(crate) async fn unless_gone(
        &self,
        action: &str,
        removed: Result<Operation, DriverError>,
    ) -> Result<(), DriverError> {
        let finished = match removed {
            Ok(operation) => self.finish(action, operation).await,
            Err(failure) => Err(failure),
        };
        match finished {
            Err(failure) if meaning(&failure) == Meaning::Absent => Ok(()),
            finished => finished,
        }
    }

    /// What a cluster's network consists of, or every cluster's.
    pub(crate) async fn parts(&self, cluster: Option<&ClusterId>) -> Result<Parts, DriverError> {
        let (firewalls, networks) = tokio::try_join!(self.firewalls(cluster), self.own_networks(cluster))?;
        Ok(Parts { firewalls, networks })
    }

    async fn firewalls(&self, cluster: Option<&ClusterId>) -> Result<Vec<model::Firewall>, DriverError> {
        let filter = filter(cluster);
        let mut firewalls = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .call(LISTS, "list the firewall rules", |clients| {
                    let call = clients.firewalls.list().set_project(&clients.project);
                    call.set_filter(&filter).set_or_clear_page_token(token.clone()).send()
                })
                .await?;
            firewalls.extend(page.items);
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        firewalls.retain(|firewall| is_of(firewall.description.as_deref(), cluster));
        Ok(firewalls)
    }

    async fn own_networks(&self, cluster: Option<&ClusterId>) -> Result<Vec<model::Network>, DriverError> {
        let filter = filter(cluster);
        let mut networks = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .call(LISTS, "list the networks", |clients| {
                    let call = clients.networks.list().set_project(&clients.project);
                    call.set_filter(&filter).set_or_clear_page_token(token.clone()).send()
                })
                .await?;
            networks.extend(page.items);
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        networks.retain(|network| is_of(network.description.as_deref(), cluster));
        Ok(networks)
    }
}

/// By name: neither networks nor firewall rules have labels. The literal is a regular expression for the whole name.
fn filter(cluster: Option<&ClusterId>) -> String {
    let key = cluster.map(key).unwrap_or_default();
    format!("name eq \"{PREFIX}{key}.*\"")
}

/// Whether something with this description carries the mark of a cluster, or of any.
fn is_of(description: Option<&str>, cluster: Option<&ClusterId>) -> bool {
    let tags = marking::described(description);
    tags.get(TAG_ID).is_some_and(|id| cluster.is_none_or(|cluster| cluster.0 == *id))
}

/// Region and name of the subnetworks that were made with a network of ours: they have its name.
fn own_subnetworks(network: &model::Network) -> impl Iterator<Item = (&str, &str)> {
    network.subnetworks.iter().filter_map(|link| {
        let (before, name) = link.rsplit_once("/subnetworks/")?;
        (Some(name) == network.name.as_deref()).then(|| (tail(Some(before)), name))
    })
}
