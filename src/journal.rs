//! What is intended and what exists of a cluster: the one file that `create`, `scale` and `destroy` go on from.
//!
//! An intent is on disk before the call that acts on it, so that after a crash at any point nothing exists that the
//! journal does not at least announce. What an act brought about is recorded with the next intent: losing it costs
//! a repeated call, and every call may be repeated.
//!
//! ```text
//! stage    Creating ──> Formed ──> Ready            Destroying (from any of them; never back)
//! machine  Creating ──> Installing ──> Joined ──> Leaving
//! ```
//!
//! It holds no secret of a provider and no key of a node, and no path: its folder can be moved.

pub mod file;
pub mod ledger;
pub mod lock;

use std::collections::BTreeMap;

use driver::{ClusterId, ClusterRequest, Instance, InstanceId, Network};
use jiff::Timestamp;
use model::{NodeId, Role};
use serde::{Deserialize, Serialize};

pub use file::JournalError;
pub use ledger::Ledger;
pub use lock::{ClusterLock, LockError};

use crate::cluster::{ClusterSpec, hostname};
use crate::lease::Lease;

/// The only format of journals so far.
pub const JOURNAL_FORMAT: u32 = 1;

/// What is intended and what exists of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// [`JOURNAL_FORMAT`]; another one is refused.
    pub format: u32,
    /// The mark that every resource carries, which is the swarm's id as well.
    pub id: ClusterId,
    /// What is wanted.
    pub spec: ClusterSpec,
    /// Who made it: `user@workstation`.
    pub owner: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When its time is up; absent where it stays until somebody destroys it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The lease by which it stays; absent where nobody need hold one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// The prefixes that the operator was found to come from, where nothing was said about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operator: Vec<String>,
    /// How far it is as a whole.
    pub stage: Stage,
    /// The network and firewall.
    pub network: NetworkRecord,
    /// The machines, by number.
    pub machines: BTreeMap<u32, Machine>,
    /// The number of the next machine: numbers are never used again.
    pub next_number: u32,
}

/// How far a cluster is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// On its way up. Bootstrap files may be sent.
    Creating,
    /// The swarm stands. No bootstrap file is ever sent again.
    Formed,
    /// All of it was seen well.
    Ready,
    /// On its way down, from which there is no way back.
    Destroying,
}

impl Stage {
    /// The stage in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Formed => "formed",
            Self::Ready => "ready",
            Self::Destroying => "destroying",
        }
    }
}

/// What is known of network and firewall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkRecord {
    /// Nobody has asked for it yet.
    Absent,
    /// It was asked for; it may or may not exist.
    Intended,
    /// It exists.
    Exists(Network),
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its role at the time it was made; the swarm knows its present one.
    pub role: Role,
    /// How far it is.
    pub step: Step,
    /// What the provider made, once that is known.
    pub instance: Option<Instance>,
    /// The node that it is in the swarm, once that is known.
    pub node_id: Option<NodeId>,
    /// The host key (OpenSSH public key) that it made for itself, where it came with one that its user-data names. It
    /// is shown from the next session on, or about to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_host_key: Option<String>,
}

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It was asked for; it may or may not exist.
    Creating,
    /// It exists, and the agent is on its way to it.
    Installing,
    /// It is a member of the swarm.
    Joined,
    /// It is on its way out of swarm and provider.
    Leaving,
}

impl Step {
    /// The step in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Installing => "installing",
            Self::Joined => "joined",
            Self::Leaving => "leaving",
        }
    }
}

impl Journal {
    /// Begins the journal of a cluster of which nothing exists yet.
    pub fn begin(id: ClusterId, spec: ClusterSpec, owner: String, created_at: Timestamp) -> Self {
        Self {
            format: JOURNAL_FORMAT,
            id,
            spec,
            owner,
            created_at,
            expires: None,
            lease: None,
            operator: Vec::new(),
            stage: Stage::Creating,
            network: NetworkRecord::Absent,
            machines: BTreeMap::new(),
            next_number: 1,
        }
    }

    /// Records that a machine is wanted and returns its number.
    pub fn intend_machine(&mut self, role: Role, node_id: Option<NodeId>) -> u32 {
        let number = self.next_number;
        self.next_number += 1;
        self.machines
            .insert(number, Machine { role, step: Step::Creating, instance: None, node_id, own_host_key: None });
        number
    }

    /// The machine whose host name, name at the provider, or node id (or a prefix of it) is given.
    pub fn find_machine(&self, name: &str) -> Option<(u32, &Machine)> {
        let by_name = self
            .machines
            .iter()
            .find(|(number, _)| hostname(**number) == name || self.spec.machine_name(**number) == name);
        let by_id = || {
            let mut matches = self.machines.iter().filter(|(_, machine)| {
                machine.node_id.as_ref().is_some_and(|id| !name.is_empty() && id.as_str().starts_with(name))
            });
            matches.next().filter(|_| matches.next().is_none())
        };
        by_name.or_else(by_id).map(|(number, machine)| (*number, machine))
    }

    /// The prefixes that the operator is let in from, as far as they are known.
    pub fn let_in(&self) -> &[String] {
        let named = &self.spec.ingress.ssh_from;
        if named.is_empty() { &self.operator } else { named }
    }

    /// What the cluster asks of its provider as a whole.
    pub fn request(&self) -> ClusterRequest {
        ClusterRequest {
            id: self.id.clone(),
            name: self.spec.name.clone(),
            owner: self.owner.clone(),
            created_at: self.created_at,
            expires: self.expires,
            managers: self.spec.managers,
            workers: self.spec.workers,
            firewall: self.spec.ingress.rules(&self.operator),
            options: self.spec.options.clone(),
        }
    }

    /// The provider's ids of all machines that are known to exist.
    pub fn instance_ids(&self) -> Vec<InstanceId> {
        self.machines.values().filter_map(|machine| Some(machine.instance.as_ref()?.id.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn journal() -> Journal {
        let spec = ClusterSpec {
            name: "lab".to_owned(),
            provider: "fake".to_owned(),
            managers: 1,
            workers: 1,
            allow_even_managers: false,
            ingress: crate::ingress::Ingress::default(),
            options: driver::Options::default(),
        };
        Journal::begin(ClusterId("x".to_owned()), spec, "me@here".to_owned(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_number_is_never_used_again() {
        let mut journal = journal();
        journal.intend_machine(Role::Manager, None);
        let second = journal.intend_machine(Role::Worker, None);

        journal.machines.remove(&second);

        assert_eq!(journal.intend_machine(Role::Worker, None), 3);
    }

    #[test]
    fn a_machine_is_found_by_each_of_its_names() {
        let mut journal = journal();
        let id = NodeId::generate(&mut StdRng::seed_from_u64(1));
        journal.intend_machine(Role::Manager, Some(id.clone()));

        let check = |name: &str, expected: Option<u32>| {
            assert_eq!(journal.find_machine(name).map(|(number, _)| number), expected, "{name}");
        };
        check("node-1", Some(1));
        check("lab-node-1", Some(1));
        check(&id.as_str()[..6], Some(1));
        check("node-2", None);
        check("", None);
    }
}
