//! Watches: gapless, bounded, resynchronized.

use std::time::Duration;

use tokio::time::timeout;

use super::{Running, cluster, label, node, node_id};
use crate::watch::WATCH_CAPACITY;
use crate::{Event, WatchError};

#[tokio::test]
async fn events_lead_from_the_view_to_the_next() {
    let running = Running::new();
    running.create(1).await;
    let (view, mut watch) = running.store.view_and_watch();
    assert_eq!(view.nodes().count(), 1);

    let change = running.store.update(|tx| {
        tx.create_node(node(2))?;
        tx.remove_node(&node_id(1))?;
        tx.create_cluster(cluster())
    });
    change.await.unwrap();

    assert_eq!(watch.recv().await, Ok(Event::NodeChanged(node_id(2))));
    assert!(matches!(watch.recv().await, Ok(Event::NodeRemoved(node)) if node.id == node_id(1)));
    assert_eq!(watch.recv().await, Ok(Event::ClusterChanged));
    assert_eq!(watch.recv().await, Ok(Event::Committed { index: running.store.view().index() }));
    assert!(timeout(Duration::from_millis(10), watch.recv()).await.is_err());
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_told_and_starts_again() {
    let running = Running::new();
    running.create(1).await;
    let (_, mut watch) = running.store.view_and_watch();
    for number in 0..=WATCH_CAPACITY {
        let value = number.to_string();
        let change = running
            .store
            .update(move |tx| tx.update_node(&node_id(1), None, |node| node.spec.labels = label("n", &value)));
        change.await.unwrap();
    }

    let lagged = watch.recv().await;

    assert!(matches!(lagged, Err(WatchError::Lagged(missed)) if missed > 0), "{lagged:?}");
    let (view, mut watch) = running.store.view_and_watch();
    assert_eq!(view.node(&node_id(1)).unwrap().spec.labels, label("n", &WATCH_CAPACITY.to_string()));
    running.create(2).await;
    assert_eq!(watch.recv().await, Ok(Event::NodeChanged(node_id(2))));
}

#[tokio::test]
async fn a_snapshot_makes_watchers_start_again() {
    let running = Running::new();
    running.create(1).await;
    let machine = running.store.state_machine();
    let snapshot = machine.snapshot()();
    running.create(2).await;
    let (_, mut watch) = running.store.view_and_watch();

    machine.restore(&snapshot).unwrap();

    assert_eq!(watch.recv().await, Err(WatchError::Lagged(0)));
    assert_eq!(running.store.view().nodes().count(), 1);
}

#[tokio::test]
async fn a_watch_ends_with_its_store() {
    let mut running = Running::new();
    let (_, mut watch) = running.store.view_and_watch();

    running.stop().await;
    drop(running);

    assert_eq!(watch.recv().await, Err(WatchError::Closed));
}
