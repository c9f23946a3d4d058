//! The managers' half of the swarm: what one decides and keeps for all nodes.
//!
//! ```text
//!  services on 2377         ┌ consensus      raft's messages                     every manager
//!                           ├ control        ── rules ──┐                        the leader; followers are answered
//!                           ├ certificates   ── policy ─┤                        "not me", with the leader's address
//!                           ├ membership     ───────────┤
//!                           ├ dispatcher     ── down ───┤
//!                           └ logs           ── merge ─── (in memory)
//!                                                       ▼
//!  the leader's term   dispatcher term, log broker, role and root reconcilers, former managers, record of who is reachable,
//!                      orchestrator, allocator, scheduler, constraint enforcer, task reaper, deallocator ─> store ─> raft
//!  every manager       proxy (reads and writes for the API), trust (roots and removed nodes at the door)
//! ```
//!
//! Components meet only in the store. What runs on the leader alone lives in [`leader`], in one set a term.

#![forbid(unsafe_code)]

mod allocator;
mod allowance;
mod anew;
mod certificates;
mod consensus;
mod control;
mod dispatcher;
mod enforcer;
mod former;
mod image_guide;
mod leader;
mod logs;
#[cfg(any(test, feature = "testing"))]
mod lone;
mod marks;
mod members;
mod membership;
mod orchestrator;
mod proxy;
mod reachability;
mod roles;
mod root;
mod scheduler;
mod seed;
#[cfg(test)]
mod testing;
mod trust;
mod words;

pub use consensus::RaftTransport;
pub use dispatcher::{RESTART_ALLOWANCE, Session, Signs, TERM_GRACE, Verdict, judge};
pub use logs::LogMessages;
#[cfg(any(test, feature = "testing"))]
pub use lone::LoneControl;
pub use proxy::{Access, Reading};
pub use reachability::is_reachable;
pub use root::given_root;
pub use scheduler::{Decision, Ledger, Outcome, Scheduler};
pub use seed::Genesis;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use engine::Lease;
use gossip::GossipView;
use model::{ControlResponse, ReadPoint, SwarmError};
use raft::{Peer, Raft};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rpc::{Connector, ControlCall, ControlService, PeerIdentity, TlsState};
use store::{Clock, Store, StoreClosed};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;

use certificates::Certificates;
use consensus::Consensus;
use control::Control;
use dispatcher::Dispatcher;
use image_guide::ImageGuide;
use leader::Leader;
use logs::LogBroker;
use members::RaftMembers;
use membership::{Membership, require_leader};
use proxy::AccessParts;

/// What a manager is built from.
#[derive(Debug)]
pub struct ManagerParts {
    /// This member of raft.
    pub me: Peer,
    /// The replicated state; run by the owner.
    pub store: Store,
    /// The member of raft; run by the owner.
    pub raft: Raft,
    /// Whom this process trusts at its door.
    pub tls: TlsState,
    /// Channels to other nodes.
    pub connector: Connector,
    /// What this node's gossip says of the members.
    pub gossip: watch::Receiver<GossipView>,
    /// The beginning of the swarm, where this manager is one of the first.
    pub genesis: Option<Genesis>,
    /// Raft begins anew with this manager as the only one, and the swarm does not show it yet.
    pub begins_anew: bool,
    /// The swarm's lease, as this node sees it.
    pub lease: Arc<Lease>,
    /// The wall clock.
    pub clock: Clock,
    /// Draws ids, secrets and spreads.
    pub rng: StdRng,
}

/// A manager.
#[derive(Debug)]
pub struct Manager {
    store: Store,
    raft: Raft,
    tls: TlsState,
    access: Access,
    control: Arc<ControlDoor>,
    certificates: Arc<Certificates>,
    membership: Arc<Membership>,
    dispatcher: Arc<Dispatcher>,
    logs: Arc<LogBroker>,
    image_guide: Arc<ImageGuide>,
    leader: Leader,
}

impl Manager {
    /// Builds a manager; nothing runs before [`run`](Self::run).
    pub fn new(parts: ManagerParts) -> Self {
        let ManagerParts { me, store, raft, tls, connector, gossip, genesis, begins_anew, lease, clock, mut rng } =
            parts;
        let members = Arc::new(RaftMembers(raft.clone()));
        let control = Control::new(store.clone(), members, clock.clone(), StdRng::from_rng(&mut rng));
        let dispatcher = Arc::new(Dispatcher::new(store.clone(), raft.clone(), lease, StdRng::from_rng(&mut rng)));
        let logs = Arc::new(LogBroker::new(raft.clone()));
        let counter_rng = StdRng::from_rng(&mut rng);
        Self {
            access: Access::new(AccessParts {
                me: me.raft_id,
                raft: raft.clone(),
                store: store.clone(),
                control: control.clone(),
                logs: Arc::clone(&logs),
                connector: connector.clone(),
                tls: tls.clone(),
            }),
            control: Arc::new(ControlDoor { raft: raft.clone(), control }),
            certificates: Arc::new(Certificates::new(store.clone(), raft.clone(), clock.clone(), counter_rng)),
            image_guide: Arc::new(ImageGuide::new(store.clone(), raft.clone())),
            membership: Arc::new(Membership::new(store.clone(), raft.clone(), connector)),
            leader: Leader {
                me,
                store: store.clone(),
                raft: raft.clone(),
                dispatcher: Arc::clone(&dispatcher),
                logs: Arc::clone(&logs),
                gossip,
                genesis,
                begins_anew,
                clock,
                rng: Mutex::new(StdRng::from_rng(&mut rng)),
            },
            dispatcher,
            logs,
            store,
            raft,
            tls,
        }
    }

    /// Reads and writes for the Engine API of this node.
    pub fn access(&self) -> Access {
        self.access.clone()
    }

    /// The services that other nodes call (2377/tcp).
    pub fn services(&self) -> Routes {
        Routes::new(rpc::raft_server(Arc::new(Consensus(self.raft.clone()))))
            .add_service(rpc::control_server(Arc::clone(&self.control)))
            .add_service(rpc::certificates_server(Arc::clone(&self.certificates)))
            .add_service(rpc::membership_server(Arc::clone(&self.membership)))
            .add_service(rpc::dispatcher_server(Arc::clone(&self.dispatcher)))
            .add_service(rpc::log_server(Arc::clone(&self.logs)))
            .add_service(rpc::image_guide_server(Arc::clone(&self.image_guide)))
    }

    /// Runs what a manager runs until cancelled: the terms in which it leads, and its trust.
    ///
    /// # Errors
    /// The store has stopped under it.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), StoreClosed> {
        let token = cancel.child_token();
        let leading = self.leader.run(token.clone());
        let trusting = async {
            let outcome = trust::keep(&self.store, &self.tls, token.clone()).await;
            token.cancel();
            outcome
        };
        let ((), outcome) = tokio::join!(leading, trusting);
        outcome
    }
}

/// Control as the leader offers it to the other managers.
#[derive(Debug)]
struct ControlDoor {
    raft: Raft,
    control: Control,
}

#[async_trait]
impl ControlService for ControlDoor {
    async fn execute(&self, _caller: PeerIdentity, call: ControlCall) -> Result<ControlResponse, Status> {
        require_leader(&self.raft)?;
        self.control.execute(&call.caller, call.request).await.map_err(rpc::to_status)
    }

    async fn read_point(&self, _caller: PeerIdentity) -> Result<ReadPoint, Status> {
        require_leader(&self.raft)?;
        let unavailable = |error: raft::ProposeError| rpc::to_status(SwarmError::unavailable(error.to_string()));
        self.raft.read_point().await.map_err(unavailable)
    }
}
