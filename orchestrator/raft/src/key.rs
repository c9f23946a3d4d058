//! The key that seals the log, and its file.
//!
//! The file is made once, 0600, under a temporary name, and is on disk under its own before anything is sealed
//! with it. A key that is missing or damaged while a log exists is an error: a new key could not open the log.

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

use crate::{LOG_FILE, OpenError, codec};

/// The file of the key, in the directory of the log.
const KEY_FILE: &str = "data.key";
/// The only format of the key file so far.
const KEY_FORMAT: u8 = 1;
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

    /// Reads the key in `dir`, or makes one (and `dir`, 0700) where there is neither a key nor a log.
    ///
    /// # Errors
    /// A damaged key, or one that is missing while a log exists; nothing is overwritten then.
    pub fn load_or_create(dir: &Path, rng: &mut StdRng) -> Result<Self, OpenError> {
        let path = dir.join(KEY_FILE);
        match fs::read(&path) {
            Ok(bytes) => Self::read(&Zeroizing::new(bytes)).ok_or(OpenError::KeyDamaged(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let log = dir.join(LOG_FILE);
                if log.exists() {
                    return Err(OpenError::KeyMissing { key: path, log });
                }
                let key = Self::generate(rng);
                key.write(dir).map_err(|error| OpenError::io("write", &path, error))?;
                Ok(key)
            }
            Err(error) => Err(OpenError::io("read", &path, error)),
        }
    }

    /// The number that every record sealed with this key carries in the clear.
    pub fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let file: KeyFile = codec::decode(bytes).ok()?;
        let key = <[u8; KEY_BYTES]>::try_from(file.key.as_ref()).ok()?;
        (file.format == KEY_FORMAT).then(|| Self { id: file.id, key: Zeroizing::new(key) })
    }

    fn write(&self, dir: &Path) -> std::io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let file = KeyFile { format: KEY_FORMAT, id: self.id, key: Bytes::copy_from_slice(&*self.key) };
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

        let made = DataKey::load_or_create(dir.path(), &mut rng()).unwrap();
        let read = DataKey::load_or_create(dir.path(), &mut StdRng::seed_from_u64(2)).unwrap();

        assert_eq!((made.id, made.key), (read.id, read.key));
    }

    #[test]
    fn only_its_owner_reads_a_key() {
        let dir = tempfile::tempdir().unwrap();

        DataKey::load_or_create(dir.path(), &mut rng()).unwrap();

        let mode = fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_an_error_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY_FILE);
        fs::write(&path, b"not a key").unwrap();

        let error = DataKey::load_or_create(dir.path(), &mut rng()).unwrap_err();

        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"not a key");
    }

    #[test]
    fn a_key_missing_beside_a_log_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOG_FILE), b"log").unwrap();

        let error = DataKey::load_or_create(dir.path(), &mut rng()).unwrap_err();

        assert!(matches!(error, OpenError::KeyMissing { .. }), "{error}");
        assert!(!dir.path().join(KEY_FILE).exists());
    }

    #[test]
    fn a_key_is_not_printed() {
        let printed = format!("{:?}", DataKey::generate(&mut rng()));

        assert!(printed.starts_with("DataKey { id:") && !printed.contains("key"), "{printed}");
    }
}
