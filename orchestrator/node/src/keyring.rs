//! The keys of a node on disk: in the clear, or locked while the swarm has its managers lock themselves.
//!
//! ```text
//! unlock key (store, operator) ──seals──> seal (lock.json) ──seals──> node key (identity.json), data key (raft/data.key)
//!
//! on:      lock.json, then the keys sealed           rotated: lock.json alone
//! off:     the keys in the clear, then lock.json     demoted: node key in the clear, log gone, then no lock.json
//! ```
//!
//! Each step is one file, whole and durable. Whatever the last one was, one unlock key opens all: a key that is still in
//! the clear beside a lock is read as it is, and brought into form by the next [`follow`](Keyring::follow). Who has the
//! files alone has nothing. The certificate stays readable: the role says whether a lock counts.
//!
//! An older version of the swarm than the lock's is no news: after a restart the store may be behind for a moment.

mod files;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ca::{CertificateInfo, UnlockKey};
use model::{Role, Secret, Version};
use raft::{DataKey, KeySeal};
use rand::rngs::StdRng;
use rpc::Identity;

use crate::disk::{Disk, DiskError, damaged};
use files::{KeptIdentity, KeptKey, KeptLock};

/// What the seal is sealed as.
const SEAL: &str = "seal";
/// What the node's key is sealed as.
const NODE_KEY: &str = "node key";

/// Why keys could not be brought into the form that the swarm wants.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyringError {
    /// The node's own files.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The key of the log.
    #[error(transparent)]
    DataKey(#[from] raft::OpenError),
}

/// What has become of a node's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    /// They are as they were.
    Unchanged,
    /// They were in the clear, and are locked now.
    Locked,
    /// They open with another unlock key.
    Rotated,
    /// They were locked, and are in the clear now.
    Opened,
}

/// The keys that a node finds on its disk.
#[derive(Debug)]
pub(crate) enum Found {
    /// It has them.
    Open(Keyring),
    /// It needs the unlock key.
    Locked(LockedKeys),
}

/// The keys of a membership. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Keyring(Arc<Mutex<Keys>>);

struct Keys {
    disk: Disk,
    rng: StdRng,
    /// The role in the certificate that is kept, where it can be read.
    role: Option<Role>,
    /// The version of the swarm that the lock, or its absence, comes from.
    version: Version,
    lock: Option<Lock>,
    /// All files are known to have the form that the lock wants.
    is_settled: bool,
}

/// A lock that is known to fit.
#[derive(Clone)]
struct Lock {
    unlock_key: UnlockKey,
    seal: KeySeal,
}

/// Keys that need the unlock key.
pub(crate) struct LockedKeys {
    disk: Disk,
    role: Option<Role>,
    version: Version,
    seal: Vec<u8>,
}

impl Keyring {
    /// The keys of a membership that begins: in the clear.
    pub(crate) fn new(disk: Disk, rng: StdRng) -> Self {
        Self::of(Keys { disk, rng, role: None, version: Version::default(), lock: None, is_settled: false })
    }

    /// The keys of the membership on disk. What a demotion that was cut short left behind is gone on return.
    pub(crate) fn find(disk: Disk, rng: StdRng) -> Result<Found, DiskError> {
        // `node.json` is written after the identity: without one this is no state of ours.
        let missing = || damaged(&disk.swarm_dir().join("identity.json"), "it is missing");
        let certificate = disk.identity()?.ok_or_else(missing)?.certificate_pem;
        let role = CertificateInfo::from_pem(&certificate).ok().map(|certificate| certificate.role);
        let version = match disk.lock()? {
            None => Version::default(),
            Some(_) if role == Some(Role::Worker) => {
                forget_place(&disk)?;
                Version::default()
            }
            Some(KeptLock { version, seal: None }) => version,
            Some(KeptLock { version, seal: Some(seal) }) => {
                return Ok(Found::Locked(LockedKeys { disk, role, version, seal }));
            }
        };
        Ok(Found::Open(Self::of(Keys { disk, rng, role, version, lock: None, is_settled: false })))
    }

    fn of(keys: Keys) -> Self {
        Self(Arc::new(Mutex::new(keys)))
    }

    /// The certificate that is kept, and its key.
    pub(crate) fn identity(&self) -> Result<Identity, DiskError> {
        self.keys().identity()
    }

    /// Keeps a certificate and its key, in the form that its role and the lock want.
    pub(crate) fn keep(&self, identity: &Identity, role: Role) -> Result<(), DiskError> {
        let mut keys = self.keys();
        keys.write(identity, role)?;
        keys.role = Some(role);
        Ok(())
    }

    /// What the key of the log is sealed with.
    pub(crate) fn seal(&self) -> Option<KeySeal> {
        self.keys().lock.as_ref().map(|lock| lock.seal.clone())
    }

