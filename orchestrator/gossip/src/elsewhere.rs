//! Members that send from another address than the roster has: they have moved, or sit behind a gateway. Pure.
//!
//! Answers go to where the roster has a member all the same. The managers say where it is; this is for those that have
//! lost the managers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::NodeId;

use crate::Roster;

/// The members that were heard from elsewhere, and from where.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere(BTreeMap<NodeId, IpAddr>);

impl Elsewhere {
    /// Notes where a datagram of a member came from, which was opened and is fresh.
    pub(crate) fn note(&mut self, roster: &Roster, sender: &NodeId, from: IpAddr) {
        if roster.get(sender).is_some_and(|known| known.ip() == from) {
            self.0.remove(sender);
        } else {
            self.0.insert(sender.clone(), from);
        }
    }

    /// Forgets those that a new roster does not have, or has where they are.
    pub(crate) fn follow(&mut self, roster: &Roster) {
        self.0.retain(|node, addr| roster.get(node).is_some_and(|known| known.ip() != *addr));
    }

    /// The members and their addresses.
    pub(crate) fn places(&self) -> &BTreeMap<NodeId, IpAddr> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_member_that_sends_from_elsewhere_is_noted_until_it_is_where_the_roster_has_it() {
        let node: NodeId = "node00000000000000000000a".parse().expect("an id");
        let [there, here] = [1, 2].map(|host| SocketAddr::from(([192, 0, 2, host], 7946)));
        let mut elsewhere = Elsewhere::default();
        let (before, after) = (Roster::from([(node.clone(), there)]), Roster::from([(node.clone(), here)]));

        elsewhere.note(&before, &node, there.ip());
        assert!(elsewhere.places().is_empty());
        elsewhere.note(&before, &node, here.ip());
        assert_eq!(*elsewhere.places(), BTreeMap::from([(node.clone(), here.ip())]));
        elsewhere.follow(&before);
        assert_eq!(elsewhere.places().len(), 1);
        elsewhere.note(&before, &node, there.ip());
        assert!(elsewhere.places().is_empty());

        elsewhere.note(&before, &node, here.ip());
        elsewhere.follow(&after);
        assert!(elsewhere.places().is_empty());
        elsewhere.note(&before, &node, here.ip());
        elsewhere.follow(&Roster::new());
        assert!(elsewhere.places().is_empty());
    }
}
