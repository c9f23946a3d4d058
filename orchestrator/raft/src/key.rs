//! The key that seals the log, and its file.
//!
//! The file is made once, 0600, under a temporary name, and is on disk under its own before anything is sealed
//! with it. A key that is missing or damaged while a log exists is an error: a new key could not open the log.
//! Where managers lock themselves the key is sealed in its file; it changes its form as it was made: whole, or not at all.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{KeySeal, LOG_FILE, OpenError, codec};

/// The file of the key, in the directory of the log.
const KEY_FILE: &str = "data.key";
/// The format of a file with the key itself.
const CLEAR: u8 = 1;
/// The format of a file with the sealed key.
const SEALED: u8 = 2;
/// What the key is sealed as.
const NAME: &str = "data key";
const KEY_BYTES: usize = 32;

/// The key that seals every record of the log.
#[derive(Clone)]
pub struct DataKey {
    id: u32,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

/// The key as its file holds it.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    format: u8,
    id: u32,
    key: Bytes,
}

impl DataKey {
    /// Draws a new key.
    pub fn generate(rng: &mut StdRng) -> Self {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rng.fill_bytes(&mut *key);
        Self { id: rng.random_range(1..=u32::MAX), key }
    }

    /// Reads the key in `dir`, or makes one (and `dir`, 0700) where there is neither a key nor a log. On return its file
    /// is sealed with `seal`, or in the clear without one.
    ///
    /// # Errors
    /// A damaged key, one that is sealed with another seal, or one that is missing while a log exists; nothing is
    /// overwritten then.
    pub fn load_or_create(dir: &Path, seal: Option<&KeySeal>, rng: &mut StdRng) -> Result<Self, OpenError> {
        if let Some(key) = Self::convert(dir, seal, seal, rng)? {
            return Ok(key);
        }
        let (path, log) = (dir.join(KEY_FILE), dir.join(LOG_FILE));
        if log.exists() {
            return Err(OpenError::KeyMissing { key: path, log });
        }
        let key = Self::generate(rng);
        key.write(dir, seal, rng).map_err(|error| OpenError::io("write", &path, error))?;
        Ok(key)
    }

