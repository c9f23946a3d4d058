//! Who is in which network by which names: what a container's name server answers from.
//!
//! A container is entered once it is reached, and taken out before it is not any more. Nothing of it is on the disk: an
//! engine that opens enters whoever runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::NodeNetwork;

/// A container in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its names there, its own first, in lower case.
    pub(crate) names: Vec<String>,
    /// Its address.
    pub(crate) address: Ipv4Addr,
    /// The names by which it finds others: each with the name that it stands for.
    pub(crate) links: Vec<(String, String)>,
    /// Whether it reaches what is outside by this network.
    pub(crate) leads_out: bool,
}

/// Who is in which network by which names.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// By the networks' ids.
    networks: Mutex<HashMap<String, Members>>,
}

#[derive(Debug, Default)]
struct Members {
    /// The network's name, in lower case.
    name: String,
    /// Whether all in it find one another by name; else those alone who are linked.
    has_names: bool,
    /// By the containers' ids.
    entries: BTreeMap<String, Entry>,
}

impl Members {
    /// The addresses behind a name, as one of them sees it.
    fn addresses_of(&self, asker: &Entry, name: &str) -> Vec<IpAddr> {
        let linked = asker.links.iter().filter(|(link, _)| link == name).map(|(_, target)| target.as_str());
        let wanted: BTreeSet<&str> = linked.chain(Some(name).filter(|_| self.has_names)).collect();
        let is_wanted = |entry: &&Entry| entry.names.iter().any(|name| wanted.contains(name.as_str()));
        self.entries.values().filter(is_wanted).map(|entry| IpAddr::V4(entry.address)).collect()
    }
}

impl Directory {
    /// Enters a container in the network of this id and name, in place of what was known of it there. In the node's own
    /// bridge nobody finds another one by name, unless they are linked.
    pub(crate) fn enter(&self, network: &str, name: &str, container: &str, entry: Entry) {
        let mut networks = self.networks();
        let members = networks.entry(network.to_owned()).or_default();
        members.name = name.to_ascii_lowercase();
        members.has_names = NodeNetwork::find(network).is_none();
        members.entries.insert(container.to_owned(), entry);
    }

    /// Takes a container out of a network; fine where it is not in it.
    pub(crate) fn leave(&self, network: &str, container: &str) {
        let mut networks = self.networks();
        let Some(members) = networks.get_mut(network) else { return };
        members.entries.remove(container);
        if members.entries.is_empty() {
            networks.remove(network);
        }
    }

    /// The addresses behind a name, as a container sees it: those in all networks that it is in. A name may be followed by
    /// the network's.
    pub(crate) fn addresses_of(&self, asker: &str, name: &str) -> Option<Vec<IpAddr>> {
        let mut found = BTreeSet::new();
        for (members, asker) in of(&self.networks(), asker) {
            found.extend(members.addresses_of(asker, name));
            let within = name.strip_suffix(&members.name).and_then(|rest| rest.strip_suffix('.'));
            found.extend(within.into_iter().flat_map(|name| members.addresses_of(asker, name)));
        }
        Some(found.into_iter().collect()).filter(|found: &Vec<_>| !found.is_empty())
    }

    /// The name of who has an address in one of a container's networks, with the network's.
    pub(crate) fn name_of(&self, asker: &str, address: IpAddr) -> Option<String> {
        let networks = self.networks();
        let mut names = of(&networks, asker).filter(|(members, _)| members.has_names).filter_map(|(members, _)| {
            let mut entries = members.entries.values().filter(|entry| IpAddr::V4(entry.address) == address);
            Some(format!("{}.{}", entries.find_map(|entry| entry.names.first())?, members.name))
        });
        names.next()
    }

    /// Whether a container reaches what is outside.
    pub(crate) fn leads_out(&self, asker: &str) -> bool {
        of(&self.networks(), asker).any(|(_, entry)| entry.leads_out)
    }

