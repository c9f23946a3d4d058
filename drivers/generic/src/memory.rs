//! What the workstation remembers: where it has claimed hosts, how it got in, and which key they showed.
//!
//! A file a host, written before the host is claimed and removed after it was given back. Without it nothing is lost
//! that the hosts do not know: it is what finds hosts that the options no longer name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use driver::{ClusterId, DriverError, InstanceId};
use serde::{Deserialize, Serialize};

/// A host that was claimed from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Where it is, as its id says.
    pub(crate) id: InstanceId,
    /// The cluster that it was claimed for.
    pub(crate) cluster: ClusterId,
    /// The key that logged in.
    pub(crate) ssh_key: Option<PathBuf>,
    /// The key that it showed.
    pub(crate) host_key: Option<String>,
}

/// The files.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    folder: PathBuf,
}

impl Memory {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.join("hosts") }
    }

    /// All hosts that were claimed and not given back. A file that is none of ours is left alone.
    pub(crate) fn all(&self) -> Result<Vec<Remembered>, DriverError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| self.failed(error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = fs::read(&path).map_err(|error| self.failed(error))?;
                all.push(
                    serde_json::from_slice::<Remembered>(&text)
                        .map_err(|error| DriverError::provider(format!("read `{}`", path.display()), error))?,
                );
            }
        }
        all.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(all)
    }

    /// One host.
    pub(crate) fn find(&self, id: &InstanceId) -> Result<Option<Remembered>, DriverError> {
        Ok(self.all()?.into_iter().find(|remembered| remembered.id == *id))
    }

    /// Remembers hosts: on disk when this returns.
    pub(crate) fn remember(&self, hosts: &[Remembered]) -> Result<(), DriverError> {
        let write = || {
            if hosts.is_empty() {
                return Ok(());
            }
            fs::create_dir_all(&self.folder)?;
            for host in hosts {
                let draft = tempfile::NamedTempFile::new_in(&self.folder)?;
                serde_json::to_writer(draft.as_file(), host).map_err(io::Error::other)?;
                draft.as_file().sync_all()?;
                draft.persist(self.file(&host.id)).map_err(|error| error.error)?;
            }
            sync_folder(&self.folder)
        };
        write().map_err(|error| self.failed(error))
    }

    /// Forgets a host.
    pub(crate) fn forget(&self, id: &InstanceId) -> Result<(), DriverError> {
        match fs::remove_file(self.file(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A name for a file that every file system takes and that no two hosts share.
    fn file(&self, id: &InstanceId) -> PathBuf {
        let safe = |byte: u8| {
            if byte.is_ascii_alphanumeric() || b".-_@".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02x}")
            }
        };
        self.folder.join(format!("{}.json", id.0.bytes().map(safe).collect::<String>()))
    }

    fn failed(&self, error: io::Error) -> DriverError {
        DriverError::provider(format!("remember the hosts in `{}`", self.folder.display()), error)
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_remembered_until_they_are_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let host = Remembered {
            id: InstanceId("root@[fd00::1]:22".into()),
            cluster: ClusterId("m1".into()),
            ssh_key: None,
            host_key: Some("ssh-ed25519 AAAA".into()),
        };

        Memory::new(folder.path()).remember(std::slice::from_ref(&host)).unwrap();
        let found = Memory::new(folder.path()).find(&host.id).unwrap();
        Memory::new(folder.path()).forget(&host.id).unwrap();
        Memory::new(folder.path()).forget(&host.id).unwrap();

        assert_eq!(found, Some(host));
        assert_eq!(Memory::new(folder.path()).all().unwrap(), []);
    }
}
