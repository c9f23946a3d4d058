//! The executor of a node that runs no containers: it says so of every task.

use std::sync::Arc;

use async_trait::async_trait;
use model::{ContainerStatus, PortConfig, Task};

use crate::controller::{Controller, Executor, TaskFailure};

/// Rejects every task that is assigned to the node, with the reason.
#[derive(Debug, Clone, Copy, Default)]
pub struct RefusingExecutor;

impl Executor for RefusingExecutor {
    fn controller(&self, _: &Task) -> Arc<dyn Controller> {
        Arc::new(Refusal)
    }
}

#[derive(Debug)]
struct Refusal;

#[async_trait]
impl Controller for Refusal {
    async fn prepare(&self) -> Result<(), TaskFailure> {
        Err(TaskFailure::fatal("this node runs no containers"))
    }

    async fn start(&self) -> Result<(), TaskFailure> {
        self.prepare().await
    }

    async fn wait(&self) -> Result<(), TaskFailure> {
        self.prepare().await
    }

    async fn shutdown(&self) -> Result<(), TaskFailure> {
        Ok(())
    }

    async fn remove(&self) -> Result<(), TaskFailure> {
        Ok(())
    }

    async fn observe(&self) -> (Option<ContainerStatus>, Vec<PortConfig>) {
        (None, Vec::new())
    }
}
