//! `swarmup ls`: all clusters that this workstation knows.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::{Exit, Global};
use crate::home::Home;
use crate::journal::file;
use crate::output::Table;

/// Lists clusters.
#[derive(Debug, Args)]
pub(super) struct Ls {}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    provider: String,
    state: String,
    managers: Option<u32>,
    workers: Option<u32>,
    created_at: Option<jiff::Timestamp>,
}

impl Ls {
    /// Runs the command.
    #[expect(clippy::unused_self, reason = "every command runs the same way")]
    pub(super) fn run(self, global: &Global) -> Result<Exit> {
        let home = Home::locate()?;
        let mut rows = Vec::new();
        for name in home.clusters()? {
            // One damaged journal must not hide the other clusters.
            rows.push(match file::read(&home.cluster_folder(&name)) {
                Ok(Some(journal)) => Row {
                    name,
                    provider: journal.spec.provider,
                    state: journal.stage.as_str().to_owned(),
                    managers: Some(journal.spec.managers),
                    workers: Some(journal.spec.workers),
                    created_at: Some(journal.created_at),
                },
                Ok(None) => continue,
                Err(_) => Row {
                    name,
                    provider: String::new(),
                    state: "damaged journal".to_owned(),
                    managers: None,
                    workers: None,
                    created_at: None,
                },
            });
        }
        global.printer().list(
            &rows,
            |row| &row.name,
            |rows| {
                let mut table = Table::new(["NAME", "PROVIDER", "STATE", "MANAGERS", "WORKERS", "CREATED"]);
                let count = |count: Option<u32>| count.map(|count| count.to_string()).unwrap_or_default();
                for row in rows {
                    table.row([
                        row.name.clone(),
                        row.provider.clone(),
                        row.state.clone(),
                        count(row.managers),
                        count(row.workers),
                        row.created_at.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default(),
                    ]);
                }
                table
            },
        );
        Ok(Exit::Done)
    }
}
