//! Messages from elsewhere, and reads.

use std::time::Duration;

use bytes::Bytes;
use model::RaftId;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::Cluster;
use crate::wire::Envelope;
use crate::{HandleError, ProposeError, RaftCallKind, RaftSettings, codec};

const KINDS: [RaftCallKind; 6] = [
    RaftCallKind::Append,
    RaftCallKind::Snapshot,
    RaftCallKind::Vote,
    RaftCallKind::PreVote,
    RaftCallKind::TakeOver,
    RaftCallKind::Greet,
];

/// A message that was sent before the leader was cut off may have come this much later.
const LEASE_REST: Duration = Duration::from_millis(50);

#[tokio::test(start_paused = true)]
async fn a_message_for_another_member_is_refused() {
    let cluster = Cluster::formed(1, RaftSettings::default()).await;
    let greeting = Bytes::from(codec::encode(&Envelope { from: 2, to: 3, message: () }));

    let answer = cluster.raft(1).handle(RaftCallKind::Greet, greeting).await;

    assert_eq!(answer, Err(HandleError::Misdirected { to: RaftId(3), me: RaftId(1) }));
}

#[test]
fn arbitrary_bytes_are_refused_and_change_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let cluster = runtime.block_on(Cluster::formed(1, RaftSettings::default()));
    proptest!(ProptestConfig::with_cases(64), |(bytes: Vec<u8>)| {
        for kind in KINDS {
            let answer = runtime.block_on(cluster.raft(1).handle(kind, Bytes::from(bytes.clone())));
            prop_assert!(matches!(answer, Err(HandleError::Malformed(_))));
        }
    });
    runtime.block_on(async { cluster.propose("x").await.unwrap() });
}

#[tokio::test(start_paused = true)]
async fn a_read_sees_every_write_that_was_acknowledged_before() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    for number in 0..20 {
        let committed = cluster.propose(format!("{number}")).await.unwrap();

        let point = cluster.raft(cluster.leader().await).read_point().await.unwrap();

        assert!(point.index >= committed.index);
        let follower = cluster.follower().await;
        cluster.raft(follower).wait_applied(point.index).await.unwrap();
        assert_eq!(cluster.ledger(follower).applied().len(), number + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_does_not_know_yet_that_it_was_replaced_answers_no_read() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    for round in 0..10 {
        let old = cluster.leader().await;
        let others: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
        let before = cluster.raft(old).read_point().await.unwrap().index;
        cluster.caught_up(others[0]).await;
        let successor = cluster.raft(others[0]);

        // The successor is elected while the old leader hears nothing, and has the benefit of the doubt.
        cluster.cut_off(old);
        let cut = Instant::now();
        sleep(cluster.settings.lease + LEASE_REST).await;
        successor.shared.core.trigger().elect().await.unwrap();
        cluster.wait_status(others[0], |status| status.is_leader).await;
        let written = successor.propose(format!("{round}").into()).await.unwrap().index;
        assert!(cut.elapsed() < cluster.settings.quorum_patience && cluster.status(old).is_leader, "it knows already");
        let (cut_off, healed) = tokio::join!(cluster.raft(old).read_point(), async {
            cluster.heal();
            cluster.raft(old).read_point().await
        });

        assert!(before < written);
        assert!(cut_off.is_err(), "{cut_off:?}");
        assert!(healed.is_err(), "{healed:?}");
        cluster.wait_status(old, |status| !status.is_leader && status.leader.is_some()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_names_the_leader_instead_of_reading_or_writing() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    cluster.wait_status(follower, |status| status.leader.is_some()).await;

    let expected = ProposeError::NotLeader { leader: Some(super::peer(leader)) };

    assert_eq!(cluster.raft(follower).propose("x".into()).await, Err(expected.clone()));
    assert_eq!(cluster.raft(follower).read_point().await, Err(expected));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_member_answers_that_it_has_stopped() {
    let mut cluster = Cluster::formed(1, RaftSettings::default()).await;
    let raft = cluster.raft(1).clone();
    cluster.stop(1).await;

    assert!(raft.propose("x".into()).await.is_err());
    assert!(raft.wait_applied(1_000).await.is_err());
    let greeting = Bytes::from(codec::encode(&Envelope { from: 2, to: 1, message: () }));
    assert_eq!(raft.handle(RaftCallKind::Greet, greeting).await, Err(HandleError::Stopped));
}
