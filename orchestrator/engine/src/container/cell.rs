//! What everybody may see of a container, and how its actor is reached.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot, watch};

use super::actor::Command;
use super::{ContainerError, ContainerRecord, ContainerState, ContainerStatus, ContainerView};

/// How many commands wait for an actor that is busy; then their senders wait.
pub(super) const COMMANDS_WAITING: usize = 16;

/// What everybody may see of a container; its actor alone changes it.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) id: String,
    pub(super) folder: PathBuf,
    record: RwLock<Arc<ContainerRecord>>,
    state: watch::Sender<ContainerState>,
    commands: mpsc::Sender<Command>,
}

impl Cell {
    /// The cell of a container, and the commands that its actor is to take.
    pub(super) fn new(
        record: ContainerRecord,
        state: ContainerState,
        folder: PathBuf,
    ) -> (Arc<Self>, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS_WAITING);
        let id = record.id.clone();
        let record = RwLock::new(Arc::new(record));
        (Arc::new(Self { id, folder, record, state: watch::Sender::new(state), commands }), receiver)
    }

    pub(super) fn record(&self) -> Arc<ContainerRecord> {
        Arc::clone(&self.record.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_record(&self, record: ContainerRecord) {
        *self.record.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(record);
    }

    pub(super) fn state(&self) -> ContainerState {
        self.state.borrow().clone()
    }

    pub(super) fn set_state(&self, state: ContainerState) {
        self.state.send_replace(state);
    }

    pub(super) fn watch(&self) -> watch::Receiver<ContainerState> {
        self.state.subscribe()
    }

    pub(super) fn view(&self) -> ContainerView {
        ContainerView { record: self.record(), state: self.state() }
    }

    /// Asks the actor. It does what it was asked also where the caller does not wait for the answer.
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, ContainerError>>) -> Command,
    ) -> Result<T, ContainerError> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(command(reply)).await.is_ok()
            && let Ok(outcome) = answer.await
        {
            return outcome;
        }
        // The actor is gone: with the container, or with the agent.
        if self.state.borrow().status == ContainerStatus::Removing {
            return Err(ContainerError::NoSuchContainer(self.id.clone()));
        }
        Err(ContainerError::Closed)
    }
}
