//! `swarmd service remove`: nothing of ours is left on the host, and nothing else is touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use links::nft::{self, Family};
use model::Supervision;

use super::error::ServiceError;
use super::{binary, boot, containers, supervision};
use crate::installation::Installation;
use crate::layout;
use crate::run_dir;

/// Removes the agent with all that belongs to it, where the host carries this mark or none.
pub(crate) fn remove(supervision: Supervision, mark: &str) -> Result<(), ServiceError> {
    match Installation::read(&layout::installation_file())? {
        Some(found) if found.mark != mark => {
            Err(ServiceError::ForeignMark { cluster: found.cluster_name, mark: found.mark })
        }
        Some(_) => remove_all(supervision),
        // An earlier removal got as far as the mark; only the binary may be left. State that carries no mark is not ours.
        None if Path::new(layout::DATA_DIR).exists() && supervision != Supervision::Init => Ok(()),
        None => remove_binary(supervision),
    }
}

fn remove_all(supervision: Supervision) -> Result<(), ServiceError> {
    supervision::quit(supervision)?;
    nft::remove(Family::Inet, layout::GUARD_TABLE)?;
    containers::remove()?;
    match supervision {
        Supervision::Systemd => remove_unit()?,
        Supervision::Supervisor => boot::files().try_for_each(|file| remove_file(&file))?,
        Supervision::Init => {}
    }
    remove_tree(Path::new(layout::LOG_DIR))?;
    if supervision != Supervision::Init {
        run_dir::remove()?;
    }
    remove_data(Path::new(layout::DATA_DIR))?;
    remove_binary(supervision)
}

fn remove_unit() -> Result<(), ServiceError> {
    if Path::new(layout::UNIT).exists() {
        supervision::systemctl(&["disable", "--quiet", layout::UNIT_NAME])?;
        remove_file(Path::new(layout::UNIT))?;
    }
    supervision::systemctl(&["daemon-reload"])?;
    // Where the unit never failed there is nothing to forget, and systemd calls that an error.
    let _ = supervision::systemctl(&["reset-failed", layout::UNIT_NAME]);
    Ok(())
}

/// Removes the data directory: the mark after all the rest, so that an interrupted removal can be taken up again.
fn remove_data(folder: &Path) -> Result<(), ServiceError> {
    let mark = layout::installation_file();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ServiceError::file("read", folder, source)),
    };
    let entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| *path != mark).collect();
    for entry in entries {
        if entry.is_dir() && !entry.is_symlink() { remove_tree(&entry)? } else { remove_file(&entry)? }
    }
    remove_file(&mark)?;
    match fs::remove_dir(folder) {
        // On a local machine the directory itself is a mount of its maker's.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(()),
        Err(source) => Err(ServiceError::file("remove", folder, source)),
        Ok(()) => Ok(()),
    }
}

/// Removes the binary, which belongs to the machine's maker on a local machine, and the one that was to follow it.
fn remove_binary(supervision: Supervision) -> Result<(), ServiceError> {
    binary::clear()?;
    if supervision == Supervision::Init { Ok(()) } else { remove_file(Path::new(layout::BINARY)) }
}

fn remove_file(path: &Path) -> Result<(), ServiceError> {
    ignore_missing(path, fs::remove_file(path))
}

fn remove_tree(path: &Path) -> Result<(), ServiceError> {
    ignore_missing(path, fs::remove_dir_all(path))
}

fn ignore_missing(path: &Path, removed: io::Result<()>) -> Result<(), ServiceError> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ServiceError::file("remove", path, error)),
        _ => Ok(()),
    }
}
