//! `swarmup version`: the version, and the agents that are built in.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::{Exit, Global};
use crate::bundle::{self, Entry};

/// Shows the version.
#[derive(Debug, Args)]
pub(super) struct Version {}

#[derive(Debug, Serialize)]
struct Shown {
    version: &'static str,
    api_version: &'static str,
    agents: Vec<Entry>,
}

impl Version {
    /// Runs the command.
    #[expect(clippy::unused_self, reason = "every command runs the same way")]
    pub(super) fn run(self, global: &Global) -> Result<Exit> {
        let shown =
            Shown { version: env!("CARGO_PKG_VERSION"), api_version: model::API_VERSION, agents: bundle::entries()? };
        global.printer().value(&shown, |shown| {
            let mut text = format!("swarmup {}\n", shown.version);
            if shown.agents.is_empty() {
                text.push_str("node agent: none built in\n");
            }
            for agent in &shown.agents {
                let _ = writeln!(text, "node agent {} for {} (sha256 {})", agent.version, agent.arch, agent.sha256);
            }
            text
        });
        Ok(Exit::Done)
    }
}
