//! The managers that an agent knows, and which of them to turn to. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use model::{ManagerPeer, NodeId};

/// Hints that are followed in a row before waiting: two managers may each hold the other for the leader.
const HINTS_IN_A_ROW: u32 = 3;

/// Where to turn to: an address, and the node that must answer there, where it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The address.
    pub addr: SocketAddr,
    /// The node.
    pub node: Option<NodeId>,
}

/// The managers known.
#[derive(Debug)]
pub(crate) struct Remotes {
    known: Vec<Remote>,
    /// Where managers seem to be that are not where they were.
    moved: Vec<Remote>,
    next: usize,
    hint: Option<SocketAddr>,
    hints_followed: u32,
}

impl Remotes {
    /// Begins with these managers, at the one of this number.
    pub(crate) fn new(known: Vec<Remote>, first: usize) -> Self {
        Self { known, moved: Vec::new(), next: first, hint: None, hints_followed: 0 }
    }

    /// Takes the managers that the swarm has now. An empty list is no news: somebody must have sent it.
    pub(crate) fn learn(&mut self, managers: &[ManagerPeer]) {
        if !managers.is_empty() {
            let remote = |peer: &ManagerPeer| Remote { addr: peer.addr, node: Some(peer.node_id.clone()) };
            self.known = managers.iter().map(remote).collect();
        }
    }

    /// Takes note of members that gossip from other addresses: a manager among them may be found there. `true` where
    /// that is news.
    pub(crate) fn moved(&mut self, elsewhere: &BTreeMap<NodeId, IpAddr>) -> bool {
        let moved = self.known.iter().filter_map(|known| {
            let addr = elsewhere.get(known.node.as_ref()?)?;
            Some(Remote { addr: SocketAddr::new(*addr, known.addr.port()), node: known.node.clone() })
        });
        let moved: Vec<Remote> = moved.filter(|remote| !self.known.contains(remote)).collect();
        let is_news = moved.iter().any(|remote| !self.moved.contains(remote));
        self.moved = moved;
        if is_news {
            // They stand first in the turn.
            self.next = 0;
        }
        is_news
    }

    /// This node's own manager knows the leader.
    pub(crate) fn prefer(&mut self, leader: SocketAddr) {
        self.hint = Some(leader);
    }

    /// Somebody says that the leader is here. `false` where that was said too often to be believed at once.
    pub(crate) fn hint(&mut self, leader: SocketAddr) -> bool {
        self.hint = Some(leader);
        self.hints_followed += 1;
        self.hints_followed <= HINTS_IN_A_ROW
    }

    /// A session stands: what was said before is forgotten.
    pub(crate) fn settled(&mut self) {
        self.hint = None;
        self.hints_followed = 0;
    }

    /// A pause was made: hints are believed again.
    pub(crate) fn rested(&mut self) {
        self.hints_followed = 0;
    }

    /// Whom to try next: where the leader is said to be, or else the next manager in turn.
    pub(crate) fn choose(&mut self) -> Option<Remote> {
        if let Some(addr) = self.hint.take() {
            let node = self.known.iter().find(|known| known.addr == addr).and_then(|known| known.node.clone());
            return Some(Remote { addr, node });
        }
        let count = self.moved.len() + self.known.len();
        let remote = self.moved.iter().chain(&self.known).nth(self.next.checked_rem(count)?).cloned();
        self.next = self.next.wrapping_add(1);
        remote
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn managers(count: u16) -> Vec<Remote> {
        let mut rng = StdRng::seed_from_u64(1);
        (0..count)
            .map(|number| Remote {
                node: Some(NodeId::generate(&mut rng)),
                addr: SocketAddr::from(([127, 0, 0, 1], 1000 + number)),
            })
            .collect()
    }

    fn port(remotes: &mut Remotes) -> u16 {
        remotes.choose().unwrap().addr.port()
    }

    #[test]
    fn managers_are_tried_in_turn() {
        let mut remotes = Remotes::new(managers(3), 2);

        assert_eq!([port(&mut remotes), port(&mut remotes), port(&mut remotes)], [1002, 1000, 1001]);
    }

    #[test]
    fn a_hint_is_followed_once_and_only_so_often_in_a_row() {
        let mut remotes = Remotes::new(managers(3), 0);
        let leader = SocketAddr::from(([127, 0, 0, 1], 1002));

        assert!(remotes.hint(leader));
        let chosen = remotes.choose().unwrap();
        assert_eq!(chosen.node, remotes.known[2].node);
        assert_eq!(port(&mut remotes), 1000);

        assert!(remotes.hint(leader));
        assert!(remotes.hint(leader));
        assert!(!remotes.hint(leader));
        remotes.rested();
        assert!(remotes.hint(leader));
    }

    #[test]
    fn a_manager_that_gossips_from_elsewhere_is_tried_there_first_and_where_it_was_too() {
        let mut remotes = Remotes::new(managers(2), 1);
        let (manager, addr) = (remotes.known[1].node.clone().unwrap(), IpAddr::from([127, 0, 0, 9]));
        let elsewhere = BTreeMap::from([(manager.clone(), addr)]);

        assert!(remotes.moved(&elsewhere));
        assert!(!remotes.moved(&elsewhere));

        let moved = Remote { addr: SocketAddr::new(addr, 1001), node: Some(manager) };
        assert_eq!(remotes.choose(), Some(moved));
        assert_eq!([port(&mut remotes), port(&mut remotes)], [1000, 1001]);
        assert!(!remotes.moved(&BTreeMap::new()));
        assert_eq!(remotes.moved, []);
    }

    #[test]
    fn an_empty_list_teaches_nothing() {
        let mut remotes = Remotes::new(managers(1), 0);

        remotes.learn(&[]);

        assert_eq!(remotes.known.len(), 1);
        assert_eq!(Remotes::new(Vec::new(), 0).choose(), None);
    }
}
