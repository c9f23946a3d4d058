//! What an operator may ask of a swarm, over a store whose only member leads, without raft, certificates and nodes: for
//! the tests of what stands above the manager.

use std::sync::Arc;

use model::{Caller, ControlRequest, ControlResponse, ServiceId, SwarmError};
use rand::rngs::StdRng;
use store::{Clock, MemoryProposer, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::control::rules::Members;

/// A raft group without members, so that only the rules of the store decide.
#[derive(Debug)]
pub(crate) struct NoMembers;

impl Members for NoMembers {
    fn is_member(&self, _node: &model::NodeId) -> bool {
        false
    }

    fn would_lose_quorum_without(&self, _node: &model::NodeId) -> bool {
        false
    }
}

/// A store and its control; they answer for as long as this is held.
#[derive(Debug)]
pub struct LoneControl {
    store: Store,
    control: Control,
    _tasks: JoinSet<()>,
}

impl LoneControl {
    /// Starts with an empty store. Needs a runtime.
    pub fn start(rng: StdRng) -> Self {
        let store = Store::new(Clock::system());
        let (running, proposer) = (store.clone(), Arc::new(MemoryProposer::new(&store)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { running.run(proposer, CancellationToken::new()).await });
        let control = Control::new(store.clone(), Arc::new(NoMembers), Clock::system(), rng);
        Self { store, control, _tasks: tasks }
    }

    /// The store, to look at and to do in it what other components do.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Draws the id of a service that is to be created.
    pub fn new_service_id(&self) -> ServiceId {
        self.control.draw_service_id()
    }

    /// Executes a change as the leader does.
    ///
    /// # Errors
    /// The rule that forbids it, in Docker's words.
    pub async fn execute(&self, caller: &Caller, request: ControlRequest) -> Result<ControlResponse, SwarmError> {
        self.control.execute(caller, request).await
    }
}
