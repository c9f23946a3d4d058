//! Transactions: all or nothing, in line, versioned.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use model::{Availability, ErrorKind, SwarmError, Version};
use tokio::task::JoinSet;

use super::{Running, cluster, label, node, node_id};
use crate::Clock;

#[tokio::test]
async fn what_is_committed_is_seen_with_version_and_times() {
    let running = Running::new();

    let id = running.create(1).await;

    let view = running.store.view();
    let node = view.node(&id).unwrap();
    assert_eq!(node.meta.version, Version(view.index()));
    assert_eq!(node.meta.created_at, Timestamp::from_second(1_000).unwrap());
    assert_eq!(node.meta.updated_at, node.meta.created_at);
}

#[tokio::test]
async fn a_refused_transaction_changes_nothing() {
    let running = Running::new();
    let id = running.create(1).await;
    let before = running.store.view();

    let refused: Result<(), SwarmError> = running
        .store
        .update({
            let id = id.clone();
            move |tx| {
                tx.remove_node(&id)?;
                tx.create_node(node(2))?;
                Err(SwarmError::invalid("no"))
            }
        })
        .await;

    assert_eq!(refused, Err(SwarmError::invalid("no")));
    let after = running.store.view();
    assert_eq!(after.index(), before.index());
    assert!(after.node(&id).is_some() && after.node(&node_id(2)).is_none());
}

#[tokio::test]
async fn a_stale_version_is_refused_in_dockers_words() {
    let running = Running::new();
    let id = running.create(1).await;
    let seen = running.store.view().node(&id).unwrap().meta.version;
    let update = |value: &'static str| {
        let id = id.clone();
        running.store.update(move |tx| tx.update_node(&id, Some(seen), |node| node.spec.labels = label("key", value)))
    };

    let (first, second) = tokio::join!(update("first"), update("second"));

    assert_eq!(first, Ok(()));
    assert_eq!(second, Err(SwarmError::out_of_sequence()));
    let view = running.store.view();
    let node = view.node(&id).unwrap();
    assert_eq!(node.spec.labels, label("key", "first"));
    assert!(node.meta.version > seen);
}

#[tokio::test]
async fn a_transaction_sees_its_own_changes_and_others_do_not() {
    let running = Running::new();
    let before = running.store.view();

    let seen = running
        .store
        .update(|tx| {
            tx.create_node(node(1))?;
            tx.update_node(&node_id(1), None, |node| node.spec.availability = Availability::Drain)?;
            Ok(tx.view().node(&node_id(1)).map(|node| node.spec.availability))
        })
        .await
        .unwrap();

    assert_eq!(seen, Some(Availability::Drain));
    assert!(before.node(&node_id(1)).is_none());
    assert_eq!(running.store.view().node(&node_id(1)).unwrap().spec.availability, Availability::Drain);
}

#[tokio::test]
async fn what_changes_nothing_is_not_proposed() {
    let running = Running::new();
    let id = running.create(1).await;
    let index = running.store.view().index();

    running.store.update(move |tx| tx.update_node(&id, None, |node| node.spec.name.clear())).await.unwrap();
    running.store.update(|_| Ok(())).await.unwrap();

    assert_eq!(running.store.view().index(), index);
}

#[tokio::test]
async fn transactions_that_wait_share_an_entry() {
    let running = Running::new();
    let mut updates = JoinSet::new();
    for number in 0..100 {
        let store = running.store.clone();
        updates.spawn(async move { store.update(move |tx| tx.create_node(node(number))).await });
    }

    while let Some(result) = updates.join_next().await {
        result.unwrap().unwrap();
    }

    let view = running.store.view();
    assert_eq!(view.nodes().count(), 100);
    assert!(view.index() < 100, "{} entries", view.index());
}

#[tokio::test]
async fn one_refused_transaction_takes_no_other_with_it() {
    let running = Running::new();
    let good = |number| running.store.update(move |tx| tx.create_node(node(number)));
    let bad = || running.store.update(|tx| tx.create_node(node(3)).and_then(|()| tx.remove_node(&node_id(9))));

    let (first, refused, last) = tokio::join!(good(1), bad(), good(2));

    assert!(first.is_ok() && last.is_ok());
    assert_eq!(refused.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(running.store.view().nodes().count(), 2);
}

#[tokio::test]
async fn what_exists_is_not_created_again_and_what_does_not_is_not_found() {
    let running = Running::new();
    running.create(1).await;

    let again = running.store.update(|tx| tx.create_node(node(1))).await.unwrap_err();
    let missing = running.store.update(|tx| tx.remove_node(&node_id(2))).await.unwrap_err();
    let unformed = running.store.update(|tx| tx.update_cluster(None, |_| {})).await.unwrap_err();

    assert_eq!(again.kind, ErrorKind::AlreadyExists);
    assert_eq!(missing, SwarmError::not_found(format!("node {} not found", node_id(2))));
    assert_eq!(unformed, SwarmError::not_found("swarm not found"));
}

#[tokio::test]
async fn an_object_keeps_its_id_and_its_meta() {
    let running = Running::new();
    let id = running.create(1).await;
    let known = running.store.view().node(&id).unwrap().meta.clone();

    let renamed = running.store.update({
        let id = id.clone();
        move |tx| tx.update_node(&id, None, |node| node.id = node_id(2))
    });
    assert_eq!(renamed.await.unwrap_err().kind, ErrorKind::Internal);

    running.store.update(move |tx| tx.update_node(&id, None, |node| node.meta.version = Version(99))).await.unwrap();
    assert_eq!(running.store.view().node(&node_id(1)).unwrap().meta, known);
}

#[tokio::test]
async fn a_transaction_that_is_too_large_is_refused_and_a_large_one_is_not() {
    let running = Running::new();
    running.create(1).await;
    let update = |bytes: usize| {
        running.store.update(move |tx| tx.update_node(&node_id(1), None, |node| node.spec.name = "x".repeat(bytes)))
    };

    let refused = update(crate::MAX_TRANSACTION_BYTES).await.unwrap_err();

    assert_eq!(refused.kind, ErrorKind::InvalidArgument);
    update(crate::MAX_TRANSACTION_BYTES - 10_000).await.unwrap();
}

#[tokio::test]
async fn times_never_go_back_even_if_a_clock_does() {
    let seconds = Arc::new(AtomicI64::new(1_000));
    let clock = Arc::clone(&seconds);
    let running =
        Running::with_clock(Clock::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()));
    running.create(1).await;

    seconds.store(500, Ordering::SeqCst);
    running.create(2).await;

    assert_eq!(running.store.view().node(&node_id(2)).unwrap().meta.created_at, Timestamp::from_second(1_000).unwrap());
}

#[tokio::test]
async fn who_does_not_lead_or_does_not_run_refuses_at_once() {
    let mut running = Running::new();
    running.proposer.set_term(None);
    let refused = running.store.update(|tx| tx.create_node(node(1))).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);

    running.stop().await;
    let refused = running.store.update(|tx| tx.create_node(node(1))).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn the_swarm_is_one_object() {
    let running = Running::new();
    assert!(running.store.view().cluster().is_none());

    running.store.update(|tx| tx.create_cluster(cluster())).await.unwrap();

    let again = running.store.update(|tx| tx.create_cluster(cluster())).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::AlreadyExists);
    let version = running.store.view().cluster().unwrap().meta.version;
    let rotate = running
        .store
        .update(move |tx| tx.update_cluster(Some(version), |cluster| cluster.spec.labels = label("key", "value")));
    rotate.await.unwrap();
    assert_eq!(running.store.view().cluster().unwrap().spec.labels, label("key", "value"));
}
