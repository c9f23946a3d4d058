//! The host's settings for passing packets on: turned on with the first cluster, put back with the last.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use driver::DriverError;
use links::sysctl;
use serde::{Deserialize, Serialize};

use super::failure::{Failed, at};
use super::state::{State, make_folder, read, write};

/// The settings as they were before the first cluster of this boot.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    boot: String,
    settings: BTreeMap<String, String>,
}

/// Which boot of this computer it is.
pub(super) fn boot() -> Result<String, DriverError> {
    sysctl::read("kernel/random/boot_id").failed(|| "tell this boot from others")
}

/// Has the host pass packets on, and keeps how it was.
pub(super) fn turn_on(state: &State) -> Result<(), DriverError> {
    let is_on = sysctl::read(sysctl::IPV4_FORWARDING).failed(|| "read the host's forwarding")? == "1";
    if is_on {
        return Ok(());
    }
    let boot = boot()?;
    let known: Option<Before> = read(&file(state))?;
    if known.is_none_or(|before| before.boot != boot) {
        let settings = sysctl::forwarding().failed(|| "read the host's forwarding")?;
        make_folder(&state.volatile)?;
        write(&file(state), &Before { boot, settings })?;
    }
    sysctl::write(sysctl::IPV4_FORWARDING, "1").failed(|| "turn on the host's forwarding")
}

/// Puts the settings back as they were.
pub(super) fn put_back(state: &State) -> Result<(), DriverError> {
    let Some(before) = read::<Before>(&file(state))? else { return Ok(()) };
    if before.boot == boot()? {
        sysctl::restore(&before.settings).failed(|| "put the host's forwarding back")?;
    }
    fs::remove_file(file(state)).failed(at("remove", &file(state)))
}

fn file(state: &State) -> PathBuf {
    state.volatile.join("forwarding.json")
}
