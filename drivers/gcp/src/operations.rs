//! Waiting for operations: Google holds the answer until they end, for two minutes at most.

use driver::DriverError;
use google_cloud_compute_v1::model::Operation;
use google_cloud_compute_v1::model::operation::Status;
use tokio::time::Instant;

use crate::cloud::{Cloud, OPERATIONS};
use crate::failure;
use crate::machines::tail;

/// Whether an operation has ended, well or not.
pub(crate) fn is_done(operation: &Operation) -> bool {
    operation.status == Some(Status::Done)
}

impl Cloud {
    /// Waits until an operation has ended; `action` is what it does.
    pub(crate) async fn finish(&self, action: &str, mut operation: Operation) -> Result<(), DriverError> {
        let limit = self.environment.patience.limit;
        let deadline = Instant::now() + limit;
        while !is_done(&operation) {
            if Instant::now() >= deadline {
                return Err(DriverError::TimedOut { action: action.to_owned(), after: limit });
            }
            operation = self.look_at(action, &operation).await?;
            if !is_done(&operation) {
                // An overloaded server answers before the time.
                self.pause().await;
            }
        }
        failure::of_operation(action, &operation).map_or(Ok(()), Err)
    }

    async fn look_at(&self, action: &str, operation: &Operation) -> Result<Operation, DriverError> {
        let name = operation.name.as_deref().unwrap_or_default();
        match (operation.zone.as_deref(), operation.region.as_deref()) {
            (Some(zone), _) => {
                let zone = tail(Some(zone));
                self.call(OPERATIONS, action, |clients| {
                    let call = clients.zone_operations.wait().set_project(&clients.project);
                    call.set_zone(zone).set_operation(name).send()
                })
                .await
            }
            (None, Some(region)) => {
                let region = tail(Some(region));
                self.call(OPERATIONS, action, |clients| {
                    let call = clients.region_operations.wait().set_project(&clients.project);
                    call.set_region(region).set_operation(name).send()
                })
                .await
            }
            (None, None) => {
                self.call(OPERATIONS, action, |clients| {
                    clients.global_operations.wait().set_project(&clients.project).set_operation(name).send()
                })
                .await
            }
        }
    }
}
