//! The contract, over Compute Engine.

use async_trait::async_trait;
use driver::{
    Capabilities, ClusterId, ClusterRequest, Console, Driver, DriverError, Estimate, Expiry, Instance, InstanceId,
    MachineRequest, Mark, Network, Preflight, Progress, Resource,
};
use jiff::Timestamp;

use crate::cloud::Cloud;
use crate::estimate::estimate;
use crate::farewell;

#[async_trait]
impl Driver for Cloud {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            has_batch_create: true,
            has_stop_start: true,
            expiry: Expiry::Provider,
            has_movable_expiry: false,
            has_pinned_host_keys: true,
            has_spot: true,
            machines_are_given: false,
            has_firewall: true,
            has_user_data: true,
            removes_machines_with_network: false,
        }
    }

    async fn preflight(&self, request: &ClusterRequest) -> Result<Preflight, DriverError> {
        Box::pin(self.preflight(request)).await
    }

    async fn estimate(&self, request: &ClusterRequest) -> Result<Estimate, DriverError> {
        estimate(request, &self.settings, &self.environment)
    }

    async fn ensure_network(&self, request: &ClusterRequest) -> Result<Network, DriverError> {
        Box::pin(self.ensure_network(request)).await
    }

    async fn create(
        &self,
        network: &Network,
        machines: &[MachineRequest],
        progress: &dyn Progress,
    ) -> Result<Vec<Instance>, DriverError> {
        Box::pin(self.create(network, machines, progress)).await
    }

    async fn start(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError> {
        Box::pin(self.start(ids)).await
    }

    async fn stop(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        Box::pin(self.stop(ids)).await
    }

    async fn extend(&self, cluster: &ClusterId, expires: Timestamp) -> Result<(), DriverError> {
        Box::pin(self.extend(cluster, expires)).await
    }

    fn farewell(&self, mark: &Mark) -> Option<String> {
        let endpoint = self.environment.address();
        self.settings.service_account.as_ref().map(|_| farewell::script(endpoint.as_deref(), mark))
    }

    async fn console(&self, id: &InstanceId) -> Result<Console, DriverError> {
        Box::pin(self.console(id)).await
    }

    async fn destroy(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        Box::pin(self.destroy(ids)).await
    }

    async fn remove_network(&self, cluster: &ClusterId) -> Result<(), DriverError> {
        Box::pin(self.remove_network(cluster)).await
    }

    async fn find(&self, cluster: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError> {
        Box::pin(self.find(cluster)).await
    }
}
