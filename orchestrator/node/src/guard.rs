//! Keeps strangers from the ports that need no certificate: 7946 and 4789 are for members.
//!
//! ```text
//! raise: before the ports are opened ──> run: follows the roster, puts back what was flushed
//!          stop, restart, SIGKILL: the table stands      left the swarm ──> lift
//! ```
//!
//! The first roster is that of the bootstrap file, or the one that the managers named last. Where there is none, the table
//! of the process before stands on until the first session, and where there is no such table either, only the managers
//! known are let in until then. This host itself is always let in. A node that finds no manager for a while opens 7946,
//! and 7946 alone, until it has found one: its manager may send from a new address, and what members send there is
//! sealed. Where the kernel refuses, the node says once what is not protected, and goes on.
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
use model::{DATA_PATH_PORT, GOSSIP_PORT, ManagerPeer, with_causes};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::disk::NodeFile;

/// After how long without a manager this node may be looked for from an address that it does not know.
const LOST: Duration = Duration::from_secs(5);
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
        asked.map_err(|error| error.to_string())?.map_err(|error| with_causes(&error))
    }

    async fn stands(self: &Arc<Self>) -> bool {
        let is_there = |name: &str| Ok(nft::tables()?.iter().any(|(_, existing)| existing == name));
        self.ask(is_there).await.unwrap_or(false)
    }

    /// Lets in these alone, to gossip anybody where the node is lost; `false` where the kernel refuses.
    async fn admit(self: &Arc<Self>, admitted: &BTreeSet<IpAddr>, is_lost: bool) -> bool {
        let admitted: Vec<IpAddr> = admitted.iter().copied().collect();
        let replace = move |name: &str| {
            let udp: &[u16] = if is_lost { &[DATA_PATH_PORT] } else { &[GOSSIP_PORT, DATA_PATH_PORT] };
            nft::replace(&nft::members_only(name, &admitted, udp, &[GOSSIP_PORT]))
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
    /// No manager has been in session with this node for a while.
    is_lost: bool,
}

impl Guard {
    /// Guards the ports of a member that opens them next, for the members known; nothing where the node has no table.
    pub(crate) async fn raise(table: &GuardTable, node: &NodeFile, members: &[ManagerPeer]) -> Option<Self> {
        let place = Arc::clone(table.0.as_ref()?);
        let own: Vec<IpAddr> = [Some(node.advertise.ip()), node.data_path].into_iter().flatten().collect();
        let is_roster = !members.is_empty();
        let others = addresses(if is_roster { members } else { &node.managers });
        let told = node.remotes.iter().map(SocketAddr::ip);
        let admitted: BTreeSet<IpAddr> = others.into_iter().chain(told).chain(own.iter().copied()).collect();
        // The table of the process before knew more than the managers.
        let is_in_place = (is_roster || !place.stands().await) && place.admit(&admitted, false).await;
        Some(Self { place, own, admitted, is_in_place, is_lost: false })
    }

    /// Follows the managers' messages until cancelled. The table stands then: the membership may go on.
    pub(crate) async fn run(mut self, mut view: watch::Receiver<AgentView>, cancel: CancellationToken) {
        let mut look = interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first message may have come before this began.
        view.mark_changed();
        let mut alone_since = Some(Instant::now());
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = view.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let (message, is_alone) = {
                        let view = view.borrow_and_update();
                        (view.message.clone(), view.manager.is_none())
                    };
                    alone_since = is_alone.then(|| alone_since.unwrap_or_else(Instant::now));
                    if !is_alone {
                        self.lose(false).await;
                    }
                    if let Some(message) = message {
                        self.learn(&message.members).await;
                    }
                }
                () = until(alone_since.filter(|_| !self.is_lost).map(|since| since + LOST)) => self.lose(true).await,
                _ = look.tick() => self.look().await,
            }
        }
    }

    /// Opens the port of the gossip while no manager is to be found, so that one that has moved can be heard: what is
    /// sealed by a member tells itself from what is not. Closes it again with the first session.
    async fn lose(&mut self, is_lost: bool) {
        // A table of the process before stays as it is: it knows more.
        if self.is_lost == is_lost || !self.is_in_place {
            self.is_lost = is_lost;
            return;
        }
        self.is_lost = is_lost;
        self.is_in_place = self.place.admit(&self.admitted, is_lost).await;
        if is_lost {
            info!("no manager is to be found: port 7946 is open until one has been");
        }
    }

    /// Lets in the members that the managers name. A list without anybody is no news: somebody must have sent it.
    async fn learn(&mut self, members: &[ManagerPeer]) {
        let admitted: BTreeSet<IpAddr> = addresses(members).into_iter().chain(self.own.iter().copied()).collect();
        if members.is_empty() || (self.is_in_place && self.admitted == admitted) {
            return;
        }
        self.admitted = admitted;
        self.is_in_place = self.place.admit(&self.admitted, self.is_lost).await;
        if self.is_in_place {
            debug!(members = self.admitted.len(), "the guard follows the roster");
        }
    }

    /// Puts the table back where somebody took it away.
    async fn look(&mut self) {
        if self.place.stands().await {
            return;
        }
        let was_in_place =
            std::mem::replace(&mut self.is_in_place, self.place.admit(&self.admitted, self.is_lost).await);
        if was_in_place && self.is_in_place {
            info!("somebody had removed the guard of ports 7946 and 4789; it is back");
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn addresses(peers: &[ManagerPeer]) -> Vec<IpAddr> {
    peers.iter().map(|peer| peer.addr.ip()).collect()
}

#[cfg(test)]
mod tests;
