//! Keys through locking, rotating and opening, cut short at every file.

use std::fs;
use std::path::PathBuf;

use ca::{Authority, KeyPair, NodeSubject};
use jiff::Timestamp;
use model::{ClusterId, NodeId, RaftId};
use rand::SeedableRng;
use tempfile::TempDir;

use super::*;
use crate::disk::NewNode;

const OLD: u64 = 1;
const NEW: u64 = 2;

/// A manager's data directory.
struct Host {
    directory: TempDir,
    manager: Identity,
    worker: Identity,
    data_key: u32,
}

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn unlock_key(seed: u64) -> UnlockKey {
    UnlockKey::generate(&mut rng(seed))
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::generate("swarm-ca", Timestamp::now()).unwrap();
        let (node_id, cluster_id) = (NodeId::generate(&mut rng(3)), ClusterId::generate(&mut rng(4)));
        let identity = |role: Role| {
            let key = KeyPair::generate().unwrap();
            let (node_id, cluster_id) = (node_id.clone(), cluster_id.clone());
            let subject = NodeSubject { node_id, role, cluster_id, addresses: Vec::new() };
            let life = std::time::Duration::from_hours(1);
            let certificate_pem = authority.issue_node(key.csr_pem(), &subject, life, Timestamp::now()).unwrap();
            Identity { certificate_pem, key: key.key_pem() }
        };
        let (manager, worker) = (identity(Role::Manager), identity(Role::Worker));
        let disk = Disk::new(directory.path().to_owned());
        disk.keep_identity(&manager).unwrap();
        let node = NewNode {
            node_id,
            cluster_id,
            roots: Vec::new(),
            listen: "127.0.0.1:2377".parse().unwrap(),
            advertise: "127.0.0.1:2377".parse().unwrap(),
            data_path: None,
            managers: Vec::new(),
            remotes: Vec::new(),
            raft_id: Some(RaftId(1)),
            is_first_key: false,
            nonce: None,
        };
        disk.keep_node(&node.into()).unwrap();
        let data_key = DataKey::load_or_create(&disk.raft_dir(), None, &mut rng(5)).unwrap().id();
        Self { directory, manager, worker, data_key }
    }

    fn disk(&self) -> Disk {
        Disk::new(self.directory.path().to_owned())
    }

    fn find(&self) -> Found {
        Keyring::find(self.disk(), rng(6)).unwrap()
    }

    /// The keys after a restart, where this is what opens them.
    fn open(&self, unlock_key: Option<&UnlockKey>) -> Option<Keyring> {
        match (self.find(), unlock_key) {
            (Found::Open(keyring), None) => Some(keyring),
            (Found::Locked(locked), Some(key)) => locked.unlock(key, rng(9)),
            (Found::Open(_), Some(_)) | (Found::Locked(_), None) => None,
        }
    }

    /// Whether a keyring has all keys.
    fn has_all(&self, keyring: &Keyring) -> bool {
        let seal = keyring.seal();
        let data_key = DataKey::load_or_create(&self.disk().raft_dir(), seal.as_ref(), &mut rng(7)).unwrap();
        keyring.identity().unwrap() == self.manager && data_key.id() == self.data_key
    }

    /// Whether a text of the node's key or of a file with the data key in the clear is on the disk.
    fn is_in_the_clear(&self) -> bool {
        let key_line = self.manager.key.expose().lines().nth(1).unwrap();
        let identity = fs::read_to_string(self.path("swarm/identity.json")).unwrap();
        identity.contains(key_line) || DataKey::convert(&self.disk().raft_dir(), None, None, &mut rng(8)).is_ok()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

#[test]
fn locked_keys_open_with_the_unlock_key_alone() {
    let host = Host::new();
    let keyring = host.open(None).unwrap();

    assert_eq!(keyring.follow(Version(1), Some(&unlock_key(OLD))).unwrap(), Followed::Locked);

    assert!(!host.is_in_the_clear());
    assert!(host.open(None).is_none() && host.open(Some(&unlock_key(NEW))).is_none());
    let opened = host.open(Some(&unlock_key(OLD))).unwrap();
    assert!(host.has_all(&opened));
}

#[test]
fn a_rotation_and_the_end_of_locking_are_followed() {
    let host = Host::new();
    let keyring = host.open(None).unwrap();
    keyring.follow(Version(1), Some(&unlock_key(OLD))).unwrap();

    assert_eq!(keyring.follow(Version(2), Some(&unlock_key(OLD))).unwrap(), Followed::Unchanged);
    assert_eq!(keyring.follow(Version(3), Some(&unlock_key(NEW))).unwrap(), Followed::Rotated);
    assert!(host.open(Some(&unlock_key(OLD))).is_none());
    assert!(host.has_all(&host.open(Some(&unlock_key(NEW))).unwrap()));

    assert_eq!(keyring.follow(Version(4), None).unwrap(), Followed::Opened);
    assert!(host.is_in_the_clear());
    assert!(host.has_all(&host.open(None).unwrap()));
}

#[test]
fn a_manager_that_was_away_opens_with_the_old_key_and_learns_the_new_one() {
    let host = Host::new();
    host.open(None).unwrap().follow(Version(1), Some(&unlock_key(OLD))).unwrap();

    let back = host.open(Some(&unlock_key(OLD))).unwrap();
    assert_eq!(back.follow(Version(1), Some(&unlock_key(OLD))).unwrap(), Followed::Unchanged);
    assert_eq!(back.follow(Version(9), Some(&unlock_key(NEW))).unwrap(), Followed::Rotated);

    assert!(host.open(Some(&unlock_key(OLD))).is_none());
    assert!(host.has_all(&host.open(Some(&unlock_key(NEW))).unwrap()));
}

#[test]
fn an_older_version_of_the_swarm_is_no_news_even_after_a_restart() {
    let host = Host::new();
    let keyring = host.open(None).unwrap();
    keyring.follow(Version(1), Some(&unlock_key(OLD))).unwrap();
    keyring.follow(Version(5), Some(&unlock_key(NEW))).unwrap();

    let locked = host.open(Some(&unlock_key(NEW))).unwrap();
    assert_eq!(locked.follow(Version(1), Some(&unlock_key(OLD))).unwrap(), Followed::Unchanged);
    locked.follow(Version(7), None).unwrap();
    let open = host.open(None).unwrap();
    assert_eq!(open.follow(Version(5), Some(&unlock_key(NEW))).unwrap(), Followed::Unchanged);

    assert!(host.has_all(&host.open(None).unwrap()));
}

#[test]
fn keys_cut_short_at_any_file_open_with_the_old_key_or_the_new_one_and_come_into_form() {
    let (old, new) = (unlock_key(OLD), unlock_key(NEW));
    let check = |from: Option<&UnlockKey>, to: Option<&UnlockKey>, file: &str, is_killed: bool| {
        let host = Host::new();
        let keyring = host.open(None).unwrap();
        keyring.follow(Version(1), from).unwrap();
        // The file can be written under no other name first, so the step before it was the last one.
        fs::create_dir(host.path(file)).unwrap();
        let followed = keyring.follow(Version(2), to);
        fs::remove_dir(host.path(file)).unwrap();

        let case = format!("from {from:?} to {to:?}, cut short at {file}, killed {is_killed}: {followed:?}");
        let is_key_touched = from.is_some() != to.is_some() || file == "swarm/lock.new";
        assert_eq!(followed.is_err(), is_key_touched, "{case}");
        let restarted = is_killed.then(|| host.open(from).or_else(|| host.open(to)).expect(&case));
        let next = restarted.unwrap_or(keyring);
        assert!(host.has_all(&next), "{case}");
        next.follow(Version(2), to).expect(&case);
        let settled = host.open(to).expect(&case);
        assert!(host.has_all(&settled), "{case}");
        assert_eq!(host.is_in_the_clear(), to.is_none(), "{case}");
    };

    for file in ["swarm/lock.new", "swarm/identity.new", "swarm/raft/data.key.new"] {
        for is_killed in [true, false] {
            check(None, Some(&new), file, is_killed);
            check(Some(&old), Some(&new), file, is_killed);
            check(Some(&old), None, file, is_killed);
        }
    }
}

#[test]
fn a_renewed_certificate_is_kept_as_the_lock_wants() {
    let host = Host::new();
    let keyring = host.open(None).unwrap();
    keyring.follow(Version(1), Some(&unlock_key(OLD))).unwrap();

    keyring.keep(&host.manager, Role::Manager).unwrap();

    assert!(!host.is_in_the_clear());
    assert!(host.has_all(&host.open(Some(&unlock_key(OLD))).unwrap()));
}

#[test]
fn a_demoted_manager_goes_back_to_the_clear_wherever_it_is_cut_short() {
    let host = Host::new();
    let keyring = host.open(None).unwrap();
    keyring.follow(Version(1), Some(&unlock_key(OLD))).unwrap();

    keyring.keep(&host.worker, Role::Worker).unwrap();
    assert_eq!(keyring.follow(Version(2), Some(&unlock_key(NEW))).unwrap(), Followed::Unchanged);

    // Killed here, it finishes with the next start.
    let restarted = host.open(None).unwrap();
    assert_eq!(restarted.identity().unwrap(), host.worker);
    assert_eq!((host.disk().lock().unwrap(), host.disk().raft_dir().exists()), (None, false));
    assert_eq!(host.disk().node().unwrap().unwrap().raft_id, None);
}

#[test]
fn a_lock_is_forgotten_with_the_role_and_not_with_the_place_alone() {
    let host = Host::new();
    let keyring = host.open(None).unwrap();
    keyring.follow(Version(1), Some(&unlock_key(OLD))).unwrap();

    keyring.forget_lock().unwrap();
    assert!(host.disk().lock().unwrap().is_some(), "a manager that joins raft anew keeps its lock");
    keyring.keep(&host.worker, Role::Worker).unwrap();
    host.disk().forget_raft().unwrap();
    keyring.forget_lock().unwrap();

    assert_eq!((host.disk().lock().unwrap(), keyring.seal().is_none()), (None, true));
    keyring.keep(&host.manager, Role::Manager).unwrap();
    assert_eq!(keyring.follow(Version(1), Some(&unlock_key(NEW))).unwrap(), Followed::Locked);
    assert!(host.open(Some(&unlock_key(NEW))).is_some());
}

#[test]
fn keys_are_not_printed() {
    let host = Host::new();
    let keyring = host.open(None).unwrap();
    keyring.follow(Version(1), Some(&unlock_key(OLD))).unwrap();

    assert_eq!(format!("{keyring:?}"), "Keyring { is_locked: true, .. }");
    assert_eq!(format!("{:?}", host.find()), "Locked(LockedKeys { version: Version(1), .. })");
}
