//! `swarmup ssh`: a command on a node, or a shell.

use std::io::IsTerminal as _;

use anyhow::Result;
use clap::Args;
use reach::{CommandLine, Interaction};

use super::open::Viewed;
use super::{Exit, Global};

/// Runs a command on a node, or a shell.
#[derive(Debug, Args)]
pub(super) struct Ssh {
    /// The node, by host name, name at the provider or id
    node: String,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Run it as root, by sudo where the user is another one
    #[arg(long)]
    root: bool,
    /// The command; one word is a line for the shell, several are taken as they are
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Ssh {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global) -> Result<Exit> {
        let viewed = Viewed::open(global, None)?;
        let session = viewed.session(&self.node, global).await?;
        let is_shell = self.command.is_empty();
        let mut words = self.command;
        let command = match words.len() {
            0 => None,
            1 => words.pop().map(CommandLine::Shell),
            _ => Some(CommandLine::Argv(words)),
        };
        let interaction = Interaction {
            command,
            has_terminal: (is_shell || self.tty) && std::io::stdin().is_terminal(),
            is_as_root: self.root,
        };
        let code = session.interact(&interaction).await?;
        session.close().await;
        Ok(Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)))
    }
}
