//! Starting a group.

use std::collections::BTreeMap;
use std::time::Duration;

use model::RaftId;
use tokio::time::{Instant, sleep, timeout};

use super::{Cluster, peer};
use crate::types::{LogId, Vote};
use crate::wire::{Ballot, Envelope};
use crate::{RaftCallKind, RaftSettings, codec};

#[tokio::test(start_paused = true)]
async fn three_members_form_a_group_at_once() {
    let start = Instant::now();

    let cluster = Cluster::formed(3, RaftSettings::default()).await;

    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
    for id in 1..=3 {
        let status = cluster.wait_status(id, |status| status.leader.is_some()).await;
        assert_eq!(status.voters().collect::<Vec<_>>(), [RaftId(1), RaftId(2), RaftId(3)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_member_forms_a_group_and_leads_it() {
    let cluster = Cluster::formed(1, RaftSettings::default()).await;

    assert!(cluster.propose("x").await.unwrap().accepted);
}

#[tokio::test(start_paused = true)]
async fn the_others_form_the_group_without_the_first() {
    let mut cluster = Cluster::new(RaftSettings::default());
    cluster.start(2).await;
    cluster.start(3).await;
    let start = Instant::now();

    cluster.form(1..=3).await;
    cluster.write("x").await;

    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    cluster.start(1).await;
    cluster.form([1, 2, 3]).await;
    cluster.caught_up(1).await;
    assert_eq!(cluster.ledger(1).applied(), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_member_without_a_quorum_forms_nothing() {
    let mut cluster = Cluster::new(RaftSettings::default());
    cluster.start(1).await;
    let roster: BTreeMap<_, _> = (1..=3).map(|id| (RaftId(id), peer(id))).collect();

    let forming = timeout(Duration::from_secs(30), cluster.raft(1).form(roster)).await;

    assert!(forming.is_err());
    assert!(!cluster.raft(1).is_formed().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_lost_its_log_forms_no_second_group() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    cluster.start(4).await;
    let roster: BTreeMap<_, _> = [1, 2, 4].map(|id| (RaftId(id), peer(id))).into();

    let forming = timeout(Duration::from_secs(10), cluster.raft(4).form(roster)).await;

    assert!(forming.is_err());
    assert!(!cluster.raft(4).is_formed().await.unwrap());
    assert_eq!(cluster.status(cluster.leader().await).members.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn forming_again_changes_nothing() {
    let cluster = Cluster::formed(3, RaftSettings::default()).await;
    let term = cluster.status(cluster.leader().await).term;

    cluster.form(1..=3).await;
    sleep(Duration::from_secs(5)).await;

    assert_eq!(cluster.status(cluster.leader().await).term, term);
}

#[tokio::test(start_paused = true)]
async fn the_group_forms_though_the_first_member_died_as_a_candidate() {
    let mut cluster = Cluster::new(RaftSettings::default());
    for id in 2..=3 {
        cluster.start(id).await;
        let ballot = Ballot { vote: Some(Vote::new(2, 1)), last: Some(LogId::default()), is_leader_gone: false };
        let request = codec::encode(&Envelope { from: 1, to: id, message: ballot });
        cluster.raft(id).handle(RaftCallKind::Vote, request.into()).await.unwrap();
    }
    let start = Instant::now();

    cluster.form(1..=3).await;
    cluster.write("x").await;

    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_group_forms_whichever_minority_of_its_members_dies_on_the_way_and_when() {
    for milliseconds in (0..60).step_by(3) {
        let mut cluster = Cluster::new(RaftSettings::default());
        for id in 1..=3 {
            cluster.start(id).await;
        }
        let died = timeout(Duration::from_millis(milliseconds), cluster.form(1..=3)).await;
        cluster.kill(1).await;
        let start = Instant::now();

        cluster.form(1..=3).await;
        cluster.write("x").await;

        assert!(start.elapsed() < Duration::from_secs(5), "{:?} after {milliseconds} ms ({died:?})", start.elapsed());
        for id in 2..=3 {
            cluster.caught_up(id).await;
            assert_eq!(cluster.ledger(id).applied(), ["x"], "member {id} after {milliseconds} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_never_reached_joins_a_group_whose_other_members_need_it() {
    let mut cluster = Cluster::new(RaftSettings::default());
    cluster.start(1).await;
    cluster.start(2).await;
    cluster.form(1..=3).await;
    cluster.write("x").await;
    let leader = cluster.leader().await;
    cluster.caught_up(3 - leader).await;
    cluster.kill(leader).await;
    cluster.start(3).await;

    cluster.form(1..=3).await;
    cluster.write("y").await;

    cluster.caught_up(3).await;
    assert_eq!(cluster.ledger(3).applied(), ["x", "y"]);
}
