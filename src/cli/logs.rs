//! `swarmup logs`: the log of a node's agent.

use anyhow::Result;
use clap::Args;
use reach::{CommandLine, Interaction};

use super::open::Viewed;
use super::{Exit, Global};
use crate::providers;

/// Shows the log of a node's agent.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// The node, by host name, name at the provider or id
    node: String,
    /// How many lines from the end
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    lines: u32,
    /// Go on as the log grows
    #[arg(short, long)]
    follow: bool,
}

impl Logs {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global) -> Result<Exit> {
        let viewed = Viewed::open(global, None)?;
        let engine = providers::find(&viewed.journal.spec.provider)?.engine(None, &viewed.home);
        let command = engine.log_command(self.lines, self.follow);
        let session = viewed.session(&self.node, global).await?;
        let interaction =
            Interaction { command: Some(CommandLine::Shell(command)), has_terminal: false, is_as_root: true };
        let code = session.interact(&interaction).await?;
        session.close().await;
        Ok(Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)))
    }
}
