//! Three stores over three raft members: the same everywhere, whoever leads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use model::{ErrorKind, RaftId, SwarmError};
use raft::{DataKey, Peer, Raft, RaftCallKind, RaftSettings, Transport, TransportError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{label, node, node_id};
use crate::{Clock, Store};

const DEADLINE: Duration = Duration::from_mins(1);

/// Everybody reaches everybody.
#[derive(Debug, Default)]
struct Hub(Mutex<BTreeMap<RaftId, Raft>>);

#[async_trait]
impl Transport for Hub {
    async fn call(
        &self,
        peer: &Peer,
        kind: RaftCallKind,
        payload: Bytes,
        limit: Duration,
    ) -> Result<Bytes, TransportError> {
        let member = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&peer.raft_id).cloned();
        let member = member.ok_or_else(|| TransportError::Unreachable("nobody is there".to_owned()))?;
        let answer = timeout(limit, member.handle(kind, payload)).await.map_err(|_| TransportError::TimedOut)?;
        answer.map_err(|error| TransportError::Refused(error.to_string()))
    }
}

struct Group {
    stores: Vec<Store>,
    rafts: Vec<Raft>,
    _dir: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

impl Group {
    async fn formed() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hub = Arc::new(Hub::default());
        let (mut stores, mut rafts, mut tasks) = (Vec::new(), Vec::new(), JoinSet::new());
        let peer = |id: u64| Peer {
            raft_id: RaftId(id),
            node_id: node_id(id),
            addr: format!("10.0.0.{id}:2377").parse().unwrap(),
            hostname: format!("node-{id}"),
        };
        for id in 1..=3 {
            let store = Store::new(Clock::new(|| Timestamp::from_second(1_000).unwrap()));
            let dir = dir.path().join(id.to_string());
            let mut rng = StdRng::seed_from_u64(id);
            let key = DataKey::load_or_create(&dir, None, &mut rng).unwrap();
            let settings = RaftSettings { max_log_entries: 40, kept_entries: 5, ..RaftSettings::default() };
            let raft = Raft::open(settings, &dir, key, peer(id), Arc::clone(&hub) as _, store.state_machine(), rng)
                .await
                .unwrap();
            hub.0.lock().unwrap().insert(RaftId(id), raft.clone());
            tasks.spawn({
                let (raft, store) = (raft.clone(), store.clone());
                async move {
                    let cancel = CancellationToken::new();
                    let ((), result) =
                        tokio::join!(store.run(Arc::new(raft.clone()), cancel.clone()), raft.run(cancel));
                    result.unwrap();
                }
            });
            stores.push(store);
            rafts.push(raft);
        }
        let roster: BTreeMap<_, _> = (1..=3).map(|id| (RaftId(id), peer(id))).collect();
        let formed = rafts.iter().map(|raft| raft.form(roster.clone()));
        for result in futures_util::future::join_all(formed).await {
            result.unwrap();
        }
        Self { stores, rafts, _dir: dir, _tasks: tasks }
    }

    async fn leader(&self) -> usize {
        let found = async {
            loop {
                if let Some(leader) = self.rafts.iter().position(|raft| raft.status().borrow().is_leader) {
                    return leader;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, found).await.expect("a leader is found")
    }

    /// Writes through whomever leads, as a forwarder does: again where nothing was done.
    async fn write(&self, number: u64) -> Result<(), SwarmError> {
        let write = async {
            loop {
                let store = &self.stores[self.leader().await];
                match store.update(move |tx| tx.create_node(node(number))).await {
                    Err(error) if error.kind == ErrorKind::Unavailable => sleep(Duration::from_millis(5)).await,
                    result => return result,
                }
            }
        };
        timeout(DEADLINE, write).await.expect("a write has a result")
    }
}

#[tokio::test(start_paused = true)]
async fn all_stores_come_to_the_same_state_while_leadership_moves() {
    let group = Group::formed().await;
    for number in 0..60 {
        group.write(number).await.unwrap();
        if number % 20 == 10 {
            group.rafts[group.leader().await].transfer_leadership().await.unwrap();
        }
    }

    let point = group.rafts[group.leader().await].read_point().await.unwrap();
    for raft in &group.rafts {
        raft.wait_applied(point.index).await.unwrap();
    }

    let expected: Vec<_> = group.stores[0].view().nodes().cloned().collect();
    assert_eq!(expected.len(), 60);
    for store in &group.stores[1..] {
        assert!(store.view().nodes().eq(&expected), "the stores differ");
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_refuses_and_nothing_is_done() {
    let group = Group::formed().await;
    group.write(1).await.unwrap();
    let follower = (group.leader().await + 1) % 3;

    let refused = group.stores[follower]
        .update(|tx| tx.update_node(&node_id(1), None, |node| node.spec.labels = label("key", "value")))
        .await;

    assert_eq!(refused.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(group.stores[group.leader().await].view().node(&node_id(1)).unwrap().spec.labels.is_empty());
}
