//! A log that begins anew: at every crash, and then as a group.

use std::time::Duration;

use openraft::testing::blank_ent;
use tokio::time::sleep;

use super::*;
use crate::log::medium::Medium;
use crate::tests::{Cluster, peer};
use crate::types::{Proposal, TypeConfig};
use crate::{ProposeError, RaftSettings};

/// The id that a member takes when its group begins anew.
const FRESH: u64 = 7;

fn sealer() -> Sealer {
    let mut rng = StdRng::seed_from_u64(1);
    let key = DataKey::generate(&mut rng);
    Sealer::new(&key, rng)
}

fn resting(bytes: Vec<u8>) -> RestingLog {
    RestingLog::read(Disk::open_on(Medium::holding(bytes), sealer()).unwrap()).unwrap()
}

/// The log of member 1 of three: a membership, and entries of which only the first are marked as committed.
fn former_log() -> Vec<u8> {
    let medium = Medium::default();
    let (disk, _) = Disk::open_on(medium.clone(), sealer()).unwrap();
    let members: BTreeMap<u64, Member> = (1..=3).map(|id| (id, Member(Some(peer(id))))).collect();
    let mut roster = blank_ent::<TypeConfig>(1, 1, 0);
    roster.payload = EntryPayload::Membership(Membership::new(vec![members.keys().copied().collect()], members));
    let mut entries = vec![roster];
    entries.extend((1..=9).map(|index| {
        let mut entry = blank_ent::<TypeConfig>(4, 2, index);
        entry.payload = EntryPayload::Normal(Proposal(format!("entry {index}").into()));
        entry
    }));
    let committed = entries[5].log_id;
    disk.commit(&[Write::Append(entries), Write::Vote(Vote::new_committed(6, 2)), Write::Committed(committed)])
        .unwrap();
    disk.close();
    medium.synced()
}

/// Whether the log has begun anew; fails where it is neither the old one nor the new one, whole.
fn has_begun_anew(bytes: Vec<u8>) -> bool {
    let log = resting(bytes);
    let former = resting(former_log());
    let (kept, added) = log.contents.entries.split_at(10);
    assert_eq!(kept, former.contents.entries);
    assert_eq!(log.contents.committed, former.contents.committed);
    let Some(added) = added.first() else {
        assert_eq!(log.contents.vote, former.contents.vote);
        return false;
    };
    assert_eq!((added.log_id.index, added.log_id.leader_id.term), (10, 7));
    assert_eq!(log.contents.vote, Some(Vote::new(7, FRESH)));
    let EntryPayload::Membership(membership) = &added.payload else { panic!("{added}") };
    assert_eq!(membership.voter_ids().collect::<Vec<_>>(), [FRESH]);
    assert_eq!(membership.get_node(&FRESH), Some(&Member(Some(peer(FRESH)))));
    true
}

#[test]
fn a_crash_at_any_write_leaves_the_old_log_or_the_new_one_and_the_next_try_completes_it() {
    let former = former_log();
    let (mut crashes, mut outcomes) = (0, BTreeSet::new());
    loop {
        let medium = Medium::holding(former.clone());
        let log = RestingLog::read(Disk::open_on(medium.clone(), sealer()).unwrap()).unwrap();
        medium.cut_power_after(crashes);
        let written = log.begin_anew(&peer(FRESH));
        if !medium.is_off() {
            assert!(written.is_ok() && has_begun_anew(medium.synced()));
            break;
        }

        // What was not synced may have reached the disk all the same.
        for left in [medium.synced(), medium.written()] {
            outcomes.insert(has_begun_anew(left.clone()));
            let medium = Medium::holding(left);
            let log = RestingLog::read(Disk::open_on(medium.clone(), sealer()).unwrap()).unwrap();
            log.begin_anew(&peer(FRESH)).unwrap();
            assert!(has_begun_anew(medium.synced()), "after a crash at write {crashes}");
        }
        crashes += 1;
    }
    assert!(crashes > 3, "there were only {crashes} writes to crash at");
    assert!(outcomes.contains(&false));
}

#[test]
fn a_log_that_has_begun_anew_is_not_touched_again() {
    let medium = Medium::holding(former_log());
    let log = RestingLog::read(Disk::open_on(medium.clone(), sealer()).unwrap()).unwrap();
    log.begin_anew(&peer(FRESH)).unwrap();
    drop(log);
    let once = medium.synced();

    let again = resting(once.clone());
    again.begin_anew(&peer(FRESH)).unwrap();

    assert_eq!(again.disk.entries(0..u64::MAX).unwrap().len(), 11);
    assert!(has_begun_anew(once));
}

#[test]
fn the_new_beginning_follows_a_snapshot_that_the_log_was_not_cut_behind_yet() {
    let last = LogId::new(CommittedLeaderId::new(6, 2), 40);
    let medium = Medium::holding(former_log());
    let (disk, contents) = Disk::open_on(medium.clone(), sealer()).unwrap();
    let meta = SnapshotMeta { last_log_id: Some(last), ..SnapshotMeta::default() };
    disk.commit(&[Write::Snapshot(meta, Vec::new())]).unwrap();

    RestingLog::read((disk, contents)).unwrap().begin_anew(&peer(FRESH)).unwrap();

    let log = resting(medium.synced());
    assert_eq!(log.contents.purged, Some(last));
    assert_eq!(log.contents.entries.iter().map(|entry| entry.log_id.index).collect::<Vec<_>>(), [41]);
}

