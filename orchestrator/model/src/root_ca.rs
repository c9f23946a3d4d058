//! The authority of a swarm's nodes, and its change to another one.
//!
//! ```text
//! settled     roots: [A]      signs: A
//! changing    roots: [A]      rotation: B      signs: B      trusted: B, A      tokens name A
//! settled     roots: [B]      links: B by A    signs: B      trusted: B         tokens name B
//! ```

use serde::{Deserialize, Serialize};

use crate::Secret;

/// How many former roots the API's certificate still leads back to: clients that have only one of them find the swarm.
const MAX_LINKS: usize = 5;

/// The authority that signs node certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootCa {
    /// The root that join tokens name (PEM), alone; the first one counts.
    pub roots: Vec<String>,
    /// Key of that root, PEM (PKCS #8).
    pub key: Secret,
    /// The change to another root, while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RootRotation>,
    /// Certificates (PEM) that link the root to former ones, newest first: each has the name and key of a root, and
    /// is signed by the root before it. Only clients of the API are shown them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
}

/// The root that the swarm changes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRotation {
    /// The new root, PEM.
    pub certificate: String,
    /// Its key, PEM (PKCS #8).
    pub key: Secret,
    /// The new root's name and key, signed by the present root (PEM): who trusts that one only, trusts the new one too.
    pub cross_signed: String,
}

/// What certificates are signed with at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer<'a> {
    /// The root that signs, PEM.
    pub certificate: &'a str,
    /// Its key.
    pub key: &'a Secret,
}

impl RootCa {
    /// An authority that has never been another.
    pub fn new(root: impl Into<String>, key: Secret) -> Self {
        Self { roots: vec![root.into()], key, rotation: None, links: Vec::new() }
    }

    /// The root that join tokens name; none before the swarm is formed.
    pub fn root(&self) -> Option<&str> {
        self.roots.first().map(String::as_str)
    }

    /// What signs now: the new root as soon as there is one.
    pub fn signer(&self) -> Option<Signer<'_>> {
        match &self.rotation {
            Some(rotation) => Some(Signer { certificate: &rotation.certificate, key: &rotation.key }),
            None => self.root().map(|certificate| Signer { certificate, key: &self.key }),
        }
    }

    /// All roots that nodes trust, PEM, one each; the first one signs.
    pub fn trusted(&self) -> Vec<String> {
        let new = self.rotation.iter().map(|rotation| &rotation.certificate);
        new.chain(&self.roots).cloned().collect()
    }

    /// What follows the certificate of a node, so that those who trust the former root only believe it.
    pub fn node_links(&self) -> impl Iterator<Item = &str> {
        self.rotation.iter().map(|rotation| rotation.cross_signed.as_str())
    }

    /// What follows the certificate of the API, so that clients with a former root believe it.
    pub fn api_links(&self) -> impl Iterator<Item = &str> {
        self.node_links().chain(self.links.iter().map(String::as_str)).take(MAX_LINKS)
    }

    /// The authority once the change under way is complete; itself where there is none.
    #[must_use]
    pub fn completed(&self) -> Self {
        match &self.rotation {
            None => self.clone(),
            Some(rotation) => Self {
                roots: vec![rotation.certificate.clone()],
                key: rotation.key.clone(),
                rotation: None,
                links: self.api_links().map(ToOwned::to_owned).collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(name: &str) -> RootRotation {
        RootRotation {
            certificate: name.to_owned(),
            key: Secret::new(format!("key of {name}")),
            cross_signed: format!("{name} by its former"),
        }
    }

    #[test]
    fn while_it_changes_the_new_root_signs_and_tokens_name_the_old_one() {
        let settled = RootCa::new("A", Secret::new("key of A"));
        let changing = RootCa { rotation: Some(rotation("B")), ..settled.clone() };

        assert_eq!(settled.signer().unwrap().certificate, "A");
        assert_eq!(settled.trusted(), ["A"]);
        assert_eq!(settled.node_links().count(), 0);
        assert_eq!(changing.signer(), Some(Signer { certificate: "B", key: &Secret::new("key of B") }));
        assert_eq!(changing.root(), Some("A"));
        assert_eq!(changing.trusted(), ["B", "A"]);
        assert_eq!(changing.node_links().collect::<Vec<_>>(), ["B by its former"]);
    }

    #[test]
    fn once_it_is_complete_the_old_root_is_known_to_clients_of_the_api_only() {
        let changing = RootCa { rotation: Some(rotation("B")), ..RootCa::new("A", Secret::new("key of A")) };

        let completed = changing.completed();

        assert_eq!(completed.trusted(), ["B"]);
        assert_eq!(completed.signer(), Some(Signer { certificate: "B", key: &Secret::new("key of B") }));
        assert_eq!(completed.node_links().count(), 0);
        assert_eq!(completed.api_links().collect::<Vec<_>>(), ["B by its former"]);
        assert_eq!(completed.completed(), completed);
    }

    #[test]
    fn the_links_to_former_roots_are_bounded_and_the_newest_stay() {
        let mut root_ca = RootCa::new("A", Secret::new("key of A"));
        for number in 1..=9 {
            root_ca = RootCa { rotation: Some(rotation(&number.to_string())), ..root_ca }.completed();
        }

        let links: Vec<_> = root_ca.api_links().map(|link| link.split(' ').next().unwrap()).collect();

        assert_eq!(links, ["9", "8", "7", "6", "5"]);
    }
}
