//! `swarmup inspect`: all that is known of a cluster, as JSON. There is no secret in it.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::open::Viewed;
use super::{Exit, Global, status};

/// Shows all that is known of a cluster.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The cluster
    name: Option<String>,
}

impl Inspect {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global) -> Result<Exit> {
        let viewed = Viewed::open(global, self.name.as_deref())?;
        let status = status::report(&viewed).await;
        global.printer().json(&json!({
            "folder": viewed.folder,
            "journal": viewed.journal,
            "status": status,
        }));
        Ok(Exit::Done)
    }
}