    /// Brings a manager's keys into the form that a version of the swarm wants: sealed, so that this unlock key opens
    /// them, or in the clear without one.
    pub(crate) fn follow(&self, version: Version, unlock_key: Option<&UnlockKey>) -> Result<Followed, KeyringError> {
        let mut keys = self.keys();
        let is_same = keys.lock.as_ref().map(|lock| &lock.unlock_key) == unlock_key;
        // The keys of a node that has become a worker are in the clear; its lock goes with its place in raft.
        if version < keys.version || keys.role == Some(Role::Worker) || (is_same && keys.is_settled) {
            return Ok(Followed::Unchanged);
        }
        let was_locked = keys.lock.is_some();
        match unlock_key {
            Some(unlock_key) => keys.lock_with(version, unlock_key, is_same)?,
            None => keys.open_up(version)?,
        }
        keys.is_settled = true;
        Ok(match (was_locked, unlock_key) {
            _ if is_same => Followed::Unchanged,
            (false, _) => Followed::Locked,
            (true, Some(_)) => Followed::Rotated,
            (true, None) => Followed::Opened,
        })
    }

    /// Forgets the lock of a node that is a manager no more, once its log is gone. Where it has become one again
    /// meanwhile, the lock stays.
    pub(crate) fn forget_lock(&self) -> Result<(), DiskError> {
        let mut keys = self.keys();
        if keys.role == Some(Role::Worker) {
            keys.disk.forget_lock()?;
            keys.version = Version::default();
            keys.lock = None;
            keys.is_settled = false;
        }
        Ok(())
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn identity(&self) -> Result<Identity, DiskError> {
        let path = self.disk.swarm_dir().join("identity.json");
        let KeptIdentity { certificate_pem, key } =
            self.disk.identity()?.ok_or_else(|| damaged(&path, "it is missing"))?;
        let key = match key {
            KeptKey::Clear(key) => key,
            KeptKey::Sealed(sealed) => {
                let opened = self.lock.as_ref().and_then(|lock| lock.seal.open(NODE_KEY, &sealed));
                let opened = opened.ok_or_else(|| damaged(&path, "its key is sealed, and not by the node's lock"))?;
                Secret::new(std::str::from_utf8(&opened).map_err(|error| damaged(&path, error))?)
            }
        };
        Ok(Identity { certificate_pem, key })
    }

    fn write(&mut self, identity: &Identity, role: Role) -> Result<(), DiskError> {
        let lock = self.lock.as_ref().filter(|_| role == Role::Manager);
        let key = match lock {
            None => KeptKey::Clear(identity.key.clone()),
            Some(lock) => KeptKey::Sealed(lock.seal.seal(NODE_KEY, identity.key.expose().as_bytes(), &mut self.rng)),
        };
        self.disk.write_identity(&KeptIdentity { certificate_pem: identity.certificate_pem.clone(), key })
    }

    /// Seals: first what opens the keys, then the keys.
    fn lock_with(&mut self, version: Version, unlock_key: &UnlockKey, is_same: bool) -> Result<(), KeyringError> {
        let present = self.lock.as_ref().map(|lock| lock.seal.clone());
        let seal = present.unwrap_or_else(|| KeySeal::generate(&mut self.rng));
        if !is_same {
            let sealed = KeySeal::new(unlock_key.bytes()).seal(SEAL, seal.bytes(), &mut self.rng);
            self.disk.keep_lock(&KeptLock { version, seal: Some(sealed) })?;
            self.version = version;
            let before = self.lock.replace(Lock { unlock_key: unlock_key.clone(), seal: seal.clone() });
            if before.is_some() && self.is_settled {
                return Ok(());
            }
            self.is_settled = false;
        }
        let identity = self.identity()?;
        self.write(&identity, Role::Manager)?;
        DataKey::convert(&self.disk.raft_dir(), Some(&seal), Some(&seal), &mut self.rng)?;
        Ok(())
    }

    /// Opens: first the keys, then the lock says that there is none.
    fn open_up(&mut self, version: Version) -> Result<(), KeyringError> {
        let Some(lock) = self.lock.clone() else {
            return Ok(());
        };
        self.is_settled = false;
        let identity = self.identity()?;
        self.disk.keep_identity(&identity)?;
        DataKey::convert(&self.disk.raft_dir(), Some(&lock.seal), None, &mut self.rng)?;
        self.disk.keep_lock(&KeptLock { version, seal: None })?;
        self.version = version;
        self.lock = None;
        Ok(())
    }
}

impl LockedKeys {
    /// The keys, where this is the unlock key that they were locked with last.
    pub(crate) fn unlock(&self, unlock_key: &UnlockKey, rng: StdRng) -> Option<Keyring> {
        let seal = KeySeal::new(unlock_key.bytes()).open(SEAL, &self.seal)?;
        let seal = KeySeal::new(seal.as_slice().try_into().ok()?);
        Some(Keyring::of(Keys {
            disk: self.disk.clone(),
            rng,
            role: self.role,
            version: self.version,
            lock: Some(Lock { unlock_key: unlock_key.clone(), seal }),
            is_settled: false,
        }))
    }
}

/// Finishes a demotion: the place in raft first, then the lock that its key was sealed with.
fn forget_place(disk: &Disk) -> Result<(), DiskError> {
    if let Some(mut node) = disk.node()? {
        node.raft_id = None;
        disk.keep_node(&node)?;
    }
    disk.forget_genesis()?;
    disk.forget_api_tls()?;
    disk.forget_raft()?;
    disk.forget_lock()
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keyring").field("is_locked", &self.keys().lock.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for LockedKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LockedKeys").field("version", &self.version).finish_non_exhaustive()
    }
}
