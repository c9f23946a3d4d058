//! `cargo xtask dist`: builds what is handed out: `swarmup` with its agents and the drivers of all clouds, stripped.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::bundle::{self, Profile};

/// Builds `target/dist/swarmup`; a build of it takes minutes, and gigabytes of memory for the driver of AWS.
pub(crate) fn dist(workspace: &Path) -> anyhow::Result<String> {
    let bundled = bundle::bundle(workspace, Profile::Release)?;
    let target = bundle::target_dir(workspace);
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(workspace)
        .args(["build", "--profile", "dist", "--locked", "--package", "swarmup", "--features", "clouds"])
        .env("SWARMUP_BUNDLE", target.join("bundle/release/agents.bundle"))
        .status()
        .context("failed to run cargo")?;
    ensure!(status.success(), "failed to build swarmup");
    let path = target.join("dist/swarmup");
    let bytes = fs::metadata(&path).with_context(|| format!("there is no `{}`", path.display()))?.len();
    Ok(format!("{bundled}\n{}: {bytes} bytes, with the drivers of all clouds", path.display()))
}
