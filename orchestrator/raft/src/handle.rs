//! The handle of a member: what it is made of, how it opens and how it stops.
//!
//! What it does is in the files beside: [`serve`](crate::serve) answers other members, [`pulse`](crate::pulse) beats
//! and watches, [`election`](crate::election) replaces a lost leader, [`formation`](crate::formation) starts a group,
//! [`members`](crate::members) changes it, [`handover`](crate::handover) passes leadership on, and
//! [`propose`](crate::propose) is what all of it is for.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::RaftId;
use openraft::{Config, ServerState, SnapshotPolicy};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::applier::Applier;
use crate::contact::Contacts;
use crate::delay::DelayMeter;
use crate::gate::Gate;
use crate::log::{Log, LogSize};
use crate::network::Network;
use crate::seal::Sealer;
use crate::sync::lock;
use crate::types::{Core, Metrics};
use crate::{DataKey, OpenError, Peer, RaftFailure, RaftSettings, RaftStatus, StateMachine, Transport, quorum};

/// The largest chunk of a snapshot: it fits a message with room for its description.
const SNAPSHOT_CHUNK_BYTES: u64 = 1 << 20;

/// A member of the raft group. Cheap to clone; every clone is the same member.
#[derive(Debug, Clone)]
pub struct Raft {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) me: Peer,
    pub(crate) settings: RaftSettings,
    pub(crate) core: Core,
    pub(crate) log: Log,
    pub(crate) network: Network,
    pub(crate) contacts: Arc<Contacts>,
    pub(crate) status: watch::Sender<RaftStatus>,
    pub(crate) gate: Gate,
    /// Heartbeats are off while leadership is handed over.
    pub(crate) is_muted: AtomicBool,
    /// Held while the membership changes: openraft takes one change at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
    pub(crate) delays: Mutex<DelayMeter>,
    pub(crate) rng: Mutex<StdRng>,
    pub(crate) removed: Arc<Mutex<BTreeSet<u64>>>,
    applied: watch::Receiver<u64>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Raft").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Raft {
    /// Opens the log in `dir`, brings the state machine to where the log says it was, and takes part in the group.
    ///
    /// The member answers others and follows at once; it leads, elects and keeps its log short only while
    /// [`run`](Self::run) runs. `rng` must not repeat itself from one start to the next: nonces are drawn from it.
    ///
    /// # Errors
    /// A log that is damaged, or sealed with another key; nothing is overwritten then.
    pub async fn open(
        settings: RaftSettings,
        dir: &Path,
        key: DataKey,
        me: Peer,
        transport: Arc<dyn Transport>,
        machine: Arc<dyn StateMachine>,
        mut rng: StdRng,
    ) -> Result<Self, OpenError> {
        let config = config(&settings)?;
        let sealer = Sealer::new(&key, StdRng::from_rng(&mut rng));
        let directory = dir.to_owned();
        let id = me.raft_id.0;
        let opened = tokio::task::spawn_blocking(move || -> Result<_, OpenError> {
            let log = Log::open(&directory, sealer)?;
            log.resign(id);
            let applier = Applier::open(machine, log.clone())?;
            Ok((log, applier))
        });
        let (log, feeder) = opened.await.map_err(|error| OpenError::Start(error.to_string()))??;

        let now = Instant::now();
        let contacts = Arc::new(Contacts::new(now));
        let network =
            Network { me: me.raft_id.0, transport, contacts: Arc::clone(&contacts), is_removed: Arc::default() };
        let removed = feeder.removed();
        let applied = feeder.applied();
        let core = Core::new(me.raft_id.0, Arc::new(config), network.clone(), log.clone(), feeder)
            .await
            .map_err(|fatal| OpenError::Start(fatal.to_string()))?;

        let delays = Mutex::new(DelayMeter::new(now, settings.max_stretch));
        let shared = Shared {
            me,
            settings,
            core,
            log,
            network,
            contacts,
            status: watch::Sender::default(),
            gate: Gate::default(),
            is_muted: AtomicBool::new(false),
            changing: tokio::sync::Mutex::default(),
            delays,
            rng: Mutex::new(rng),
            removed,
            applied,
        };
        let raft = Self { shared: Arc::new(shared) };
        raft.refresh_status();
        Ok(raft)
    }

    /// This member.
    pub fn me(&self) -> &Peer {
        &self.shared.me
    }

    /// Whether this member has ever been part of a group.
    pub async fn is_formed(&self) -> Result<bool, RaftFailure> {
        self.shared.core.is_initialized().await.map_err(|fatal| RaftFailure(fatal.to_string()))
    }

    /// What this member knows of the group, now and from now on.
    pub fn status(&self) -> watch::Receiver<RaftStatus> {
        self.shared.status.subscribe()
    }

    /// Members that the leader has not heard from of late; empty on others.
    pub fn unreachable(&self) -> Vec<RaftId> {
        let status = self.shared.status.borrow();
        if !status.is_leader {
            return Vec::new();
        }
        let patience = self.shared.settings.unreachable_after + self.stretch();
        let members: Vec<u64> = status.members.keys().map(|id| id.0).collect();
        let silent = self.shared.contacts.silent(self.id(), members.iter(), patience, Instant::now());
        silent.into_iter().map(RaftId).collect()
    }

    /// Whether removing this member would leave a group that cannot decide with those that are reachable now.
    pub fn would_lose_quorum_without(&self, member: RaftId) -> bool {
        let voters: BTreeSet<u64> = self.shared.status.borrow().voters().map(|id| id.0).collect();
        let unreachable = self.unreachable();
        voters.contains(&member.0)
            && !quorum::survives_without(&voters, member.0, |voter| !unreachable.contains(&RaftId(voter)))
    }

    /// Whether this id belonged to a member that was removed: it never comes back.
    pub fn was_removed(&self, member: RaftId) -> bool {
        lock(&self.shared.removed).contains(&member.0)
    }

    /// How long the log is.
    pub fn log_size(&self) -> LogSize {
        self.shared.log.size()
    }

    /// Waits until the entry is applied here.
    ///
    /// # Errors
    /// The member stopped before that.
    pub async fn wait_applied(&self, index: u64) -> Result<(), RaftFailure> {
        let mut applied = self.shared.applied.clone();
        let waited = applied.wait_for(|applied| *applied >= index).await;
        waited.map(drop).map_err(|_| RaftFailure("it was stopped".to_owned()))
    }

    /// Stops the member and closes its file, which may then be opened again.
    pub async fn shutdown(&self) {
        if let Err(error) = self.shared.core.shutdown().await {
            tracing::error!(%error, "raft stopped by a panic");
        }
        self.shared.log.close().await;
    }

    pub(crate) fn id(&self) -> u64 {
        self.shared.me.raft_id.0
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.shared.core.metrics().borrow().clone()
    }

    /// What limits of time are stretched by, because this process is woken late.
    pub(crate) fn stretch(&self) -> Duration {
        lock(&self.shared.delays).stretch()
    }

    /// Draws a time between two.
    pub(crate) fn draw(&self, from: Duration, to: Duration) -> Duration {
        let share = f64::from(lock(&self.shared.rng).next_u32()) / f64::from(u32::MAX);
        from + to.saturating_sub(from).mul_f64(share)
    }

    /// Brings the status up to date with openraft, with who was heard from, and with the clock.
    pub(crate) fn refresh_status(&self) {
        let now = Instant::now();
        let metrics = self.metrics();
        let leads = metrics.state == ServerState::Leader;
        let stretch = self.stretch();
        let Shared { contacts, settings, me, .. } = &*self.shared;
        contacts.set_leading(leads, now);

        let membership = metrics.membership_config.membership();
        let voters = membership.get_joint_config();
        let is_removed = self.shared.network.is_removed.load(Ordering::Relaxed);
        let is_leader =
            leads && !is_removed && contacts.has_quorum(me.raft_id.0, voters, settings.quorum_patience + stretch, now);
        let members = membership.nodes().filter_map(|(id, member)| {
            let is_voter = voters.iter().any(|set| set.contains(id));
            Some((RaftId(*id), (member.0.clone()?, is_voter)))
        });
        let members = members.collect::<std::collections::BTreeMap<_, _>>();
        let is_heard = contacts.leader_silence(now) <= settings.election_max + stretch;
        let leader = match metrics.current_leader {
            Some(id) if id == me.raft_id.0 => is_leader.then(|| me.clone()),
            Some(id) if is_heard && !is_removed => members.get(&RaftId(id)).map(|(peer, _)| peer.clone()),
            Some(_) | None => None,
        };
        let last_applied = metrics.last_applied.map_or(0, |id| id.index);
        let status = RaftStatus { leader, is_leader, term: metrics.current_term, members, last_applied, is_removed };
        self.shared.status.send_if_modified(|known| {
            let is_new = *known != status;
            if is_new {
                *known = status;
            }
            is_new
        });
    }
}

/// openraft's settings. Its own election timer and heartbeats are off: ours stretch, ask beforehand, and can be held.
fn config(settings: &RaftSettings) -> Result<Config, OpenError> {
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let lease = milliseconds(settings.lease);
    let config = Config {
        cluster_name: "swarm".to_owned(),
        enable_elect: false,
        enable_heartbeat: false,
        // openraft's name for how long a voter is bound to the leader it heard from.
        election_timeout_max: lease,
        election_timeout_min: lease.saturating_sub(1),
        // openraft's name, with its heartbeats off, for how long an append may take.
        heartbeat_interval: milliseconds(settings.append_timeout),
        install_snapshot_timeout: milliseconds(settings.snapshot_chunk_timeout),
        snapshot_max_chunk_size: SNAPSHOT_CHUNK_BYTES,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(settings.max_log_entries.saturating_sub(settings.kept_entries)),
        max_in_snapshot_log_to_keep: settings.kept_entries,
        replication_lag_threshold: settings.max_log_entries,
        ..Config::default()
    };
    config.validate().map_err(|error| OpenError::Settings(error.to_string()))
}
