//! Members that come and go.

use std::time::Duration;

use model::RaftId;
use tokio::time::{Instant, sleep};

use super::{Cluster, peer};
use crate::{MembershipError, ProposeError, RaftSettings};

#[tokio::test(start_paused = true)]
async fn one_member_becomes_two_and_three() {
    let mut cluster = Cluster::formed(1, RaftSettings::default()).await;
    cluster.write("before").await;
    cluster.start(2).await;
    cluster.start(3).await;

    cluster.raft(1).add_voter(peer(2)).await.unwrap();
    cluster.raft(1).add_voter(peer(3)).await.unwrap();

    for id in 1..=3 {
        cluster.caught_up(id).await;
        assert_eq!(cluster.ledger(id).applied(), ["before"]);
        let status = cluster.wait_status(id, |status| status.voters().count() == 3).await;
        assert_eq!(status.members[&RaftId(3)], (peer(3), true));
    }
    cluster.cut_off(1);
    cluster.leader().await;
    cluster.write("after").await;
}

#[tokio::test(start_paused = true)]
async fn adding_and_removing_may_be_repeated() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    cluster.start(4).await;
    let leader = cluster.leader().await;
    for _ in 0..2 {
        cluster.raft(leader).add_voter(peer(4)).await.unwrap();
    }
    for _ in 0..2 {
        cluster.raft(leader).remove(RaftId(4)).await.unwrap();
    }

    assert_eq!(cluster.wait_status(leader, |status| status.members.len() == 3).await.voters().count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_removed_member_is_never_used_again() {
    let mut cluster = Cluster::formed(4, RaftSettings::default()).await;
    let gone = cluster.follower().await;
    cluster.raft(cluster.leader().await).remove(RaftId(gone)).await.unwrap();
    for id in (1..=4).filter(|id| *id != gone) {
        cluster.stop(id).await;
        cluster.start(id).await;
    }

    let leader = cluster.leader().await;
    let added = cluster.raft(leader).add_voter(peer(gone)).await;

    assert_eq!(added, Err(MembershipError::Reused(RaftId(gone))));
}

#[tokio::test(start_paused = true)]
async fn a_removed_member_does_not_disturb_the_others() {
    let cluster = Cluster::formed(4, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let gone = cluster.follower().await;
    let term = cluster.status(leader).term;
    cluster.cut_off(gone);

    cluster.raft(leader).remove(RaftId(gone)).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    cluster.heal();
    sleep(Duration::from_secs(20)).await;

    assert_eq!(cluster.leader().await, leader);
    assert_eq!(cluster.status(leader).term, term);
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_would_lose_the_quorum_is_refused() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let followers: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    cluster.cut_off(followers[0]);
    cluster.until("the leader misses it", |cluster| cluster.raft(leader).unreachable() == [RaftId(followers[0])]).await;

    assert!(cluster.raft(leader).would_lose_quorum_without(RaftId(followers[1])));
    assert_eq!(cluster.raft(leader).remove(RaftId(followers[1])).await, Err(MembershipError::QuorumLoss));

    assert!(!cluster.raft(leader).would_lose_quorum_without(RaftId(followers[0])));
    cluster.raft(leader).remove(RaftId(followers[0])).await.unwrap();
    assert_eq!(cluster.status(leader).voters().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_voter_stays_and_a_leader_hands_over_first() {
    let single = Cluster::formed(1, RaftSettings::default()).await;
    assert_eq!(single.raft(1).remove(RaftId(1)).await, Err(MembershipError::QuorumLoss));

    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    assert_eq!(cluster.raft(leader).remove(RaftId(leader)).await, Err(MembershipError::Leads(RaftId(leader))));

    let new = cluster.raft(leader).transfer_leadership().await.unwrap();
    cluster.raft(new.raft_id.0).remove(RaftId(leader)).await.unwrap();
    assert_eq!(cluster.status(new.raft_id.0).voters().count(), 2);
    cluster.write("after").await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_does_not_catch_up_gets_no_vote() {
    let cluster = Cluster::formed(1, RaftSettings::default()).await;

    let added = cluster.raft(1).add_voter(peer(2)).await;

    assert_eq!(added, Err(MembershipError::TooSlow(RaftId(2))));
    assert_eq!(cluster.status(1).voters().collect::<Vec<_>>(), [RaftId(1)]);
    cluster.write("after").await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_moved_gets_its_new_address() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let mut moved = peer(cluster.follower().await);
    moved.addr = "10.9.9.9:2377".parse().unwrap();

    cluster.raft(leader).add_voter(moved.clone()).await.unwrap();

    assert_eq!(cluster.status(leader).members[&moved.raft_id], (moved, true));
}

#[tokio::test(start_paused = true)]
async fn an_id_of_another_node_is_refused() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let mut stranger = peer(9);
    stranger.raft_id = RaftId(cluster.follower().await);

    let added = cluster.raft(leader).add_voter(stranger.clone()).await;

    assert_eq!(added, Err(MembershipError::Taken(stranger.raft_id)));
}

#[tokio::test(start_paused = true)]
async fn the_leader_soon_knows_whom_it_cannot_reach() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    assert_eq!(cluster.raft(leader).unreachable(), []);

    cluster.cut_off(follower);
    let cut = Instant::now();
    cluster.until("the leader misses it", |cluster| !cluster.raft(leader).unreachable().is_empty()).await;
    assert!(cut.elapsed() <= Duration::from_secs(2), "{:?}", cut.elapsed());
    assert_eq!(cluster.raft(leader).read_point().await.unwrap().unreachable, [RaftId(follower)]);
    assert_eq!(cluster.raft(follower).unreachable(), []);

    cluster.heal();
    let healed = Instant::now();
    cluster.until("the leader hears it", |cluster| cluster.raft(leader).unreachable().is_empty()).await;
    assert!(healed.elapsed() <= Duration::from_secs(1), "{:?}", healed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_changes_members() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    cluster.wait_status(follower, |status| status.leader.is_some()).await;

    let added = cluster.raft(follower).add_voter(peer(4)).await;

    let expected = ProposeError::NotLeader { leader: Some(peer(leader)) };
    assert_eq!(added, Err(MembershipError::Propose(expected)));
}
