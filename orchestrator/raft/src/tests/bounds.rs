//! The log stays short, and who lags behind what is left of it catches up by snapshot.

use bytes::Bytes;

use super::Cluster;
use crate::{MAX_PROPOSAL_BYTES, ProposeError, RaftSettings};

fn short() -> RaftSettings {
    RaftSettings { max_log_entries: 40, kept_entries: 5, ..RaftSettings::default() }
}

#[tokio::test(start_paused = true)]
async fn the_log_is_cut_behind_a_snapshot() {
    let cluster = Cluster::formed(3, short()).await;
    for number in 0..100 {
        cluster.propose(format!("{number}")).await.unwrap();
    }

    for id in 1..=3 {
        let what = format!("the log of member {id} is cut");
        cluster.until(&what, |cluster| cluster.raft(id).log_size().entries <= 45).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_lags_behind_the_log_catches_up_by_snapshot() {
    let cluster = Cluster::formed(3, short()).await;
    let lagging = cluster.follower().await;
    cluster.cut_off(lagging);
    for number in 0..80 {
        cluster.propose(format!("{number}")).await.unwrap();
    }
    assert_eq!(cluster.ledger(lagging).applied().len(), 0);

    cluster.heal();
    cluster.caught_up(lagging).await;

    let expected: Vec<_> = (0..80).map(|number| Bytes::from(number.to_string())).collect();
    assert_eq!(cluster.ledger(lagging).applied(), expected);
    assert_eq!(cluster.ledger(lagging).restored(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_larger_than_a_message_and_arrives_whole() {
    let mut cluster = Cluster::formed(1, short()).await;
    for _ in 0..50 {
        cluster.propose(Bytes::from(vec![7; 60_000])).await.unwrap();
    }
    cluster.start(2).await;

    cluster.raft(1).add_voter(super::peer(2)).await.unwrap();

    cluster.caught_up(2).await;
    assert_eq!(cluster.ledger(2).applied(), cluster.ledger(1).applied());
    assert_eq!(cluster.ledger(2).restored(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_restarts_from_its_snapshot_and_the_entries_behind_it() {
    let mut cluster = Cluster::formed(1, short()).await;
    for number in 0..60 {
        cluster.propose(format!("{number}")).await.unwrap();
    }
    cluster.until("there is a snapshot", |cluster| cluster.raft(1).log_size().entries <= 45).await;

    cluster.stop(1).await;
    cluster.start(1).await;
    cluster.leader().await;

    let expected: Vec<_> = (0..60).map(|number| Bytes::from(number.to_string())).collect();
    cluster.caught_up(1).await;
    assert_eq!(cluster.ledger(1).applied(), expected);
    assert_eq!(cluster.ledger(1).restored(), 1);
}

#[tokio::test(start_paused = true)]
async fn large_entries_bound_the_log_by_bytes() {
    let settings = RaftSettings { max_log_bytes: 1 << 18, kept_bytes: 1 << 16, ..RaftSettings::default() };
    let cluster = Cluster::formed(3, settings).await;
    for _ in 0..30 {
        cluster.propose(Bytes::from(vec![7; 25_000])).await.unwrap();
    }

    for id in 1..=3 {
        let what = format!("the log of member {id} is cut");
        let bound = (1 << 18) + (1 << 16) + 50_000;
        cluster.until(&what, |cluster| cluster.raft(id).log_size().bytes <= bound).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_largest_proposal_goes_through_and_a_larger_one_is_refused() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    cluster.propose(Bytes::from(vec![7; MAX_PROPOSAL_BYTES])).await.unwrap();

    let refused = cluster.propose(Bytes::from(vec![7; MAX_PROPOSAL_BYTES + 1])).await;

    assert_eq!(refused, Err(ProposeError::TooLarge { size: MAX_PROPOSAL_BYTES + 1, limit: MAX_PROPOSAL_BYTES }));
    for id in 1..=3 {
        cluster.caught_up(id).await;
        assert_eq!(cluster.ledger(id).applied().len(), 1);
    }
}
