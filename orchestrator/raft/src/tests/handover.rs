//! Handing leadership over on purpose.

use std::time::Duration;

use bytes::Bytes;
use model::RaftId;
use tokio::time::{Instant, sleep};

use super::Cluster;
use crate::{ProposeError, RaftSettings, TransferError};

/// Writes as a manager's forwarder does: to the leader that the last answer named. Counts writes and the longest.
async fn keep_writing(cluster: &Cluster, until: Instant) -> (usize, Duration) {
    let (mut at, mut written, mut longest) = (cluster.leader().await, 0, Duration::ZERO);
    while Instant::now() < until {
        let start = Instant::now();
        loop {
            match cluster.raft(at).propose(Bytes::from(format!("write {written}"))).await {
                Ok(_) => break,
                Err(ProposeError::NotLeader { leader: Some(leader) }) => at = leader.raft_id.0,
                Err(ProposeError::NotLeader { leader: None }) => sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("write {written} failed: {error}"),
            }
        }
        written += 1;
        longest = longest.max(start.elapsed());
        sleep(Duration::from_millis(15)).await;
    }
    (written, longest)
}

#[tokio::test(start_paused = true)]
async fn no_write_fails_or_waits_a_second_while_leadership_is_handed_over() {
    for size in [2, 3, 5] {
        let cluster = Cluster::formed(size, RaftSettings::default()).await;
        let old = cluster.leader().await;
        let end = Instant::now() + Duration::from_secs(2);
        let hand_over = async {
            sleep(Duration::from_millis(500)).await;
            cluster.raft(old).transfer_leadership().await
        };

        let ((written, longest), new) = tokio::join!(keep_writing(&cluster, end), hand_over);

        let new = new.unwrap().raft_id.0;
        assert_ne!(new, old);
        assert_eq!(cluster.leader().await, new);
        assert!(longest < Duration::from_secs(1), "{longest:?} of {written} in a group of {size}");
        let expected: Vec<_> = (0..written).map(|number| Bytes::from(format!("write {number}"))).collect();
        cluster.caught_up(old).await;
        assert_eq!(cluster.ledger(old).applied(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handover_needs_another_voter_that_is_reachable() {
    let single = Cluster::formed(1, RaftSettings::default()).await;
    assert_eq!(single.raft(1).transfer_leadership().await, Err(TransferError::NoCandidate));

    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    assert_eq!(cluster.raft(follower).transfer_leadership().await, Err(TransferError::NotLeader));

    cluster.cut_off(follower);
    cluster.until("the leader misses it", |cluster| cluster.raft(leader).unreachable() == [RaftId(follower)]).await;
    let new = cluster.raft(leader).transfer_leadership().await.unwrap();
    assert_ne!(new.raft_id.0, follower);
}

#[tokio::test(start_paused = true)]
async fn a_handover_that_fails_leaves_the_leader_leading_and_the_gate_open() {
    let cluster = Cluster::formed(2, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;

    cluster.cut_off(follower);
    let failed = cluster.raft(leader).transfer_leadership().await;
    cluster.heal();

    assert!(failed.is_err());
    cluster.write("after").await;
}

#[tokio::test(start_paused = true)]
async fn leadership_goes_round_and_round() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    for _ in 0..6 {
        let leader = cluster.leader().await;
        let new = cluster.raft(leader).transfer_leadership().await.unwrap();
        cluster.raft(new.raft_id.0).propose("x".into()).await.unwrap();
    }

    cluster.caught_up(1).await;
    assert_eq!(cluster.ledger(1).applied().len(), 6);
}
