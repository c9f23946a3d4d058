//! What `swarmd` prints: answers on standard output, failures on standard error. Nothing else in this crate prints.

use std::io::{self, Write as _};

use anyhow::Context as _;
use serde::Serialize;

use crate::arguments::OutputFormat;

/// What `swarmd version --output json` prints.
#[derive(Debug, Serialize)]
struct VersionAnswer {
    /// The version of the agent.
    version: &'static str,
    /// The architecture it was built for (`x86_64`).
    arch: &'static str,
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(value).context("failed to encode the answer")?;
    line.push(b'\n');
    bytes(&line)
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).context("failed to write to standard output")
}

/// Prints the version.
pub(crate) fn version(format: OutputFormat) -> anyhow::Result<()> {
    let answer = VersionAnswer { version: env!("CARGO_PKG_VERSION"), arch: std::env::consts::ARCH };
    match format {
        OutputFormat::Text => bytes(format!("swarmd {} ({})\n", answer.version, answer.arch).as_bytes()),
        OutputFormat::Json => json(&answer),
    }
}

/// Prints why the command failed: the failure, then its causes, a line each.
pub(crate) fn failure(error: &anyhow::Error) {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str("  caused by: ");
        text.push_str(&cause.to_string());
        text.push('\n');
    }
    // Where standard error is closed there is nobody left to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