#[test]
fn a_log_that_was_never_part_of_a_group_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(1);

    assert!(RestingLog::open(&dir.path().join("raft"), None, &mut rng).unwrap().is_empty());
    assert!(!resting(former_log()).is_empty());
}

impl Cluster {
    /// Stops a member and starts it under another id as the only voter, on the log that it left.
    async fn begin_anew(&mut self, id: u64, fresh: u64) {
        self.kill(id).await;
        std::fs::rename(self.dir(id), self.dir(fresh)).unwrap();
        RestingLog::open(&self.dir(fresh), None, &mut StdRng::seed_from_u64(fresh))
            .unwrap()
            .begin_anew(&peer(fresh))
            .unwrap();
        self.start(fresh).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_three_goes_on_alone_with_all_that_was_acknowledged_and_grows_again() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    let survivor = cluster.follower().await;
    for number in 0..5 {
        cluster.propose(format!("{number}")).await.unwrap();
    }
    // The leader dies with the last acknowledgment; no heartbeat tells the survivor that it is committed.
    cluster.caught_up(survivor).await;
    for id in (1..=3).filter(|id| *id != survivor) {
        cluster.kill(id).await;
    }

    cluster.begin_anew(survivor, FRESH).await;
    cluster.write("alone").await;
    for id in [8, 9] {
        cluster.start(id).await;
        cluster.raft(FRESH).add_voter(peer(id)).await.unwrap();
    }

    cluster.write("together").await;
    for id in [FRESH, 8, 9] {
        cluster.caught_up(id).await;
        assert_eq!(cluster.ledger(id).applied(), ["0", "1", "2", "3", "4", "alone", "together"], "member {id}");
        assert_eq!(cluster.status(id).voters().count(), 3);
    }
    assert!((1..=3).all(|id| cluster.raft(8).was_removed(model::RaftId(id))));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_a_quorum_has_is_kept_though_nobody_said_that_it_is_committed() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    let leader = cluster.leader().await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    cluster.propose("known").await.unwrap();
    cluster.caught_up(others[0]).await;
    // The other follower is gone, so the leader and this one are the quorum; the leader stops before its next beat.
    cluster.kill(others[1]).await;
    cluster.propose("acknowledged").await.unwrap();
    cluster.kill(leader).await;

    cluster.begin_anew(others[0], FRESH).await;
    cluster.write("after").await;

    assert_eq!(cluster.ledger(FRESH).applied(), ["known", "acknowledged", "after"]);
}

#[tokio::test(start_paused = true)]
async fn former_members_with_a_quorum_of_their_own_learn_that_they_were_removed_and_touch_nothing() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    cluster.propose("before").await.unwrap();
    let survivor = cluster.follower().await;
    cluster.caught_up(survivor).await;
    let former: Vec<u64> = (1..=3).filter(|id| *id != survivor).collect();

    cluster.begin_anew(survivor, FRESH).await;
    cluster.wait_status(FRESH, |status| status.is_leader).await;
    cluster.raft(FRESH).propose("anew".into()).await.unwrap();
    let mut told = Vec::new();
    for id in &former {
        told.push(cluster.raft(FRESH).tell_removed(&peer(*id)).await.unwrap());
    }

    assert_eq!(told, [true, true]);
    for id in former {
        assert!(cluster.status(id).is_removed && !cluster.status(id).is_leader);
        let refused = cluster.raft(id).propose("of the former group".into()).await;
        let nothing_done = matches!(refused, Err(ProposeError::NotLeader { leader: None } | ProposeError::NoQuorum));
        assert!(nothing_done, "{refused:?}");
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!(cluster.ledger(FRESH).applied(), ["before", "anew"]);
    assert!(cluster.status(FRESH).is_leader);
}

#[tokio::test(start_paused = true)]
async fn a_former_member_that_comes_back_is_told_when_it_asks_for_votes() {
    let mut cluster = Cluster::formed(3, RaftSettings::default()).await;
    let survivor = cluster.follower().await;
    let former: Vec<u64> = (1..=3).filter(|id| *id != survivor).collect();
    cluster.kill(former[0]).await;
    cluster.kill(former[1]).await;
    cluster.begin_anew(survivor, FRESH).await;
    cluster.wait_status(FRESH, |status| status.is_leader).await;
    let term = cluster.status(FRESH).term;

    // It still knows the survivor under its former id, and reaches it at the same place.
    cluster.answers_for(survivor, FRESH);
    cluster.start(former[0]).await;

    cluster.wait_status(former[0], |status| status.is_removed).await;
    assert_eq!(cluster.status(FRESH).term, term);
}

#[tokio::test(start_paused = true)]
async fn who_answers_under_another_id_by_now_was_told_already() {
    let mut cluster = Cluster::formed(2, RaftSettings::default()).await;
    cluster.begin_anew(2, FRESH).await;
    cluster.wait_status(FRESH, |status| status.is_leader).await;
    cluster.kill(1).await;
    cluster.start(8).await;
    cluster.answers_for(1, 8);

    assert_eq!(cluster.raft(FRESH).tell_removed(&peer(1)).await, Ok(false));
    assert!(!cluster.status(8).is_removed);
}
