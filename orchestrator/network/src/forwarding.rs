//! The host's settings for passing packets on: turned on with the bridge, put back when the engine leaves the host.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use links::sysctl;
use serde::{Deserialize, Serialize};

use crate::NetworkError;

/// The settings as they were before ours in this boot.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    boot: String,
    settings: BTreeMap<String, String>,
}

/// Has the host pass packets on, and keeps in a folder how it was.
pub(crate) fn turn_on(folder: &Path) -> Result<(), NetworkError> {
    if sysctl::read(sysctl::IPV4_FORWARDING)? == "1" {
        return Ok(());
    }
    let boot = boot()?;
    if read(folder)?.is_none_or(|before| before.boot != boot) {
        write(folder, &Before { boot, settings: sysctl::forwarding()? })?;
    }
    Ok(sysctl::write(sysctl::IPV4_FORWARDING, "1")?)
}

/// Puts the settings back as they were; fine where none are kept.
pub(crate) fn put_back(folder: &Path) -> Result<(), NetworkError> {
    let Some(before) = read(folder)? else { return Ok(()) };
    if before.boot == boot()? {
        sysctl::restore(&before.settings)?;
    }
    let path = file(folder);
    fs::remove_file(&path).map_err(at("remove", &path))
}

fn boot() -> Result<String, NetworkError> {
    Ok(sysctl::read("kernel/random/boot_id")?)
}

fn file(folder: &Path) -> PathBuf {
    folder.join("forwarding.json")
}

fn read(folder: &Path) -> Result<Option<Before>, NetworkError> {
    let path = file(folder);
    match fs::read(&path) {
        // One that was cut short by a power failure is of another boot.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("read", &path)(error)),
    }
}

fn write(folder: &Path, before: &Before) -> Result<(), NetworkError> {
    let path = file(folder);
    let unfinished = path.with_extension("new");
    let bytes = serde_json::to_vec(before).expect("it is texts");
    fs::create_dir_all(folder).map_err(at("make", folder))?;
    fs::write(&unfinished, bytes).map_err(at("write", &unfinished))?;
    fs::rename(&unfinished, &path).map_err(at("write", &path))
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NetworkError {
    let path = path.to_owned();
    move |source| NetworkError::File { action, path, source }
}
