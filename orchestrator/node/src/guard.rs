//! Keeps strangers from the ports that need no certificate: 7946 and 4789 are for members.
//!
//! ```text
//! raise: before the ports are opened ──> run: follows the roster, puts back what was flushed
//!          stop, restart, SIGKILL: the table stands      left the swarm ──> lift
//! ```
//!
//! The first roster is that of the bootstrap file. Where there is none, the table of the process before stands on until
//! the first session, and where there is no such table either, only the managers known are let in until then. This host
//! itself is always let in. Where the kernel refuses, the node says once what is not protected, and goes on.
//!
//! Reads the members in the managers' messages. Writes one packet filter table, replaced as a whole. Never judges who
//! is a member, and never touches a table of others.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent::AgentView;
use links::KernelError;
use links::nft::{self, Family};
use model::{DATA_PATH_PORT, GOSSIP_PORT, ManagerPeer};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::disk::NodeFile;
use crate::genesis::GenesisFile;
use crate::record::chain;

/// How often the table is looked for: `nft flush ruleset`, which reloading a firewall may do, takes it away.
const LOOK: Duration = Duration::from_secs(10);

/// The place of a node's table, for the life of the process. Cheap to clone; may be nowhere.
#[derive(Debug, Clone)]
pub(crate) struct GuardTable(Option<Arc<Place>>);

#[derive(Debug)]
struct Place {
    name: String,
    /// The kernel has refused, and that was told.
    is_refusal_told: AtomicBool,
}

impl GuardTable {
    /// A table of this name; without one, nothing is ever guarded.
    pub(crate) fn new(name: Option<String>) -> Self {
        Self(name.map(|name| Arc::new(Place { name, is_refusal_told: AtomicBool::new(false) })))
    }

    /// Opens the ports to everybody: the node is in no swarm.
    pub(crate) async fn lift(&self) {
        let Some(place) = &self.0 else { return };
        if let Err(error) = place.ask(|name| nft::remove(Family::Inet, name)).await {
            // Where nothing could be put in place, nothing is left behind either.
            debug!(error, "failed to remove the guard");
        }
    }
}

impl Place {
    /// Asks the kernel where that blocks nobody.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&str) -> Result<T, KernelError> + Send + 'static,
    ) -> Result<T, String> {
        let place = Arc::clone(self);
        let asked = tokio::task::spawn_blocking(move || question(&place.name)).await;
        asked.map_err(|error| error.to_string())?.map_err(|error| chain(&error))
    }

    async fn stands(self: &Arc<Self>) -> bool {
        let is_there = |name: &str| Ok(nft::tables()?.iter().any(|(_, existing)| existing == name));
        self.ask(is_there).await.unwrap_or(false)
    }

    /// Lets in these alone; `false` where the kernel refuses.
    async fn admit(self: &Arc<Self>, admitted: &BTreeSet<IpAddr>) -> bool {
        let admitted: Vec<IpAddr> = admitted.iter().copied().collect();
        let replace = move |name: &str| {
            let udp = [GOSSIP_PORT, DATA_PATH_PORT];
            nft::replace(&nft::members_only(name, &admitted, &udp, &[GOSSIP_PORT]))
        };
        match self.ask(replace).await {
            Ok(()) => true,
            Err(error) => {
                if !self.is_refusal_told.swap(true, Ordering::Relaxed) {
                    warn!(
                        error,
                        "ports 7946 and 4789 are not protected: strangers can send to them unless a firewall stops them"
                    );
                }
                false
            }
        }
    }
}

/// The guard of one membership.
#[derive(Debug)]
pub(crate) struct Guard {
    place: Arc<Place>,
    /// This node's own addresses in the swarm.
    own: Vec<IpAddr>,
    admitted: BTreeSet<IpAddr>,
    /// Who is let in is what the kernel was told.
    is_in_place: bool,
}

impl Guard {
    /// Guards the ports of a member that opens them next; nothing where the node has no table.
    pub(crate) async fn raise(table: &GuardTable, node: &NodeFile, genesis: Option<&GenesisFile>) -> Option<Self> {
        let place = Arc::clone(table.0.as_ref()?);
        let own: Vec<IpAddr> = [Some(node.advertise.ip()), node.data_path].into_iter().flatten().collect();
        let (others, is_roster) = match genesis {
            Some(genesis) => (addresses(&genesis.members()), true),
            None => (addresses(&node.managers), false),
        };
        let told = node.remotes.iter().map(SocketAddr::ip);
        let admitted: BTreeSet<IpAddr> = others.into_iter().chain(told).chain(own.iter().copied()).collect();
        // The table of the process before knew more than the managers.
        let is_in_place = (is_roster || !place.stands().await) && place.admit(&admitted).await;
        Some(Self { place, own, admitted, is_in_place })
    }

    /// Follows the managers' messages until cancelled. The table stands then: the membership may go on.
    pub(crate) async fn run(mut self, mut view: watch::Receiver<AgentView>, cancel: CancellationToken) {
        let mut look = interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first message may have come before this began.
        view.mark_changed();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = view.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let message = view.borrow_and_update().message.clone();
                    if let Some(message) = message {
                        self.learn(&message.members).await;
                    }
                }
                _ = look.tick() => self.look().await,
            }
        }
    }

    /// Lets in the members that the managers name. A list without anybody is no news: somebody must have sent it.
    async fn learn(&mut self, members: &[ManagerPeer]) {
        let admitted: BTreeSet<IpAddr> = addresses(members).into_iter().chain(self.own.iter().copied()).collect();
        if members.is_empty() || (self.is_in_place && self.admitted == admitted) {
            return;
        }
        self.admitted = admitted;
        self.is_in_place = self.place.admit(&self.admitted).await;
        if self.is_in_place {
            debug!(members = self.admitted.len(), "the guard follows the roster");
        }
    }

    /// Puts the table back where somebody took it away.
    async fn look(&mut self) {
        if self.place.stands().await {
            return;
        }
        let was_in_place = std::mem::replace(&mut self.is_in_place, self.place.admit(&self.admitted).await);
        if was_in_place && self.is_in_place {
            info!("somebody had removed the guard of ports 7946 and 4789; it is back");
        }
    }
}

fn addresses(peers: &[ManagerPeer]) -> Vec<IpAddr> {
    peers.iter().map(|peer| peer.addr.ip()).collect()
}

#[cfg(test)]
mod tests;
