//! Members that stop and come back.

use std::time::Duration;

use bytes::Bytes;

use tokio::time::{Instant, sleep};

use super::Cluster;
use crate::RaftSettings;

#[tokio::test(start_paused = true)]
async fn nothing_acknowledged_is_lost_when_all_members_restart() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        for number in 0..10 {
            let payload = Bytes::from(format!("{round}.{number}"));
            cluster.propose(payload.clone()).await.unwrap();
            acknowledged.push(payload);
        }
        for id in 1..=3 {
            cluster.stop(id).await;
        }
        for id in 1..=3 {
            cluster.start(id).await;
        }
    }

    cluster.leader().await;

    for id in 1..=3 {
        cluster.caught_up(id).await;
        assert_eq!(cluster.ledger(id).applied(), acknowledged, "member {id}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_of_three_go_on_and_the_third_catches_up() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    for id in 1..=3 {
        cluster.stop(id).await;
        cluster.write(format!("without {id}")).await;
        cluster.start(id).await;
        cluster.caught_up(id).await;
    }

    assert_eq!(cluster.ledger(1).applied(), ["without 1", "without 2", "without 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_restarts_alone_does_not_lead_without_a_quorum() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    for id in 1..=3 {
        cluster.stop(id).await;
    }

    cluster.start(leader).await;
    tokio::time::sleep(Duration::from_secs(10)).await;

    assert!(!cluster.status(leader).is_leader);
    assert!(cluster.raft(leader).propose("lost".into()).await.is_err());
    assert!(cluster.raft(leader).read_point().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_applied_stops_the_member() {
    let mut cluster = Cluster::formed(1, RaftSettings::default()).await;

    let proposed = cluster.propose("poison").await;

    assert!(proposed.is_err());
    let ended = cluster.ended(1).await;
    let words = ended.unwrap_err().to_string();
    assert!(words.contains("failed to apply entry") && words.contains("it is poison"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn the_first_read_after_all_members_were_killed_sees_every_acknowledged_write() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    for round in 0..5 {
        let acknowledged = cluster.propose(format!("{round}")).await.unwrap().index;

        for id in 1..=3 {
            cluster.kill(id).await;
        }
        for id in 1..=3 {
            cluster.start(id).await;
        }

        let start = Instant::now();
        let (leader, point) = loop {
            let mut points = Vec::new();
            for id in 1..=3 {
                points.extend(cluster.raft(id).read_point().await.map(|point| (id, point)));
            }
            if let Some(first) = points.pop() {
                break first;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "nobody leads");
            sleep(Duration::from_millis(1)).await;
        };
        assert!(point.index >= acknowledged, "member {leader} reads at {}, not {acknowledged}", point.index);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_restarts_leads_in_a_new_term_only() {
    let mut cluster = Cluster::formed(1, RaftSettings::default()).await;
    cluster.propose("x").await.unwrap();
    let before = cluster.status(1).term;

    cluster.kill(1).await;
    cluster.start(1).await;

    let after = cluster.wait_status(1, |status| status.is_leader).await;
    assert!(after.term > before);
    assert!(cluster.propose("y").await.unwrap().accepted);
}
