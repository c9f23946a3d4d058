//! `swarmup extend`: moves the end of a cluster that has one.

use anyhow::Result;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::arguments::duration;
use super::failure::StateError;
use super::open::Viewed;
use super::{Exit, Global};
use crate::phase;

/// Moves the end of a cluster.
#[derive(Debug, Args)]
pub(super) struct Extend {
    /// The cluster
    name: Option<String>,
    /// How much longer it stays than it would have, such as 1h or 90m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    by: SignedDuration,
}

impl Extend {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global, stop: CancellationToken) -> Result<Exit> {
        let viewed = Viewed::open(global, self.name.as_deref())?;
        let opened = viewed.lock(global, None, None, stop)?;
        let journal = opened.context.journal();
        let name = &journal.spec.name;
        let Some(expires) = journal.expires else {
            let hint = format!("it stays until `swarmup destroy {name}`");
            return Err(StateError::new(format!("cluster `{name}` has no end that could be moved"), hint).into());
        };
        let expires = expires.max(Timestamp::now()).saturating_add(self.by)?;
        phase::extend(&opened.context, expires).await?;
        let printer = global.printer();
        if printer.is_json() {
            printer.json(&serde_json::json!({ "name": name, "expires": expires }));
        } else if !printer.is_quiet() {
            printer.line(&format!("Cluster `{name}` stays until {}", expires.strftime("%Y-%m-%d %H:%M UTC")));
        }
        Ok(Exit::Done)
    }
}
