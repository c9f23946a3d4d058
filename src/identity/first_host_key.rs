//! The host key that machines come with by their user-data, until each has made one of its own.

use std::io;
use std::path::{Path, PathBuf};

use model::Secret;
use reach::SshKeyPair;

use super::IdentityError;
use crate::journal::{JournalError, file};

/// The private half; the public one lies beside it, with `.pub`.
const FIRST_HOST_KEY_FILE: &str = "first-host-key";

/// The host key that machines come with by their user-data: the one on disk, else a new one.
pub fn first_host_key(folder: &Path, cluster: &str) -> Result<SshKeyPair, IdentityError> {
    if let Some(pair) = read_first_host_key(folder)? {
        return Ok(pair);
    }
    let pair = SshKeyPair::generate(&format!("swarmup {cluster}"));
    let path = folder.join(FIRST_HOST_KEY_FILE);
    file::replace(&path.with_extension("pub"), format!("{}\n", pair.public.trim_end()).as_bytes())?;
    file::replace(&path, pair.private.expose().as_bytes())?;
    Ok(pair)
}

/// The host key that machines may still show from their user-data, while there are such machines.
pub fn read_first_host_key(folder: &Path) -> Result<Option<SshKeyPair>, IdentityError> {
    let path = folder.join(FIRST_HOST_KEY_FILE);
    let read = |path: PathBuf| match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(JournalError::Disk { action: "read", path, source }),
    };
    let (Some(private), Some(public)) = (read(path.clone())?, read(path.with_extension("pub"))?) else {
        return Ok(None);
    };
    Ok(Some(SshKeyPair { private: Secret::new(private), public: public.trim_end().to_owned() }))
}

/// Forgets the host key of user-data: no machine may show it any more.
pub fn forget_first_host_key(folder: &Path) -> Result<(), IdentityError> {
    let path = folder.join(FIRST_HOST_KEY_FILE);
    // The private half first: the public one alone is nothing.
    for path in [path.clone(), path.with_extension("pub")] {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(JournalError::Disk { action: "remove", path, source }.into());
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_the_same_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_first_host_key(folder.path()).unwrap().is_none());

        let made = first_host_key(folder.path(), "lab").unwrap();
        let again = first_host_key(folder.path(), "lab").unwrap();

        assert_eq!((made.public.trim(), made.private.expose()), (again.public.trim(), again.private.expose()));
        forget_first_host_key(folder.path()).unwrap();
        forget_first_host_key(folder.path()).unwrap();
        assert!(read_first_host_key(folder.path()).unwrap().is_none());
    }
}
