//! A group to test with: members, the network between them, and a state machine that remembers what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::{NodeId, RaftId};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::sync::lock;
use crate::{
    ApplyError, Committed, DataKey, HandleError, MAX_MESSAGE_BYTES, Peer, ProposeError, Raft, RaftCallKind,
    RaftFailure, RaftSettings, RaftStatus, RestoreError, SnapshotWriter, StateMachine, Transport, TransportError,
    codec,
};

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_mins(1);

/// A member by its number.
pub(crate) fn peer(id: u64) -> Peer {
    let node_id = NodeId::generate(&mut StdRng::seed_from_u64(id));
    let addr = format!("10.0.0.{id}:2377").parse().unwrap();
    Peer { raft_id: RaftId(id), node_id, addr, hostname: format!("node-{id}") }
}

/// A state machine that is the list of what was applied.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    applied: Mutex<Vec<(u64, Bytes)>>,
    restored: Mutex<usize>,
}

impl Ledger {
    /// What was applied, in order.
    pub(crate) fn applied(&self) -> Vec<Bytes> {
        lock(&self.applied).iter().map(|(_, payload)| payload.clone()).collect()
    }

    /// How often a snapshot replaced it.
    pub(crate) fn restored(&self) -> usize {
        *lock(&self.restored)
    }
}

impl StateMachine for Ledger {
    fn apply(&self, index: u64, payload: &[u8]) -> Result<bool, ApplyError> {
        if payload == b"poison" {
            return Err(ApplyError { index, source: "it is poison".into() });
        }
        lock(&self.applied).push((index, Bytes::copy_from_slice(payload)));
        Ok(true)
    }

    fn snapshot(&self) -> SnapshotWriter {
        let applied = lock(&self.applied).clone();
        Box::new(move || codec::encode(&applied))
    }

    fn restore(&self, snapshot: &[u8]) -> Result<(), RestoreError> {
        *lock(&self.applied) = codec::decode(snapshot).map_err(|error| RestoreError { source: error.into() })?;
        *lock(&self.restored) += 1;
        Ok(())
    }
}

/// The network: who is there, and who is cut off.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    members: Mutex<BTreeMap<RaftId, Raft>>,
    cut: Mutex<BTreeSet<RaftId>>,
}

impl Hub {
    fn is_cut(&self, one: RaftId, other: RaftId) -> bool {
        let cut = lock(&self.cut);
        cut.contains(&one) || cut.contains(&other)
    }
}

/// One member's way into the network. A message to or from a member that is cut off gets no answer at all.
#[derive(Debug)]
struct Line {
    from: RaftId,
    hub: Arc<Hub>,
}

#[async_trait]
impl Transport for Line {
    async fn call(
        &self,
        peer: &Peer,
        kind: RaftCallKind,
        payload: Bytes,
        limit: Duration,
    ) -> Result<Bytes, TransportError> {
        assert!(payload.len() <= MAX_MESSAGE_BYTES, "{kind:?} of {} bytes", payload.len());
        let answer = async {
            let member = lock(&self.hub.members).get(&peer.raft_id).cloned();
            if self.hub.is_cut(self.from, peer.raft_id) {
                std::future::pending::<()>().await;
            }
            sleep(Duration::from_millis(1)).await;
            let member = member.ok_or_else(|| TransportError::Unreachable("nobody is there".to_owned()))?;
            let answer = member.handle(kind, payload).await.map_err(|error| match &error {
                HandleError::Removed(_) => TransportError::Removed,
                HandleError::Malformed(_) | HandleError::Misdirected { .. } | HandleError::Stopped => {
                    TransportError::Refused(error.to_string())
                }
            });
            if self.hub.is_cut(self.from, peer.raft_id) {
                std::future::pending::<()>().await;
            }
            answer
        };
        timeout(limit, answer).await.unwrap_or(Err(TransportError::TimedOut))
    }
}

/// A running member.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) raft: Raft,
    pub(crate) ledger: Arc<Ledger>,
    cancel: CancellationToken,
    tasks: JoinSet<Result<(), RaftFailure>>,
}

/// A group.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) hub: Arc<Hub>,
    pub(crate) members: BTreeMap<u64, Running>,
    pub(crate) settings: RaftSettings,
    dir: tempfile::TempDir,
    starts: u64,
}

impl Cluster {
    /// No members yet.
    pub(crate) fn new(settings: RaftSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { hub: Arc::default(), members: BTreeMap::new(), settings, dir, starts: 0 }
    }

    /// A group of members 1 to `size`, formed and led.
    pub(crate) async fn formed(size: u64, settings: RaftSettings) -> Self {
        let mut cluster = Self::new(settings);
        for id in 1..=size {
            cluster.start(id).await;
        }
        cluster.form(1..=size).await;
        cluster.leader().await;
        cluster
    }

    /// The member's directory.
    pub(crate) fn dir(&self, id: u64) -> PathBuf {
        self.dir.path().join(id.to_string())
    }