    /// Reads the key in `dir`, if there is one: in the clear, or sealed with `from`. On return its file is sealed with
    /// `to`, or in the clear without one.
    ///
    /// # Errors
    /// As [`load_or_create`](Self::load_or_create).
    pub fn convert(
        dir: &Path,
        from: Option<&KeySeal>,
        to: Option<&KeySeal>,
        rng: &mut StdRng,
    ) -> Result<Option<Self>, OpenError> {
        let path = dir.join(KEY_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io("read", &path, error)),
        };
        let damaged = || OpenError::KeyDamaged(path.clone());
        let file: KeyFile = codec::decode(&bytes).map_err(|_| damaged())?;
        let key = match file.format {
            CLEAR => Zeroizing::new(file.key.to_vec()),
            SEALED => {
                let opened = from.and_then(|seal| seal.open(NAME, &file.key));
                opened.ok_or_else(|| OpenError::KeySealed(path.clone()))?
            }
            _ => return Err(damaged()),
        };
        let key = <[u8; KEY_BYTES]>::try_from(key.as_slice()).map_err(|_| damaged())?;
        let key = Self { id: file.id, key: Zeroizing::new(key) };
        let is_in_form = match to {
            None => file.format == CLEAR,
            Some(seal) => file.format == SEALED && seal.open(NAME, &file.key).is_some(),
        };
        if !is_in_form {
            key.write(dir, to, rng).map_err(|error| OpenError::io("write", &path, error))?;
        }
        Ok(Some(key))
    }

    /// The number that every record sealed with this key carries in the clear.
    pub fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    fn write(&self, dir: &Path, seal: Option<&KeySeal>, rng: &mut StdRng) -> std::io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let (format, key) = match seal {
            None => (CLEAR, self.key.to_vec()),
            Some(seal) => (SEALED, seal.seal(NAME, &*self.key, rng)),
        };
        let file = KeyFile { format, id: self.id, key: key.into() };
        let temporary = dir.join("data.key.new");
        let bytes = Zeroizing::new(codec::encode(&file));

        let mut writer = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        writer.write_all(&bytes)?;
        writer.sync_all()?;
        fs::rename(&temporary, dir.join(KEY_FILE))?;
        File::open(dir)?.sync_all()
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DataKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rand::SeedableRng;

    use super::*;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();

        let made = DataKey::load_or_create(dir.path(), None, &mut rng()).unwrap();
        let read = DataKey::load_or_create(dir.path(), None, &mut StdRng::seed_from_u64(2)).unwrap();

        assert_eq!((made.id, made.key), (read.id, read.key));
    }

    #[test]
    fn only_its_owner_reads_a_key() {
        let dir = tempfile::tempdir().unwrap();

        DataKey::load_or_create(dir.path(), None, &mut rng()).unwrap();

        let mode = fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_an_error_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY_FILE);
        fs::write(&path, b"not a key").unwrap();

        let error = DataKey::load_or_create(dir.path(), None, &mut rng()).unwrap_err();

        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"not a key");
    }

    #[test]
    fn a_key_missing_beside_a_log_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOG_FILE), b"log").unwrap();

        let error = DataKey::load_or_create(dir.path(), None, &mut rng()).unwrap_err();

        assert!(matches!(error, OpenError::KeyMissing { .. }), "{error}");
        assert!(!dir.path().join(KEY_FILE).exists());
    }

    #[test]
    fn a_sealed_key_opens_with_its_seal_only() {
        let dir = tempfile::tempdir().unwrap();
        let (seal, other) = (KeySeal::generate(&mut rng()), KeySeal::generate(&mut StdRng::seed_from_u64(2)));

        let made = DataKey::load_or_create(dir.path(), Some(&seal), &mut rng()).unwrap();
        let read = DataKey::load_or_create(dir.path(), Some(&seal), &mut rng()).unwrap();

        assert_eq!((made.id, &made.key), (read.id, &read.key));
        let on_disk = fs::read(dir.path().join(KEY_FILE)).unwrap();
        assert!(!on_disk.windows(KEY_BYTES).any(|window| window == *made.key));
        for wrong in [None, Some(&other)] {
            let error = DataKey::load_or_create(dir.path(), wrong, &mut rng()).unwrap_err();
            assert!(matches!(error, OpenError::KeySealed(_)), "{error}");
        }
        assert_eq!(fs::read(dir.path().join(KEY_FILE)).unwrap(), on_disk);
    }

    #[test]
    fn a_key_changes_its_form_and_stays_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let seal = KeySeal::generate(&mut rng());
        let made = DataKey::load_or_create(dir.path(), None, &mut rng()).unwrap();
        let clear = fs::read(dir.path().join(KEY_FILE)).unwrap();

        let sealed = DataKey::load_or_create(dir.path(), Some(&seal), &mut rng()).unwrap();
        assert_ne!(fs::read(dir.path().join(KEY_FILE)).unwrap(), clear);
        let again = DataKey::convert(dir.path(), Some(&seal), None, &mut rng()).unwrap().unwrap();

        assert_eq!((&made.key, &made.key), (&sealed.key, &again.key));
        assert_eq!(fs::read(dir.path().join(KEY_FILE)).unwrap(), clear);
        let elsewhere = dir.path().join("elsewhere");
        assert!(DataKey::convert(&elsewhere, None, Some(&seal), &mut rng()).unwrap().is_none());
        assert!(!elsewhere.exists());
    }

    #[test]
    fn a_key_is_not_printed() {
        let printed = format!("{:?}", DataKey::generate(&mut rng()));

        assert!(printed.starts_with("DataKey { id:") && !printed.contains("key"), "{printed}");
    }
}
