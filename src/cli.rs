//! The command line: one file per command. Each returns how the process ends.

mod allow_me;
mod arguments;
mod clouds;
mod completions;
mod create;
mod destroy;
mod env;
mod extend;
mod failure;
mod gc;
mod hold;
mod inspect;
mod ip;
mod load;
mod logs;
mod ls;
mod node;
mod open;
mod plan;
mod rollback;
mod scale;
mod scp;
mod ssh;
mod status;
mod upgrade;
mod version;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

pub use failure::{Exit, hint_of};

use crate::home::CLUSTER_VARIABLE;
use crate::output::progress::Detail;
use crate::output::{Format, Printer, Progress};

/// From nothing to a highly available Docker swarm, and back to nothing.
#[derive(Debug, Parser)]
#[command(name = "swarmup", version, disable_help_subcommand = true, max_term_width = 110)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    command: Command,
    /// The drivers' own flags, which clap knows only at run time.
    #[clap(skip)]
    driver_flags: arguments::DriverFlags,
}

/// What holds for every command.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The cluster; needs no name where there is only one
    #[arg(short, long, global = true, value_name = "NAME", env = CLUSTER_VARIABLE, help_heading = "Global options")]
    cluster: Option<String>,
    /// For people or for machines
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        hide_default_value = true,
        help_heading = "Global options"
    )]
    output: Format,
    /// Only names and ids, no remarks
    #[arg(short, long, global = true, help_heading = "Global options")]
    quiet: bool,
    /// No lines that move
    #[arg(long, global = true, help_heading = "Global options")]
    no_progress: bool,
}

impl Global {
    /// Where answers go.
    pub fn printer(&self) -> Printer {
        Printer::new(self.output, self.quiet)
    }

    /// Where progress is shown.
    fn progress(&self) -> Progress {
        Progress::new(match (self.quiet, self.no_progress) {
            (true, _) => Detail::Silent,
            (false, true) => Detail::Plain,
            (false, false) => Detail::Live,
        })
    }

    /// The cluster named by argument, else by `-c` or the environment.
    fn cluster<'a>(&'a self, argument: Option<&'a str>) -> Option<&'a str> {
        argument.or(self.cluster.as_deref().filter(|name| !name.is_empty()))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a cluster, or finish one that was begun
    Create(create::Create),
    /// Destroy a cluster and all that belongs to it
    Destroy(destroy::Destroy),
    /// Move the end of a cluster that was created with --ttl
    Extend(extend::Extend),
    /// Hold the lease of a cluster that goes with a process (`create --reap-with` starts it in the background)
    #[command(hide = true)]
    Hold(hold::Hold),
    /// Let this workstation in again after its address has changed
    AllowMe(allow_me::AllowMe),
    /// Destroy clusters whose time is up, by their marks at the providers
    Gc(gc::Gc),
    /// List clusters
    Ls(ls::Ls),
    /// Show how a cluster and its nodes fare
    Status(status::Status),
    /// Show all that is known of a cluster, as JSON
    Inspect(inspect::Inspect),
    /// Show what `create` would do, and what it would take
    Plan(plan::Plan),
    /// Change how many managers and workers a cluster has
    Scale(scale::Scale),
    /// Bring the agent of this swarmup to the nodes of a cluster, one after the other; containers run on
    Upgrade(upgrade::Upgrade),
    /// Print what makes plain `docker` use a cluster
    Env(env::Env),
    /// Run a command on a node, or a shell
    Ssh(ssh::Ssh),
    /// Copy files to and from nodes
    Scp(scp::Scp),
    /// Show the addresses of nodes
    Ip(ip::Ip),
    /// Put images of this workstation on a cluster
    Load(load::Load),
    /// Show the log of a node's agent
    Logs(logs::Logs),
    /// Look at single nodes, add, remove, stop and start them
    #[command(subcommand)]
    Node(node::Node),
    /// Print the completions of a shell
    Completions(completions::Completions),
    /// Show the version, and the agents that are built in
    Version(version::Version),
}

impl Cli {
    /// Reads the command line; prints help or what is wrong with it and ends the process where there is nothing to run.
    pub fn read() -> Self {
        let matches = Self::full_command().get_matches();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        cli.driver_flags = arguments::DriverFlags::read(&matches);
        cli
    }

    /// The command line with the drivers' flags.
    fn full_command() -> clap::Command {
        arguments::with_driver_flags(Self::command())
    }

    /// Runs the command; `stop` is cancelled once the user asks to stop.
    pub async fn run(self, stop: CancellationToken) -> Result<Exit> {
        let (global, flags) = (self.global, self.driver_flags);
        match self.command {
            Command::Create(command) => command.run(&global, flags, stop).await,
            Command::Destroy(command) => command.run(&global, flags, stop).await,
            Command::Extend(command) => command.run(&global, stop).await,
            Command::Hold(command) => command.run(&global, stop).await,
            Command::AllowMe(command) => command.run(&global, stop).await,
            Command::Gc(command) => command.run(&global, flags).await,
            Command::Ls(command) => command.run(&global, flags).await,
            Command::Status(command) => command.run(&global).await,
            Command::Inspect(command) => command.run(&global).await,
            Command::Plan(command) => command.run(&global, flags).await,
            Command::Scale(command) => command.run(&global, flags, stop).await,
            Command::Upgrade(command) => command.run(&global, stop).await,
            Command::Env(command) => command.run(&global).await,
            Command::Ssh(command) => command.run(&global).await,
            Command::Scp(command) => command.run(&global).await,
            Command::Ip(command) => command.run(&global),
            Command::Load(command) => command.run(&global, stop).await,
            Command::Logs(command) => command.run(&global).await,
            Command::Node(command) => command.run(&global, flags, stop).await,
            Command::Completions(command) => Ok(command.run(&global)),
            Command::Version(command) => command.run(&global),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_with_every_drivers_flags_is_consistent() {
        Cli::full_command().debug_assert();
    }
}
