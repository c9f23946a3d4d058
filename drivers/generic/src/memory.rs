//! What the workstation remembers: where it has claimed hosts, how it got in, and which key they showed.
//!
//! A file a host, written before the host is claimed and removed after it was given back. Without it nothing is lost
//! that the hosts do not know: it is what finds hosts that the options no longer name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use driver::{ClusterId, DriverError, InstanceId, keep};
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
        if hosts.is_empty() {
            return Ok(());
        }
        let write = || {
            keep::create_private_dir(&self.folder)?;
            let files = hosts.iter().map(|host| Ok((Self::file(&host.id), serde_json::to_vec(host)?)));
            let files = files.collect::<io::Result<Vec<_>>>()?;
            keep::replace_all(&self.folder, files.iter().map(|(name, text)| (name.as_ref(), text.as_slice())))
        };
        write().map_err(|error| self.failed(error))
    }

    /// Forgets a host.
    pub(crate) fn forget(&self, id: &InstanceId) -> Result<(), DriverError> {
        match fs::remove_file(self.folder.join(Self::file(id))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A name for a file that every file system takes and that no two hosts share.
    fn file(id: &InstanceId) -> String {
        let safe = |byte: u8| {
            if byte.is_ascii_alphanumeric() || b".-_@".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02x}")
            }
        };
        format!("{}.json", id.0.bytes().map(safe).collect::<String>())
    }

    fn failed(&self, error: io::Error) -> DriverError {
        DriverError::provider(format!("remember the hosts in `{}`", self.folder.display()), error)
    }
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
