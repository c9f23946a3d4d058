//! The engine's id: a UUID drawn once and kept in the data directory.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file in the data directory that holds the id.
const FILE: &str = "engine-id";
/// The name it is written under before it is whole.
const UNFINISHED: &str = "engine-id.new";

/// Why an engine has no id.
#[derive(Debug, thiserror::Error)]
pub enum EngineIdentityError {
    /// The file cannot be read.
    #[error("failed to read the engine's id from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} holds no UUID", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("failed to write the engine's id to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the id from the data directory; draws one where there is none. A crash leaves the old state or the new one.
pub(crate) fn ensure(data_dir: &Path, rng: &mut impl rand::Rng) -> Result<String, EngineIdentityError> {
    if let Some(id) = read(data_dir)? {
        return Ok(id);
    }
    let id = draw(rng);
    write(data_dir, &id).map_err(|source| EngineIdentityError::Write { path: data_dir.join(FILE), source })?;
    Ok(id)
}

/// Reads the id from the data directory; `None` where no engine has drawn one.
pub(crate) fn read(data_dir: &Path) -> Result<Option<String>, EngineIdentityError> {
    let path = data_dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) if is_uuid(text.trim()) => Ok(Some(text.trim().to_owned())),
        Ok(_) => Err(EngineIdentityError::Malformed { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(EngineIdentityError::Read { path, source }),
    }
}

fn write(data_dir: &Path, id: &str) -> io::Result<()> {
    let unfinished = data_dir.join(UNFINISHED);
    let mut file = fs::File::create(&unfinished)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(&unfinished, data_dir.join(FILE))?;
    fs::File::open(data_dir)?.sync_all()
}

/// Draws a UUID of version 4.
fn draw(rng: &mut impl rand::Rng) -> String {
    let mut bytes = [0_u8; 16];
    rng.fill_bytes(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let number = u128::from_be_bytes(bytes);
    let digits = format!("{number:032x}");
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_drawn_id_is_a_uuid_of_version_4() {
        let id = draw(&mut StdRng::seed_from_u64(1));

        assert!(is_uuid(&id), "{id}");
        assert_eq!(&id[14..15], "4");
    }

    #[test]
    fn a_file_with_something_else_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "hello").unwrap();

        let error = ensure(directory.path(), &mut StdRng::seed_from_u64(1)).unwrap_err();

        assert!(matches!(error, EngineIdentityError::Malformed { .. }), "{error}");
        assert_eq!(fs::read_to_string(directory.path().join(FILE)).unwrap(), "hello");
    }

    #[test]
    fn a_missing_data_directory_is_an_error() {
        let directory = tempfile::tempdir().unwrap();

        let error = ensure(&directory.path().join("gone"), &mut StdRng::seed_from_u64(1)).unwrap_err();

        assert!(matches!(error, EngineIdentityError::Write { .. }), "{error}");
    }
}
