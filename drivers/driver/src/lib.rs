//! The contract between swarmup and the providers of machines.
//!
//! A driver creates and destroys machines at one provider; it knows no templates, no swarm and no other driver.
//! Every method may be repeated after a crash: what exists already is returned, what is gone already counts as
//! destroyed. Every resource carries the cluster's mark from the call that creates it.

#![forbid(unsafe_code)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod keep;
mod machine;
mod options;
mod resource;
mod retry;
mod wait;

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;

pub use error::DriverError;
pub use machine::{Access, Console, Instance, InstanceId, InstanceState, MachineRequest, SshAccess};
pub use options::{OptionSpec, OptionValue, Options};
pub use resource::{
    Capabilities, ClusterId, ClusterRequest, Estimate, FirewallRule, Network, Preflight, Progress, Protocol, Resource,
    RuleSource, Silent,
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

    /// Moves the provider's own expiry, where it has one.
    async fn extend(&self, cluster: &ClusterId, expires: Timestamp) -> Result<(), DriverError>;

    /// The console of a machine, for diagnosis.
    async fn console(&self, id: &InstanceId) -> Result<Console, DriverError>;

    /// Destroys machines with all that came with them.
    async fn destroy(&self, ids: &[InstanceId]) -> Result<(), DriverError>;

    /// Removes what [`ensure_network`](Driver::ensure_network) made.
    async fn remove_network(&self, cluster: &ClusterId) -> Result<(), DriverError>;

    /// Everything at the provider that carries this cluster's mark; with `None`, of every cluster.
    async fn find(&self, cluster: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError>;
}