    fn networks(&self) -> MutexGuard<'_, HashMap<String, Members>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The networks that a container is in.
fn of<'n>(networks: &'n HashMap<String, Members>, asker: &str) -> impl Iterator<Item = (&'n Members, &'n Entry)> {
    networks.values().filter_map(move |members| Some((members, members.entries.get(asker)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(names: &[&str], address: [u8; 4]) -> Entry {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Entry { names, address: address.into(), links: Vec::new(), leads_out: true }
    }

    /// `web` and `db` are in front, `db` and `store` in back, `web` and `other` in the node's own bridge.
    fn directory() -> Directory {
        let directory = Directory::default();
        directory.enter("f", "Front", "1", entry(&["web", "app"], [10, 7, 0, 2]));
        directory.enter("f", "Front", "2", entry(&["db", "app"], [10, 7, 0, 3]));
        directory.enter("b", "back", "2", entry(&["db"], [10, 8, 0, 2]));
        directory.enter("b", "back", "3", entry(&["store"], [10, 8, 0, 3]));
        directory.enter(NodeNetwork::Bridge.id(), "bridge", "4", entry(&["other"], [172, 17, 0, 2]));
        directory.enter(NodeNetwork::Bridge.id(), "bridge", "1", entry(&["web"], [172, 17, 0, 3]));
        directory
    }

    #[test]
    fn a_container_finds_those_in_its_own_networks() {
        let directory = directory();
        let check = |asker: &str, name: &str, expected: &[[u8; 4]]| {
            let found = directory.addresses_of(asker, name).unwrap_or_default();
            let expected: Vec<IpAddr> = expected.iter().map(|address| IpAddr::from(*address)).collect();
            assert_eq!(found, expected, "{asker} asks for {name}");
        };

        check("1", "web", &[[10, 7, 0, 2]]);
        check("1", "app", &[[10, 7, 0, 2], [10, 7, 0, 3]]);
        check("1", "db", &[[10, 7, 0, 3]]);
        check("1", "db.front", &[[10, 7, 0, 3]]);
        check("1", "db.back", &[]);
        check("1", "store", &[]);
        check("2", "db", &[[10, 7, 0, 3], [10, 8, 0, 2]]);
        check("4", "web", &[]);
        check("4", "web.bridge", &[]);
        check("5", "web", &[]);
        check("1", "", &[]);
        check("1", ".front", &[]);
    }

    #[test]
    fn addresses_have_names_for_those_who_reach_them() {
        let directory = directory();

        assert_eq!(directory.name_of("1", [10, 7, 0, 3].into()).as_deref(), Some("db.front"));
        assert_eq!(directory.name_of("1", [10, 8, 0, 3].into()), None);
        assert_eq!(directory.name_of("1", [172, 17, 0, 2].into()), None, "nobody has a name there");
    }

    #[test]
    fn who_has_left_is_not_found_any_more() {
        let directory = directory();

        directory.leave("f", "2");
        directory.leave("f", "9");

        assert_eq!(directory.addresses_of("1", "db"), None);
        assert_eq!(directory.addresses_of("1", "app"), Some(vec![[10, 7, 0, 2].into()]));
        assert!(directory.leads_out("1") && !directory.leads_out("9"));
    }

    #[test]
    fn a_link_is_another_name_for_its_owner_alone() {
        let directory = directory();
        let links = vec![("bar".to_owned(), "db".to_owned())];
        directory.enter("f", "front", "1", Entry { links, ..entry(&["web"], [10, 7, 0, 2]) });

        assert_eq!(directory.addresses_of("1", "bar"), Some(vec![[10, 7, 0, 3].into()]));
        assert_eq!(directory.addresses_of("2", "bar"), None);
        let links = vec![("bar".to_owned(), "other".to_owned())];
        let linked = Entry { links, ..entry(&["web"], [172, 17, 0, 3]) };
        directory.enter(NodeNetwork::Bridge.id(), "bridge", "1", linked);
        let both = [[10, 7, 0, 3].into(), [172, 17, 0, 2].into()].to_vec();
        assert_eq!(directory.addresses_of("1", "bar"), Some(both), "also in the node's own bridge");
    }
}
