//! Starting a group.

use std::collections::BTreeMap;
use std::time::Duration;

use model::RaftId;
use tokio::time::{Instant, sleep, timeout};

use super::{Cluster, peer};
use crate::RaftSettings;

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
