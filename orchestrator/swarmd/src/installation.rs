//! What an installation leaves on a host: whose the host is (its mark), and the node's name and labels.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use model::LeaseTerms;
use serde::{Deserialize, Serialize};

/// Whose the host is, and what the node is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Installation {
    /// The cluster's mark.
    pub(crate) mark: String,
    /// The cluster's name, for messages.
    pub(crate) cluster_name: String,
    /// The node's host name.
    pub(crate) hostname: String,
    /// Labels of the engine.
    pub(crate) labels: BTreeMap<String, String>,
    /// The lease by which the host stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<LeaseTerms>,
}

/// Why an installation could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallationError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no installation.
    #[error("`{}` does not say whose installation this is", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Installation {
    /// The installation in a file; `None` where there is no file.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, InstallationError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(InstallationError::Read { path: path.to_owned(), source }),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| InstallationError::Parse { path: path.to_owned(), source })
    }

    /// Writes it, atomically and for ever.
    pub(crate) fn write(&self, path: &Path) -> Result<(), InstallationError> {
        let text =
            serde_json::to_vec(self).map_err(|source| InstallationError::Parse { path: path.to_owned(), source })?;
        write_private(path, &text).map_err(|source| InstallationError::Write { path: path.to_owned(), source })
    }
}

/// Writes a file that only root reads: complete or not at all, and on disk when this returns.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let draft = path.with_extension("draft");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("installation.json");
        let installation = Installation {
            mark: "k3v9".into(),
            cluster_name: "lab".into(),
            hostname: "node-1".into(),
            labels: BTreeMap::from([("zone".into(), "a".into())]),
            lease: Some(LeaseTerms { seconds: 120, on_lapse: model::OnLapse::EndMachine }),
        };

        installation.write(&path).unwrap();

        assert_eq!(Installation::read(&path).unwrap(), Some(installation));
    }

    #[test]
    fn a_host_without_a_file_carries_no_mark() {
        let folder = tempfile::tempdir().unwrap();

        assert_eq!(Installation::read(&folder.path().join("installation.json")).unwrap(), None);
    }

    #[test]
    fn a_truncated_installation_is_an_error_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("installation.json");
        fs::write(&path, b"{\"mark\":\"k3").unwrap();

        let read = Installation::read(&path);

        assert!(matches!(read, Err(InstallationError::Parse { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"{\"mark\":\"k3");
    }
}
