//! `swarmup completions`: what makes a shell complete swarmup's commands.

use clap::Args;
use clap_complete::Shell;

use super::{Cli, Exit, Global};

/// Prints the completions of a shell.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Runs the command.
    pub(super) fn run(self, global: &Global) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::full_command(), "swarmup", &mut script);
        global.printer().raw(&script);
        Exit::Done
    }
}
