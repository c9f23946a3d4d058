//! Losing a leader, and not losing one.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Cluster;
use crate::wire::Ballot;
use crate::{ProposeError, RaftSettings};

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_is_replaced_in_time() {
    let mut waits = Vec::new();
    for _ in 0..5 {
        let cluster = Cluster::formed(3, RaftSettings::default()).await;
        cluster.propose("before").await.unwrap();
        let old = cluster.leader().await;

        let cut = Instant::now();
        cluster.cut_off(old);
        let new = cluster.leader().await;
        cluster.raft(new).propose("after".into()).await.unwrap();

        waits.push(cut.elapsed());
        assert_ne!(old, new);
    }
    waits.sort();
    assert!(waits[2] <= Duration::from_secs(2), "{waits:?}");
    assert!(waits[4] <= Duration::from_secs(4), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_process_died_is_replaced_before_the_silence_is_over() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    for _ in 0..5 {
        let old = cluster.leader().await;
        let killed = Instant::now();
        cluster.kill(old).await;

        cluster.write("after").await;

        assert!(killed.elapsed() < RaftSettings::default().election_min, "{:?}", killed.elapsed());
        cluster.start(old).await;
        cluster.caught_up(old).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_comes_back_at_once_says_that_it_leads_no_more() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    let old = cluster.leader().await;
    let killed = Instant::now();
    cluster.kill(old).await;
    cluster.start(old).await;

    cluster.write("after").await;

    assert!(killed.elapsed() < RaftSettings::default().election_min, "{:?}", killed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_hears_the_leader_takes_nobodys_word_that_it_is_gone() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let heard = cluster.follower().await;

    let last = cluster.raft(heard).shared.log.last();
    let question = Ballot { vote: None, last, is_leader_gone: true };

    assert!(!cluster.raft(heard).would_vote(&question));
    cluster.cut_off(leader);
    sleep(RaftSettings::default().lease + RaftSettings::default().heartbeat).await;
    assert!(cluster.raft(heard).would_vote(&question));
    assert!(!cluster.raft(heard).would_vote(&Ballot { is_leader_gone: false, ..question }));
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_a_quorum_answers_with_an_error_in_time() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let old = cluster.leader().await;
    cluster.cut_off(old);
    let cut = Instant::now();

    let (written, read) = tokio::join!(cluster.raft(old).propose("lost".into()), cluster.raft(old).read_point());

    assert_eq!(written, Err(ProposeError::Uncertain));
    assert!(read.is_err());
    assert!(cut.elapsed() <= Duration::from_secs(2), "{:?}", cut.elapsed());
    assert_eq!(cluster.raft(old).propose("lost".into()).await, Err(ProposeError::NoQuorum));
    assert!(cut.elapsed() <= Duration::from_secs(2), "{:?}", cut.elapsed());
    assert_eq!(cluster.status(old).leader, None);
}

#[tokio::test(start_paused = true)]
async fn what_a_deposed_leader_could_not_commit_is_gone_and_the_rest_is_kept() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    cluster.write("before").await;
    let old = cluster.leader().await;
    cluster.cut_off(old);
    cluster.raft(old).propose("lost".into()).await.unwrap_err();
    cluster.leader().await;
    cluster.write("after").await;

    cluster.heal();
    cluster.caught_up(old).await;

    for id in 1..=3 {
        cluster.caught_up(id).await;
        assert_eq!(cluster.ledger(id).applied(), ["before", "after"], "member {id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_cut_off_does_not_depose_the_leader() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).term;
    let follower = cluster.follower().await;

    cluster.cut_off(follower);
    sleep(Duration::from_secs(30)).await;
    cluster.heal();
    sleep(Duration::from_secs(10)).await;

    assert_eq!(cluster.leader().await, leader);
    assert_eq!(cluster.status(leader).term, term);
    assert_eq!(cluster.status(follower).leader, cluster.status(leader).leader);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_group_keeps_its_leader() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).term;

    sleep(Duration::from_secs(200)).await;

    assert_eq!(cluster.leader().await, leader);
    assert_eq!(cluster.status(leader).term, term);
}

#[tokio::test(start_paused = true)]
async fn nobody_leads_a_group_that_lost_its_quorum_until_it_is_back() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    cluster.cut_off(1);
    cluster.cut_off(2);
    sleep(Duration::from_secs(20)).await;
    for id in 1..=3 {
        assert_eq!(cluster.status(id).leader, None, "member {id}");
        assert!(cluster.raft(id).propose("lost".into()).await.is_err());
    }

    cluster.heal();

    assert!(cluster.write("after").await < Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_follower_knows_that_its_leader_is_gone() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    cluster.wait_status(follower, |status| status.leader.is_some()).await;

    cluster.cut_off(leader);
    let cut = Instant::now();
    cluster.wait_status(follower, |status| status.leader.as_ref().is_none_or(|peer| peer.raft_id.0 != leader)).await;

    assert!(cut.elapsed() < Duration::from_secs(2), "{:?}", cut.elapsed());
}
