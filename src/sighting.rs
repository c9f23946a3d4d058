//! The clusters that a provider shows, told apart by the marks on what it has. Pure.

use std::collections::BTreeMap;

use driver::{ClusterId, InstanceId, Price, Resource};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// A cluster as its provider shows it, whoever made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sighting {
    /// The provider.
    pub provider: String,
    /// The region that shows it, where several were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The mark.
    pub cluster: ClusterId,
    /// Its name, where the mark tells.
    pub name: Option<String>,
    /// Who owns it, where the mark tells.
    pub owner: Option<String>,
    /// When it was begun, where the mark tells.
    pub created_at: Option<Timestamp>,
    /// When its time is up, where it is ever.
    pub expires: Option<Timestamp>,
    /// Its machines that are not vanishing.
    pub machines: Vec<InstanceId>,
    /// How many resources carry the mark in all.
    pub resources: usize,
    /// What it costs, as far as the driver knows.
    pub price: Option<Price>,
    /// The provider is removing all of it already.
    pub is_vanishing: bool,
}

impl Sighting {
    /// The cluster's name, or its mark where the mark tells no name.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.cluster.0)
    }

    /// The provider, and the region where that was one of several: `aws us-east-1`.
    pub fn place(&self) -> String {
        self.region.as_ref().map_or_else(|| self.provider.clone(), |region| format!("{} {region}", self.provider))
    }

    /// Whether nobody should need it any more: its time is up, or it is older than asked for.
    pub fn is_due(&self, now: Timestamp, older_than: Option<SignedDuration>) -> bool {
        let is_over = self.expires.is_some_and(|expires| expires <= now);
        let is_old = older_than.zip(self.created_at).is_some_and(|(limit, begun)| now.duration_since(begun) >= limit);
        is_over || is_old
    }
}

/// The clusters among what a provider has found, by name.
pub fn sightings(provider: &str, found: &[Resource]) -> Vec<Sighting> {
    let mut by_mark: BTreeMap<&ClusterId, Sighting> = BTreeMap::new();
    for resource in found {
        let sighting = by_mark.entry(&resource.cluster).or_insert_with(|| Sighting {
            provider: provider.to_owned(),
            region: None,
            cluster: resource.cluster.clone(),
            name: None,
            owner: None,
            created_at: None,
            expires: None,
            machines: Vec::new(),
            resources: 0,
            price: None,
            is_vanishing: true,
        });
        sighting.resources += 1;
        sighting.is_vanishing &= resource.is_vanishing;
        sighting.name = sighting.name.take().or_else(|| resource.cluster_name.clone());
        sighting.owner = sighting.owner.take().or_else(|| resource.owner.clone());
        sighting.created_at = sighting.created_at.or(resource.created_at);
        // Where resources differ, an extension is under way: the latest counts.
        sighting.expires = sighting.expires.max(resource.expires);
        if !resource.is_vanishing {
            sighting.machines.extend(resource.instance.clone());
            sighting.price = sum(sighting.price.take(), resource.price.as_ref());
        }
    }
    let mut sightings: Vec<_> = by_mark.into_values().collect();
    sightings.sort_by(|one, other| one.called().cmp(other.called()));
    sightings
}

/// Prices of one currency together; of two, the first alone would be wrong.
fn sum(total: Option<Price>, next: Option<&Price>) -> Option<Price> {
    match (total, next) {
        (None, next) => next.cloned(),
        (total, None) => total,
        (Some(total), Some(next)) if total.currency == next.currency => {
            Some(Price { per_hour: total.per_hour + next.per_hour, ..total })
        }
        (Some(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(per_hour: f64) -> Price {
        Price { per_hour, currency: "USD".to_owned(), as_of: "2026-11-01".to_owned() }
    }

    fn machine(mark: &str, number: u32) -> Resource {
        Resource {
            cluster_name: Some("lab".to_owned()),
            owner: Some("me@here".to_owned()),
            created_at: Some(Timestamp::UNIX_EPOCH),
            instance: Some(InstanceId(format!("{mark}-{number}"))),
            price: Some(price(0.25)),
            ..Resource::new(ClusterId(mark.to_owned()), "machine", format!("{mark}-{number}"))
        }
    }

    #[test]
    fn clusters_of_one_name_are_told_apart_by_their_marks() {
        let group = Resource::new(ClusterId("a".to_owned()), "firewall", "sg");
        let found = [group, machine("a", 1), machine("b", 1), machine("a", 2)];

        let seen = sightings("aws", &found);

        let shown: Vec<_> =
            seen.iter().map(|one| (one.cluster.0.as_str(), one.machines.len(), one.resources)).collect();
        assert_eq!(shown, [("a", 2, 3), ("b", 1, 1)]);
        assert_eq!((seen[0].called(), seen[0].price.clone()), ("lab", Some(price(0.5))));
    }

    #[test]
    fn what_is_vanishing_costs_nothing_and_need_not_be_destroyed() {
        let gone = Resource { is_vanishing: true, ..machine("a", 1) };

        let seen = sightings("aws", &[gone]);

        assert!(seen[0].is_vanishing && seen[0].machines.is_empty() && seen[0].price.is_none());
    }

    #[test]
    fn a_cluster_is_due_when_its_time_is_up_or_it_is_older_than_asked_for() {
        let hours = SignedDuration::from_hours;
        let begun = Timestamp::UNIX_EPOCH;
        let check = |expires: Option<i64>, older_than: Option<i64>, after: i64, expected: bool| {
            let expires = expires.map(|after| begun + hours(after));
            let seen = &sightings("aws", &[Resource { expires, ..machine("a", 1) }])[0];
            assert_eq!(seen.is_due(begun + hours(after), older_than.map(hours)), expected);
        };

        check(None, None, 1000, false);
        check(Some(3), None, 2, false);
        check(Some(3), None, 3, true);
        check(None, Some(4), 3, false);
        check(None, Some(4), 4, true);
        check(Some(10), Some(4), 5, true);
    }
}
