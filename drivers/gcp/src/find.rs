//! What carries a mark.

use std::collections::BTreeMap;

use driver::{ClusterId, DriverError, Resource};
use jiff::Timestamp;

use crate::cloud::Cloud;
use crate::marking;

impl Cloud {
    /// Everything that carries the mark of a cluster, or of any: three lists at once. Disks are made and deleted with
    /// their machines, and so are addresses.
    pub(crate) async fn find(&self, cluster: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError> {
        let (machines, parts) = tokio::try_join!(self.machines(cluster), self.parts(cluster))?;
        let mut found: Vec<_> = machines.iter().filter_map(crate::machines::Machine::resource).collect();
        let described = |kind: &str, name: Option<&str>, description: Option<&str>| {
            marking::resource(kind, name.unwrap_or_default(), &marking::described(description))
        };
        found.extend(
            parts.firewalls.iter().filter_map(|firewall| {
                described("firewall", firewall.name.as_deref(), firewall.description.as_deref())
            }),
        );
        found.extend(
            parts
                .networks
                .iter()
                .filter_map(|network| described("network", network.name.as_deref(), network.description.as_deref())),
        );
        agree_on_expiry(&mut found);
        if let Some(cluster) = cluster {
            self.memory.keep_seen(cluster, machines.iter().map(crate::machines::Machine::id).collect(), parts);
        }
        Ok(found)
    }
}

/// The description of a network cannot be changed: what else belongs to the cluster knows when its time is up.
fn agree_on_expiry(found: &mut [Resource]) {
    let mut known: BTreeMap<ClusterId, Option<Timestamp>> = BTreeMap::new();
    for resource in found.iter().filter(|resource| resource.kind != "network") {
        let expires = known.entry(resource.cluster.clone()).or_default();
        *expires = (*expires).max(resource.expires);
    }
    for network in found.iter_mut().filter(|resource| resource.kind == "network") {
        if let Some(expires) = known.get(&network.cluster) {
            network.expires = *expires;
        }
    }
}