    /// Starts a member, on the log that it left if it has run before.
    pub(crate) async fn start(&mut self, id: u64) {
        self.starts += 1;
        let mut rng = StdRng::seed_from_u64(self.starts * 1000 + id);
        let key = DataKey::load_or_create(&self.dir(id), None, &mut rng).unwrap();
        let ledger = Arc::new(Ledger::default());
        let line = Arc::new(Line { from: RaftId(id), hub: Arc::clone(&self.hub) });
        let raft = Raft::open(self.settings.clone(), &self.dir(id), key, peer(id), line, Arc::clone(&ledger) as _, rng)
            .await
            .unwrap();
        lock(&self.hub.members).insert(RaftId(id), raft.clone());

        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (raft, cancel) = (raft.clone(), cancel.clone());
            async move { raft.run(cancel).await }
        });
        self.members.insert(id, Running { raft, ledger, cancel, tasks });
    }

    /// Stops a member; its log stays.
    pub(crate) async fn stop(&mut self, id: u64) {
        lock(&self.hub.members).remove(&RaftId(id));
        let mut running = self.members.remove(&id).expect("the member runs");
        running.cancel.cancel();
        while running.tasks.join_next().await.is_some() {}
        running.raft.shutdown().await;
    }

    /// Kills a member: what it would have written on a clean stop is not written.
    pub(crate) async fn kill(&mut self, id: u64) {
        lock(&self.hub.members).remove(&RaftId(id));
        let mut running = self.members.remove(&id).expect("the member runs");
        running.tasks.shutdown().await;
        // Its threads end, and the file becomes free; an error would be a panic of openraft's, which a kill survives.
        let _ = running.raft.shared.core.shutdown().await;
        running.raft.shared.log.abandon();
    }

    /// Lets these members form a group of them.
    pub(crate) async fn form(&self, ids: impl IntoIterator<Item = u64> + Clone) {
        let roster: BTreeMap<RaftId, Peer> = ids.clone().into_iter().map(|id| (RaftId(id), peer(id))).collect();
        let forming =
            ids.into_iter().filter_map(|id| self.members.get(&id)).map(|running| running.raft.form(roster.clone()));
        let formed = futures_util::future::join_all(forming);
        for result in timeout(DEADLINE, formed).await.expect("the group forms") {
            result.unwrap();
        }
    }

    /// Cuts a member off: nothing reaches it, and nothing of it reaches others.
    pub(crate) fn cut_off(&self, id: u64) {
        lock(&self.hub.cut).insert(RaftId(id));
    }

    /// Lets a running member answer at the place of one that is gone, as a node does under another raft id.
    pub(crate) fn answers_for(&self, gone: u64, member: u64) {
        lock(&self.hub.members).insert(RaftId(gone), self.raft(member).clone());
    }

    /// Ends all cuts.
    pub(crate) fn heal(&self) {
        lock(&self.hub.cut).clear();
    }

    pub(crate) fn raft(&self, id: u64) -> &Raft {
        &self.members[&id].raft
    }

    pub(crate) fn ledger(&self, id: u64) -> &Ledger {
        &self.members[&id].ledger
    }

    pub(crate) fn status(&self, id: u64) -> RaftStatus {
        self.raft(id).status().borrow().clone()
    }

    /// Waits until a member's status is as wanted.
    pub(crate) async fn wait_status(&self, id: u64, wanted: impl FnMut(&RaftStatus) -> bool) -> RaftStatus {
        let mut status = self.raft(id).status();
        let reached = timeout(DEADLINE, status.wait_for(wanted)).await;
        reached.expect("the status is reached").expect("the member runs").clone()
    }

    /// Waits until something holds that nobody tells of.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let held = async {
            while !holds(self) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, held).await.unwrap_or_else(|_elapsed| panic!("waited in vain until {what}"));
    }

    /// Waits until a member that is not cut off leads, and gives its number.
    pub(crate) async fn leader(&self) -> u64 {
        let found = async {
            loop {
                let leaders = self.members.iter().filter(|(_, running)| running.raft.status().borrow().is_leader);
                let cut = lock(&self.hub.cut).clone();
                let ids: Vec<u64> = leaders.map(|(id, _)| *id).filter(|id| !cut.contains(&RaftId(*id))).collect();
                if let [leader] = ids[..] {
                    return leader;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, found).await.expect("a leader is found")
    }

    /// Some member that does not lead.
    pub(crate) async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        *self.members.keys().find(|id| **id != leader).expect("there are followers")
    }

    /// Proposes through the leader.
    pub(crate) async fn propose(&self, payload: impl Into<Bytes>) -> Result<Committed, ProposeError> {
        self.raft(self.leader().await).propose(payload.into()).await
    }

    /// Proposes as a client does: to whomever leads, again and again until it is certain. Gives how long that took.
    pub(crate) async fn write(&self, payload: impl Into<Bytes>) -> Duration {
        let payload = payload.into();
        let start = Instant::now();
        let written = async {
            loop {
                for running in self.members.values() {
                    let tried = timeout(Duration::from_millis(500), running.raft.propose(payload.clone())).await;
                    if let Ok(Ok(_)) = tried {
                        return;
                    }
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, written).await.expect("a write succeeds");
        start.elapsed()
    }

    /// Waits until a member has applied all that the leader has.
    pub(crate) async fn caught_up(&self, id: u64) {
        let goal = self.status(self.leader().await).last_applied;
        timeout(DEADLINE, self.raft(id).wait_applied(goal)).await.expect("it catches up").unwrap();
    }

    /// Waits until a member's own task has ended, and gives what it ended with.
    pub(crate) async fn ended(&mut self, id: u64) -> Result<(), RaftFailure> {
        let tasks = &mut self.members.get_mut(&id).expect("the member runs").tasks;
        timeout(DEADLINE, tasks.join_next()).await.expect("it ends").expect("it was running").expect("no panic")
    }
}
