//! The log on disk: openraft's own conformance suite, power cuts, damage.

use std::sync::Arc;

use openraft::StorageError;
use openraft::storage::RaftLogStorage;
use openraft::testing::{StoreBuilder, Suite, blank_ent};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

use super::medium::Medium;
use super::*;
use crate::applier::Applier;
use crate::tests::Ledger;
use crate::types::{Proposal, TypeConfig};
use crate::{DataKey, LOG_FILE};

fn key(seed: u64) -> DataKey {
    DataKey::generate(&mut StdRng::seed_from_u64(seed))
}

fn sealer(seed: u64) -> Sealer {
    Sealer::new(&key(seed), StdRng::seed_from_u64(seed + 1))
}

fn entry(index: u64) -> Entry {
    let mut entry = blank_ent::<TypeConfig>(1, 1, index);
    entry.payload = openraft::EntryPayload::Normal(Proposal(format!("entry {index}").into()));
    entry
}

/// Appends one entry and waits until it is on disk.
async fn append(log: &Log, index: u64) -> Result<(), DiskError> {
    let (done, written) = oneshot::channel();
    log.append_entries(vec![entry(index)], |result| drop(done.send(result)));
    written.await.unwrap()
}

struct Builder;

impl StoreBuilder<TypeConfig, Log, Applier, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Log, Applier), StorageError<u64>> {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), sealer(1)).unwrap();
        let applier = Applier::open(Arc::new(Ledger::default()), log.clone()).unwrap();
        Ok((dir, log, applier))
    }
}

#[test]
fn the_log_and_the_applier_are_what_openraft_expects() {
    Suite::test_all(Builder).unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_cut_at_any_moment() {
    let medium = Medium::default();
    let mut log = Log::open_on(medium.clone(), sealer(1)).unwrap();
    let mut states = Vec::new();
    for index in 0..40 {
        append(&log, index).await.unwrap();
        if index % 10 == 9 {
            log.purge(entry(index - 5).log_id).await.unwrap();
        }
        states.push((index, medium.synced()));
    }

    for (acknowledged, bytes) in states {
        let log = Log::open_on(Medium::holding(bytes), sealer(1)).unwrap();
        assert_eq!(log.last().map(|id| id.index), Some(acknowledged));
        let entries = log.entries(acknowledged..acknowledged + 1).await.unwrap();
        assert_eq!(entries, [entry(acknowledged)]);
    }
}

#[tokio::test]
async fn what_was_in_the_air_at_a_power_cut_is_not_acknowledged() {
    let medium = Medium::default();
    let log = Log::open_on(medium.clone(), sealer(1)).unwrap();
    append(&log, 0).await.unwrap();

    let left = medium.cut_power();
    let result = append(&log, 1).await;

    assert!(result.is_err());
    assert!(append(&log, 2).await.is_err(), "nothing is written behind a failure");
    let log = Log::open_on(left, sealer(1)).unwrap();
    assert_eq!(log.last().map(|id| id.index), Some(0));
}

#[tokio::test]
async fn a_vote_is_on_disk_when_it_is_cast() {
    let medium = Medium::default();
    let mut log = Log::open_on(medium.clone(), sealer(1)).unwrap();
    let vote = Vote::new(7, 3);

    log.save_vote(&vote).await.unwrap();

    let mut log = Log::open_on(medium.cut_power(), sealer(1)).unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(vote));
}

#[tokio::test]
async fn writes_that_queue_up_share_a_commit() {
    let medium = Medium::default();
    let log = Log::open_on(medium.clone(), sealer(1)).unwrap();
    let (done, mut written) = tokio::sync::mpsc::channel(100);

    for index in 0..100 {
        let done = done.clone();
        log.append_entries(vec![entry(index)], move |result| done.try_send((index, result)).unwrap());
    }

    for expected in 0..100 {
        assert_eq!(written.recv().await, Some((expected, Ok(()))));
    }
    assert_eq!(log.entries(0..100).await.unwrap().len(), 100);
}

#[tokio::test]
async fn entries_are_read_from_the_file_once_memory_has_let_them_go() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), sealer(1)).unwrap();
    for index in 0..16 {
        let mut large = entry(index);
        large.payload = openraft::EntryPayload::Normal(Proposal(vec![7; 300_000].into()));
        let (done, written) = oneshot::channel();
        log.append_entries(vec![large], |result| drop(done.send(result)));
        written.await.unwrap().unwrap();
    }

    let located = lock(&log.shared.tail).locate(0..16);
    let entries = log.entries(0..16).await.unwrap();

    assert!(!located.on_disk.is_empty());
    assert_eq!(entries.iter().map(|entry| entry.log_id.index).collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_batch_for_a_follower_has_a_limit_and_at_least_one_entry() {
    use openraft::RaftLogReader;

    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), sealer(1)).unwrap();
    for (index, size) in [(0, 400_000), (1, 400_000), (2, 400_000), (3, 1_800_000), (4, 10)] {
        let mut large = entry(index);
        large.payload = openraft::EntryPayload::Normal(Proposal(vec![7; size].into()));
        log.append_entries(vec![large], drop);
    }

    assert_eq!(log.limited_get_log_entries(0, 5).await.unwrap().len(), 2);
    assert_eq!(log.limited_get_log_entries(2, 5).await.unwrap().len(), 1);
    assert_eq!(log.limited_get_log_entries(3, 5).await.unwrap().len(), 1);
}

/// Makes a log with a few entries, closed.
async fn closed_log() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), sealer(1)).unwrap();
    for index in 0..5 {
        append(&log, index).await.unwrap();
    }
    log.close().await;
    dir
}

#[tokio::test]
async fn another_key_is_refused_by_name_and_the_log_stays() {
    let dir = closed_log().await;

    let error = Log::open(dir.path(), sealer(2)).unwrap_err();

    assert!(matches!(error, OpenError::WrongKey { .. }), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    assert_eq!(Log::open(dir.path(), sealer(1)).unwrap().last(), Some(entry(4).log_id));
}

#[tokio::test]
async fn a_damaged_file_is_refused_by_name_and_stays_as_it_is() {
    let whole = std::fs::read(closed_log().await.path().join(LOG_FILE)).unwrap();
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(1000),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes[..512].fill(0xAA),
    ];
    for damage in damages {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOG_FILE);
        let mut altered = whole.clone();
        damage(&mut altered);
        std::fs::write(&path, &altered).unwrap();

        let error = Log::open(dir.path(), sealer(1)).unwrap_err();

        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(std::fs::read(&path).unwrap() == altered, "the file was changed");
    }
}

#[tokio::test]
async fn a_file_that_is_open_is_not_opened_twice() {
    let dir = tempfile::tempdir().unwrap();
    let _log = Log::open(dir.path(), sealer(1)).unwrap();

    assert!(Log::open(dir.path(), sealer(1)).is_err());
}
