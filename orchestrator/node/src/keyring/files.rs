//! The files of a node's keys: `identity.json`, and `lock.json` on a manager of a swarm that locks them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{Secret, Version};
use rpc::Identity;
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, DiskError, damaged, read_json, remove_file, unknown_format, write_json};

const IDENTITY: &str = "identity.json";
const LOCK: &str = "lock.json";
/// The format of an identity with its key in the clear, and of a lock.
const CLEAR: u32 = 1;
/// The format of an identity whose key is sealed.
const SEALED: u32 = 2;

/// A certificate and its key, as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptIdentity {
    /// The certificate, PEM.
    pub(crate) certificate_pem: String,
    /// Its key.
    pub(crate) key: KeptKey,
}

/// A key, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeptKey {
    /// The key itself, PEM.
    Clear(Secret),
    /// Sealed; of no use without the unlock key.
    Sealed(Vec<u8>),
}

/// The lock of a manager's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptLock {
    /// The version of the swarm that it comes from: an older one is no news.
    pub(crate) version: Version,
    /// What the keys are sealed with, sealed with the unlock key; `None` where the swarm does not lock its managers.
    pub(crate) seal: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct IdentityFile {
    format: u32,
    certificate: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed_key: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct LockFile {
    format: u32,
    version: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
}

impl Disk {
    /// The certificate and key.
    pub(crate) fn identity(&self) -> Result<Option<KeptIdentity>, DiskError> {
        let path = self.swarm_dir().join(IDENTITY);
        let Some(file) = read_json::<IdentityFile>(&path)? else {
            return Ok(None);
        };
        let key = match (file.format, file.key, file.sealed_key) {
            (CLEAR, Some(key), None) => KeptKey::Clear(key),
            (SEALED, None, Some(sealed)) => {
                KeptKey::Sealed(STANDARD.decode(sealed).map_err(|error| damaged(&path, error))?)
            }
            (CLEAR | SEALED, _, _) => return Err(damaged(&path, "it has no key, or another than its format says")),
            (format, _, _) => return Err(unknown_format(path, format)),
        };
        Ok(Some(KeptIdentity { certificate_pem: file.certificate, key }))
    }

    /// Keeps certificate and key, in the clear.
    pub(crate) fn keep_identity(&self, identity: &Identity) -> Result<(), DiskError> {
        let key = KeptKey::Clear(identity.key.clone());
        self.write_identity(&KeptIdentity { certificate_pem: identity.certificate_pem.clone(), key })
    }

    /// Keeps certificate and key.
    pub(crate) fn write_identity(&self, identity: &KeptIdentity) -> Result<(), DiskError> {
        self.ensure_swarm_dir()?;
        let (format, key, sealed_key) = match &identity.key {
            KeptKey::Clear(key) => (CLEAR, Some(key.clone()), None),
            KeptKey::Sealed(sealed) => (SEALED, None, Some(STANDARD.encode(sealed))),
        };
        let file = IdentityFile { format, certificate: identity.certificate_pem.clone(), key, sealed_key };
        write_json(&self.swarm_dir().join(IDENTITY), &file)
    }

    /// The lock of the keys, where there has been one.
    pub(crate) fn lock(&self) -> Result<Option<KeptLock>, DiskError> {
        let path = self.swarm_dir().join(LOCK);
        let Some(file) = read_json::<LockFile>(&path)? else {
            return Ok(None);
        };
        if file.format != CLEAR {
            return Err(unknown_format(path, file.format));
        }
        let seal = file.seal.map(|seal| STANDARD.decode(seal)).transpose().map_err(|error| damaged(&path, error))?;
        Ok(Some(KeptLock { version: file.version, seal }))
    }

    /// Keeps the lock of the keys.
    pub(crate) fn keep_lock(&self, lock: &KeptLock) -> Result<(), DiskError> {
        let seal = lock.seal.as_ref().map(|seal| STANDARD.encode(seal));
        write_json(&self.swarm_dir().join(LOCK), &LockFile { format: CLEAR, version: lock.version, seal })
    }

    /// Forgets the lock: the node is no manager any more.
    pub(crate) fn forget_lock(&self) -> Result<(), DiskError> {
        remove_file(&self.swarm_dir().join(LOCK))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn identity(text: &str) -> Identity {
        Identity { certificate_pem: text.to_owned(), key: Secret::new("key") }
    }

    fn kept(identity: &Identity) -> KeptIdentity {
        KeptIdentity { certificate_pem: identity.certificate_pem.clone(), key: KeptKey::Clear(identity.key.clone()) }
    }

    #[test]
    fn what_is_kept_is_read_again_and_only_by_root() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path().to_owned());
        let lock = KeptLock { version: Version(7), seal: Some(vec![1, 2, 3]) };
        let sealed = KeptIdentity { key: KeptKey::Sealed(vec![4, 5]), ..kept(&identity("two")) };

        assert_eq!((disk.identity().unwrap(), disk.lock().unwrap()), (None, None));
        disk.keep_identity(&identity("one")).unwrap();
        assert_eq!(disk.identity().unwrap(), Some(kept(&identity("one"))));
        disk.write_identity(&sealed).unwrap();
        disk.keep_lock(&lock).unwrap();

        assert_eq!((disk.identity().unwrap(), disk.lock().unwrap()), (Some(sealed), Some(lock)));
        for file in ["swarm/identity.json", "swarm/lock.json"] {
            assert_eq!(fs::metadata(directory.path().join(file)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(directory.path().join("swarm")).unwrap().permissions().mode() & 0o777, 0o700);
        disk.forget_lock().unwrap();
        assert_eq!(disk.lock().unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path().to_owned());
        disk.keep_identity(&identity("one")).unwrap();
        let check = |name: &str, text: &str| {
            let file = directory.path().join("swarm").join(name);
            fs::write(&file, text).unwrap();
            let read = disk.identity().map(drop).and(disk.lock().map(drop));
            assert!(matches!(read, Err(DiskError::Damaged { .. })), "{text}: {read:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        };

        check("identity.json", "{\"format\":1,");
        check("identity.json", r#"{"format":1,"certificate":"c","sealed_key":"AAAA"}"#);
        check("identity.json", r#"{"format":2,"certificate":"c","sealed_key":"!"}"#);
        check("identity.json", r#"{"format":3,"certificate":"c","key":"k"}"#);
        disk.keep_identity(&identity("one")).unwrap();
        check("lock.json", r#"{"format":1,"version":1,"seal":"!"}"#);
        check("lock.json", r#"{"format":2,"version":1}"#);
    }
}
