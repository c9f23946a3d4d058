//! The programs that a user runs, for tests that run them.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// The command `swarmup`: `SWARMUP_TEST_SWARMUP`, or the one beside these tests, where `cargo build` puts it.
///
/// # Errors
/// Where there is none.
pub fn swarmup() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.ancestors().nth(2).context("tests lie two folders below the programs")?.join("swarmup");
    let swarmup = std::env::var_os("SWARMUP_TEST_SWARMUP").map_or(beside, PathBuf::from);
    ensure!(swarmup.exists(), "there is no swarmup at {}: run `cargo build`", swarmup.display());
    Ok(swarmup)
}

/// The stock `docker` command: `SWARMUP_TEST_DOCKER`, or the one on PATH.
pub fn docker() -> PathBuf {
    std::env::var_os("SWARMUP_TEST_DOCKER").map_or_else(|| PathBuf::from("docker"), PathBuf::from)
}

/// A Python that has the Docker SDK: `SWARMUP_TEST_PYTHON`, or the one that `orchestrator/engine-api/tests/clients` puts in
/// place for `scripts/test`.
///
/// # Panics
/// Where the tests lie elsewhere than usual.
pub fn python() -> PathBuf {
    let placed = || target_folder().join("tmp/docker-clients/sdk/bin/python");
    std::env::var_os("SWARMUP_TEST_PYTHON").map_or_else(placed, PathBuf::from)
}

/// The folder of all that is built: two levels above these programs.
///
/// # Panics
/// Where the tests lie elsewhere.
pub fn target_folder() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its binary");
    own.ancestors().nth(3).expect("tests lie two folders below the folder of all that is built").to_owned()
}
