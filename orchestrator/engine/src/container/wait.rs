//! Waiting for a container: until it does not run, until it ends the next time, until it is gone.

use tokio::sync::watch;

use super::{ContainerError, ContainerState, ContainerStatus, Containers};

/// What is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run, at once where it does not; or that its program ends, though it is to be started again.
    #[default]
    NotRunning,
    /// That its program ends, from now on.
    NextExit,
    /// That it is gone.
    Removed,
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitOutcome {
    /// How the program ended last.
    pub exit_code: i32,
    /// What else went wrong; mostly nothing.
    pub error: String,
}

/// A wait that has begun: it misses nothing that happens from then on.
#[derive(Debug)]
pub struct Wait {
    condition: WaitCondition,
    states: watch::Receiver<ContainerState>,
    ends: u64,
}

impl Containers {
    /// Begins to wait.
    pub fn wait(&self, name: &str, condition: WaitCondition) -> Result<Wait, ContainerError> {
        let states = self.cell(name)?.watch();
        let ends = states.borrow().ends;
        Ok(Wait { condition, states, ends })
    }

    /// What a container does from now on: for whoever waits for something else, such as its health. Closed once the
    /// container is gone.
    pub fn watch(&self, name: &str) -> Result<watch::Receiver<ContainerState>, ContainerError> {
        Ok(self.cell(name)?.watch())
    }
}

impl Wait {
    /// Waits until it has come to that. May be dropped, and called again.
    pub async fn outcome(&mut self) -> WaitOutcome {
        let (condition, ends) = (self.condition, self.ends);
        let is_met = move |state: &ContainerState| match condition {
            WaitCondition::NotRunning => !state.status.is_running() || state.ends != ends,
            WaitCondition::NextExit => state.ends != ends || state.status == ContainerStatus::Removing,
            // Closed with the container.
            WaitCondition::Removed => false,
        };
        // Closed: the container is gone, and its last state stays.
        let _ = self.states.wait_for(is_met).await;
        let state = self.states.borrow();
        // Who waited for the removal has it, whatever else went wrong before.
        let error = if condition == WaitCondition::Removed { String::new() } else { state.error.clone() };
        WaitOutcome { exit_code: state.exit_code, error }
    }
}
