//! What the machines of a cluster share, and what carries the cluster's mark.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{InstanceId, Mark, Options};

/// The mark of a cluster, carried by every resource: unique for ever, unlike its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub String);

impl fmt::Display for ClusterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a cluster asks of its provider as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRequest {
    /// The mark.
    pub id: ClusterId,
    /// The name.
    pub name: String,
    /// Who owns it: `user@workstation`.
    pub owner: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When its time is up; absent where it stays until somebody destroys it.
    pub expires: Option<Timestamp>,
    /// How many managers there shall be.
    pub managers: u32,
    /// How many workers there shall be.
    pub workers: u32,
    /// The rules between the members and from outside. A driver with a firewall of its own is given the operator's
    /// address as a prefix, never as [`RuleSource::Operator`].
    pub firewall: Vec<FirewallRule>,
    /// The provider's own options.
    pub options: Options,
}

impl ClusterRequest {
    /// What every resource of the cluster carries.
    pub fn mark(&self) -> Mark {
        Mark {
            cluster: self.id.clone(),
            name: self.name.clone(),
            owner: self.owner.clone(),
            created_at: self.created_at,
            expires: self.expires,
        }
    }
}

/// What may reach the machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// The protocol.
    pub protocol: Protocol,
    /// The port; absent for protocols that have none.
    pub port: Option<u16>,
    /// From where.
    pub source: RuleSource,
}

/// A protocol that a firewall tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ESP, of `IPsec`.
    Esp,
}

/// Where packets may come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleSource {
    /// The members of the cluster.
    Members,
    /// The address that the operator comes from, as the provider or the machines see it.
    Operator,
    /// A prefix (CIDR).
    Prefix(String),
}

/// What this provider can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent abilities, each asked for by name")]
pub struct Capabilities {
    /// Several machines in one call.
    pub has_batch_create: bool,
    /// Machines can be stopped and started.
    pub has_stop_start: bool,
    /// Who ends machines when their time is up.
    pub expiry: Expiry,
    /// The end of machines that run can be moved.
    pub has_movable_expiry: bool,
    /// It hands machines the host key that we chose.
    pub has_pinned_host_keys: bool,
    /// It has spot machines.
    pub has_spot: bool,
    /// The machines are given, not created: they exist before and after the cluster.
    pub machines_are_given: bool,
    /// It has a firewall of its own before the machines.
    pub has_firewall: bool,
    /// Its machines run cloud-init on the user-data that they are given.
    pub has_user_data: bool,
    /// Removing the network takes the machines in it along, in one call.
    pub removes_machines_with_network: bool,
}

/// Who ends machines when their time is up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// Nobody: what is left over costs money until somebody destroys it.
    #[default]
    Nobody,
    /// The provider, without the machine's help.
    Provider,
    /// The machine ends itself: by powering off, which destroys it at this provider, or by what
    /// [`Driver::farewell`](crate::Driver::farewell) says. Root on the machine can prevent it.
    Machine,
}

/// What preflight found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// What was checked and is well.
    pub checked: Vec<String>,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
}

/// What a request takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The resources that it would make, one line each: `3 x t3.small (managers)`.
    pub resources: Vec<String>,
    /// The calls, one line each, in order.
    pub calls: Vec<String>,
    /// Those of the calls that wait for one another: the shortest time that creating takes.
    pub path: Vec<String>,
    /// Seconds until the last machine answers.
    pub seconds: f64,
    /// What it costs; absent where nothing is charged, or the driver does not know.
    pub price: Option<Price>,
}

/// What something costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// By the hour, all machines with their disks and addresses, without traffic.
    pub per_hour: f64,
    /// The currency (ISO 4217).
    pub currency: String,
    /// The day on which the table was made (ISO 8601): prices change.
    pub as_of: String,
}

/// The network that the machines share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// The prefix (CIDR) of the machines' addresses, where the driver chose one.
    pub prefix: Option<String>,
    /// What the driver wants to find again: ids, names.
    pub handles: Options,
}

/// Something at the provider that carries a cluster's mark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// The cluster whose mark it carries.
    pub cluster: ClusterId,
    /// The cluster's name, where the mark tells.
    pub cluster_name: Option<String>,
    /// What it is: `machine`, `network`, `firewall`, `disk`.
    pub kind: String,
    /// Its name or id at the provider.
    pub name: String,
    /// Its instance id, where it is a machine.
    pub instance: Option<InstanceId>,
    /// Who owns the cluster, where the mark tells.
    pub owner: Option<String>,
    /// When the cluster was begun, where the mark tells.
    pub created_at: Option<Timestamp>,
    /// When its time is up, where the mark tells.
    pub expires: Option<Timestamp>,
    /// What it costs, where the driver knows.
    pub price: Option<Price>,
    /// The provider is removing it already; nothing more need be asked of it.
    pub is_vanishing: bool,
}

impl Resource {
    /// A resource of which nothing is known but whose it is, what it is and what it is called.
    pub fn new(cluster: ClusterId, kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            cluster,
            cluster_name: None,
            kind: kind.into(),
            name: name.into(),
            instance: None,
            owner: None,
            created_at: None,
            expires: None,
            price: None,
            is_vanishing: false,
        }
    }
}

/// Hears what a driver is doing while it does it.
pub trait Progress: Send + Sync {
    /// A machine is being worked on: `what` is a clause such as "waiting for an address".
    fn machine(&self, name: &str, what: &str);

    /// A machine exists; it can be reached from now on.
    fn appeared(&self, instance: &crate::Instance, at: Option<IpAddr>);
}

/// Hears and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn machine(&self, _name: &str, _what: &str) {}

    fn appeared(&self, _instance: &crate::Instance, _at: Option<IpAddr>) {}
}
