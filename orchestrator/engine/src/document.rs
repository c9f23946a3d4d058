//! Files of the engine that hold one value in JSON, replaced as a whole; and what blocks, run where it blocks nobody.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How large a document may be, in bytes: settings hold no more than a request of the API.
const SIZE_LIMIT: u64 = 16 << 20;

/// Why a file of the engine could not be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} `{}`", .path.display())]
pub struct FileFailure {
    /// What was tried.
    pub action: &'static str,
    /// With what.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

impl FileFailure {
    /// For `map_err`: what was tried with which file.
    pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }
}

/// How long a document must last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// As long as the system runs: it tells of processes.
    UntilReboot,
    /// Also when the power fails.
    Disk,
}

/// Replaces a document; a crash leaves the old one or the new one.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T, durability: Durability) -> Result<(), FileFailure> {
    let bytes = serde_json::to_vec(value).expect("documents are plain values");
    let unfinished = path.with_extension("new");
    let put = || -> io::Result<()> {
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(&bytes)?;
        if durability == Durability::Disk {
            file.sync_data()?;
        }
        fs::rename(&unfinished, path)
    };
    put().map_err(FileFailure::at("write", path))
}

/// Reads a document; `None` where there is none, or none that can be understood.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileFailure> {
    let mut bytes = Vec::new();
    let outcome = fs::File::open(path).and_then(|file| file.take(SIZE_LIMIT).read_to_end(&mut bytes));
    match outcome {
        Ok(_) => Ok(serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "a file is not understood"))
            .ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileFailure::at("read", path)(error)),
    }
}

/// Takes a folder away with all below it: under another name first, so that nobody finds half of it. The name begins
/// with a dot; what a crash leaves under it, [`collect_removed`] takes. One that is gone is fine.
pub(crate) fn remove_folder(folder: &Path) -> Result<(), FileFailure> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return Ok(()) };
    let removed = parent.join(format!(".removed-{}", name.to_string_lossy()));
    match fs::rename(folder, &removed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        outcome => outcome.map_err(FileFailure::at("remove", folder))?,
    }
    match fs::remove_dir_all(&removed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(FileFailure::at("remove", &removed)),
    }
}

/// Removes all that is in a folder; symbolic links are removed, not followed.
pub(crate) fn empty_folder(folder: &Path) -> Result<(), FileFailure> {
    for entry in fs::read_dir(folder).map_err(FileFailure::at("list", folder))? {
        let remove = |entry: fs::DirEntry| {
            let path = entry.path();
            if entry.file_type()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
        };
        entry.and_then(remove).map_err(FileFailure::at("empty", folder))?;
    }
    Ok(())
}

/// Removes what removals and creations that were cut short have left: everything whose name begins with a dot.
pub(crate) fn collect_removed(folder: &Path) -> Result<(), FileFailure> {
    for entry in fs::read_dir(folder).map_err(FileFailure::at("list", folder))?.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(FileFailure::at("remove", &path))?;
        }
    }
    Ok(())
}

/// Runs what blocks where it blocks nobody else. It runs to its end, also when nobody waits for it any more.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("blocking work is never cancelled"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_replaced_whole_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        assert_eq!(read::<Vec<u8>>(&path).unwrap(), None);

        write(&path, &[1, 2], Durability::Disk).unwrap();
        write(&path, &[3], Durability::UntilReboot).unwrap();
        assert_eq!(read::<Vec<u8>>(&path).unwrap(), Some(vec![3]));
        fs::write(&path, b"[3").unwrap();

        assert_eq!(read::<Vec<u8>>(&path).unwrap(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_goes_with_all_below_it_also_in_two_steps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::create_dir_all(path.join("y/z")).unwrap();
        fs::create_dir_all(folder.path().join(".removed-w/y")).unwrap();

        remove_folder(&path).unwrap();
        remove_folder(&path).unwrap();
        collect_removed(folder.path()).unwrap();

        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
