//! The journal on disk: read whole, replaced whole.
//!
//! A write goes to a file beside it, is synced, takes the old one's place by a rename, and the folder is synced: at
//! every moment there is one complete journal. A file that cannot be read stays exactly as it is.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use driver::keep;

use super::{JOURNAL_FORMAT, Journal};
use crate::platform;

/// The journal's name in the folder of its cluster.
pub const JOURNAL_FILE: &str = "journal.json";
/// The largest journal that is read: 250 machines take a tenth of it.
const MAX_JOURNAL_BYTES: u64 = 4 * 1024 * 1024;

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused.
    #[error("failed to {action} `{}`", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is there, but it is no journal: damaged, truncated, or of another version.
    #[error("the journal `{}` cannot be understood: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl JournalError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Disk { .. } => None,
            Self::Damaged { .. } => Some(
                "it was left as it is; put back a good copy, or run `swarmup destroy NAME --provider PROVIDER`, which \
                 sets it aside and removes what carries the cluster's name at the provider"
                    .to_owned(),
            ),
        }
    }
}

/// Reads the journal in a cluster's folder; nothing where there is none.
pub fn read(folder: &Path) -> Result<Option<Journal>, JournalError> {
    let path = folder.join(JOURNAL_FILE);
    let disk = |source| JournalError::Disk { action: "read", path: path.clone(), source };
    let damaged = |reason| JournalError::Damaged { path: path.clone(), reason };

    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_JOURNAL_BYTES + 1).read_to_end(&mut bytes).map_err(disk)?;
    if bytes.len() as u64 > MAX_JOURNAL_BYTES {
        return Err(damaged(format!("it is larger than {MAX_JOURNAL_BYTES} bytes")));
    }
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| damaged(format!("it is no complete JSON ({error})")))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(JOURNAL_FORMAT) => {}
        Some(format) => return Err(damaged(format!("its format is {format}, this swarmup knows {JOURNAL_FORMAT}"))),
        None => return Err(damaged("it names no format".to_owned())),
    }
    serde_json::from_value(value).map(Some).map_err(|error| damaged(error.to_string()))
}

/// Replaces the journal; it is durable on return.
pub fn write(folder: &Path, journal: &Journal) -> Result<(), JournalError> {
    let mut bytes = serde_json::to_vec_pretty(journal).expect("a journal has string keys only");
    bytes.push(b'\n');
    replace(&folder.join(JOURNAL_FILE), &bytes)
}

/// Replaces a private file as a whole; it is durable on return.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    let folder = path.parent().expect("a file of a cluster is in the cluster's folder");
    let name = path.file_name().expect("a file has a name");
    replace_all(folder, &[(name.as_ref(), bytes)])
}

/// Replaces private files of one folder, each as a whole and in this order; all are durable on return.
pub fn replace_all(folder: &Path, files: &[(&Path, &[u8])]) -> Result<(), JournalError> {
    keep::replace_all(folder, files.iter().copied()).map_err(|source| JournalError::Disk {
        action: "write",
        path: files.first().map_or_else(|| folder.to_owned(), |(name, _)| folder.join(name)),
        source,
    })
}

/// Sets a journal that cannot be understood aside, under a name that is free.
pub fn set_aside(folder: &Path) -> Result<PathBuf, JournalError> {
    let path = folder.join(JOURNAL_FILE);
    let aside = (1..=u32::MAX)
        .map(|number| folder.join(format!("{JOURNAL_FILE}.damaged-{number}")))
        .find(|aside| !aside.exists())
        .expect("one of four billion names is free");
    let disk = |source| JournalError::Disk { action: "set aside", path: path.clone(), source };
    std::fs::rename(&path, &aside).map_err(disk)?;
    platform::sync_dir(folder).map_err(disk)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use driver::ClusterId;
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::ClusterSpec;

    fn journal() -> Journal {
        let spec = ClusterSpec {
            name: "lab".to_owned(),
            provider: "fake".to_owned(),
            managers: 1,
            workers: 0,
            allow_even_managers: false,
            ingress: crate::ingress::Ingress::default(),
            options: driver::Options::default(),
        };
        Journal::begin(ClusterId("x".to_owned()), spec, "me@here".to_owned(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_was_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();

        write(folder.path(), &journal()).unwrap();

        assert_eq!(read(folder.path()).unwrap(), Some(journal()));
    }

    #[test]
    fn no_journal_is_no_error() {
        let folder = tempfile::tempdir().unwrap();

        assert!(read(folder.path()).unwrap().is_none());
    }

    #[test]
    fn a_journal_cut_short_anywhere_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(JOURNAL_FILE);
        write(folder.path(), &journal()).unwrap();
        let whole = std::fs::read(&path).unwrap();

        for length in 0..whole.trim_ascii_end().len() {
            std::fs::write(&path, &whole[..length]).unwrap();

            let error = read(folder.path()).unwrap_err();

            assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), &whole[..length]);
        }
    }

    #[test]
    fn a_journal_of_another_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &Journal { format: 2, ..journal() }).unwrap();

        let error = read(folder.path()).unwrap_err();

        assert!(error.to_string().ends_with("its format is 2, this swarmup knows 1"), "{error}");
    }

    #[test]
    fn what_is_set_aside_never_replaces_what_was_set_aside_before() {
        let folder = tempfile::tempdir().unwrap();
        for content in ["first", "second"] {
            std::fs::write(folder.path().join(JOURNAL_FILE), content).unwrap();
            set_aside(folder.path()).unwrap();
        }

        let content = |number| std::fs::read_to_string(folder.path().join(format!("journal.json.damaged-{number}")));
        assert_eq!((content(1).unwrap(), content(2).unwrap()), ("first".to_owned(), "second".to_owned()));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_a_journal() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();

        write(folder.path(), &journal()).unwrap();

        let mode = std::fs::metadata(folder.path().join(JOURNAL_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
