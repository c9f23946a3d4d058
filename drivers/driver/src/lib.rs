//! The contract between swarmup and the providers of machines.
//!
//! A driver creates and destroys machines at one provider; it knows no templates, no swarm and no other driver.
//! Every method may be repeated after a crash: what exists already is returned, what is gone already counts as
//! destroyed. Every resource carries the cluster's mark from the call that creates it.

#![forbid(unsafe_code)]

mod clock;
pub mod cloud;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod keep;
mod machine;
mod mark;
mod options;
mod pace;
pub mod program;
mod resource;
mod retry;
mod wait;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

pub use clock::clock_is_off;
pub use error::DriverError;
pub use machine::{Access, Console, Instance, InstanceId, InstanceState, MachineRequest, SshAccess};
pub use mark::{Mark, TAG_CLUSTER, TAG_CREATED, TAG_EXPIRES, TAG_ID, TAG_OWNER};
pub use options::{OptionSpec, OptionValue, Options};
pub use pace::{Pace, Rate};
pub use resource::{
    Capabilities, ClusterId, ClusterRequest, Estimate, Expiry, FirewallRule, Network, Preflight, Price, Progress,
    Protocol, Resource, RuleSource, Silent,
};
pub use retry::{Backoff, retry};
pub use wait::{Wait, wait_until};

/// Creates and destroys the machines of a cluster at one provider.
///
/// Every method may be repeated after a crash: what exists already is returned, what is gone already counts as destroyed.
#[async_trait]
pub trait Driver: Debug + Send + Sync {
    /// What this provider can do.
    fn capabilities(&self) -> Capabilities;

    /// Credentials, permissions, quota, hypervisor. Changes nothing; names what it could not check.
    async fn preflight(&self, request: &ClusterRequest) -> Result<Preflight, DriverError>;

    /// Calls, seconds and price of this request.
    async fn estimate(&self, request: &ClusterRequest) -> Result<Estimate, DriverError>;

    /// Network and firewall shared by the machines; called again when the rules change.
    async fn ensure_network(&self, request: &ClusterRequest) -> Result<Network, DriverError>;

    /// Creates the machines together and reports each as it appears. Machines of one group share user-data.
    async fn create(
        &self,
        network: &Network,
        machines: &[MachineRequest],
        progress: &dyn Progress,
    ) -> Result<Vec<Instance>, DriverError>;

    /// Starts machines; addresses may have changed.
    async fn start(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError>;

    /// Stops machines, which keep their disks.
    async fn stop(&self, ids: &[InstanceId]) -> Result<(), DriverError>;

    /// Has a machine that comes with the agent's binary start with this one from its next start on; one that runs keeps
    /// what it has. Does nothing where machines keep the agent on their disks.
    async fn set_agent(&self, _id: &InstanceId, _agent: &Path) -> Result<(), DriverError> {
        Ok(())
    }

    /// Moves the provider's own expiry, where it has one.
    async fn extend(&self, cluster: &ClusterId, expires: Timestamp) -> Result<(), DriverError>;

    /// What a machine runs, as root and by `sh`, to end itself where powering off does not destroy it at this provider;
    /// absent where powering off is all there is to do. It may be run more than once and on several machines at a time,
    /// and what follows it is powering off. Changes nothing.
    fn farewell(&self, _mark: &Mark) -> Option<String> {
        None
    }

    /// The regions of the account ([`cloud::REGION`]) by name, each with a driver that sees it, where a driver sees only
    /// the one that its options name; empty where it sees all there is. Changes nothing.
    async fn regions(&self) -> Result<BTreeMap<String, Arc<dyn Driver>>, DriverError> {
        Ok(BTreeMap::new())
    }

    /// The console of a machine, for diagnosis.
    async fn console(&self, id: &InstanceId) -> Result<Console, DriverError>;

    /// Destroys machines with all that came with them. On return none of them is charged any more; some may still be
    /// vanishing.
    async fn destroy(&self, ids: &[InstanceId]) -> Result<(), DriverError>;

    /// Removes what [`ensure_network`](Driver::ensure_network) made, once the machines that vanish from it are gone; one
    /// with machines in it that stay is left and refused, unless the driver
    /// [removes the machines with it](Capabilities::removes_machines_with_network). On return the provider needs to be
    /// asked no more; what it is still removing is found as vanishing.
    async fn remove_network(&self, cluster: &ClusterId) -> Result<(), DriverError>;

    /// Everything at the provider that carries this cluster's mark; with `None`, of every cluster. What is vanishing
    /// is in it.
    async fn find(&self, cluster: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError>;
}
