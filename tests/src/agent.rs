//! The agent's binary, for tests that put it on hosts.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// The agent: `SWARMUP_TEST_AGENT`, or the one beside these tests, where `cargo build -p swarmd` puts it.
///
/// # Errors
/// Where there is none.
pub fn agent() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.ancestors().nth(2).context("tests lie two folders below the programs")?.join("swarmd");
    let agent = std::env::var_os("SWARMUP_TEST_AGENT").map_or(beside, PathBuf::from);
    ensure!(agent.exists(), "there is no agent at {}: run `cargo build -p swarmd`", agent.display());
    Ok(agent)
}
