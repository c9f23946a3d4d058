//! The command line of `swarmd`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::layout;

/// The node agent of swarmup: Docker's Engine API and swarm in one static binary.
#[derive(Debug, Parser)]
#[command(name = "swarmd", version, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the agent in the foreground
    Run(RunArguments),
    /// Be PID 1 of a local machine: mount, supervise the agent, reap
    Init(InitArguments),
    /// Keep the agent running on a host without systemd
    Supervise(SuperviseArguments),
    /// Install, start, stop or remove the agent on this host
    #[command(subcommand)]
    Service(ServiceAction),
    /// Send one request to the agent's Engine API and print the answer
    Api(ApiArguments),
    /// Print the version
    Version(VersionArguments),
}

/// Settings of `swarmd run`; what is not given is taken from the installation, else the default.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArguments {
    /// Where the node keeps its state
    #[arg(long, value_name = "DIR", default_value = layout::DATA_DIR)]
    pub(crate) data_dir: PathBuf,
    /// Where sockets and the bootstrap file lie
    #[arg(long, value_name = "DIR", default_value = layout::RUN_DIR)]
    pub(crate) run_dir: PathBuf,
    /// The node's host name [default: as installed, else the machine's]
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// A label of the engine; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Write the log to rotated files in this directory rather than to standard error
    #[arg(long, value_name = "DIR")]
    pub(crate) log_dir: Option<PathBuf>,
    /// Serve the Engine API on this socket too, where nobody else does
    #[arg(long, value_name = "PATH", default_value = layout::DOCKER_SOCKET)]
    pub(crate) docker_socket: PathBuf,
    /// A registry that need have no valid certificate, or no https at all: HOST, HOST:PORT or a prefix of addresses
    /// (10.0.0.0/8); may be repeated. Registries on this machine's loopback always count so, as in Docker
    #[arg(long = "insecure-registry", value_name = "HOST:PORT")]
    pub(crate) insecure_registries: Vec<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines, an object a line.
    Json,
}

/// What the driver `local` says of the machine whose PID 1 this is.
#[derive(Debug, Clone, Args)]
pub(crate) struct InitArguments {
    /// The machine's host name
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: String,
    /// An empty directory that becomes the machine's root
    #[arg(long, value_name = "DIR")]
    pub(crate) root: PathBuf,
    /// The machine's own storage, kept over restarts
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The file that becomes /etc/resolv.conf
    #[arg(long, value_name = "FILE")]
    pub(crate) resolv: PathBuf,
}

/// Settings of `swarmd supervise`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SuperviseArguments {
    /// Wait for `swarmd service start` rather than start the agent at once
    #[arg(long)]
    pub(crate) idle: bool,
}

/// What `swarmd service` may do.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceAction {
    /// Install and start the agent; reads the request as JSON on standard input
    Install,
    /// Start the agent and wait until it serves
    Start,
    /// Stop the agent and end its containers, until it is started again
    Stop(StopArguments),
    /// Stop and start the agent
    Restart,
    /// Say who runs the agent and whether it runs
    Status,
    /// Stop the agent and remove all that belongs to it
    Remove(RemoveArguments),
}

/// What `swarmd service stop` makes of the end.
#[derive(Debug, Args)]
pub(crate) struct StopArguments {
    /// The host is about to restart: the swarm waits for the node to come back, rather than call it down at once
    #[arg(long)]
    pub(crate) for_restart: bool,
}

/// What `swarmd service remove` may touch.
#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// The cluster's mark; a host that carries another one is left alone
    #[arg(long)]
    pub(crate) mark: String,
}

/// One request.
#[derive(Debug, Args)]
pub(crate) struct ApiArguments {
    /// The method (GET, HEAD, POST, PUT, DELETE); the body of POST and PUT is read from standard input
    #[arg(value_parser = ["GET", "HEAD", "POST", "PUT", "DELETE"])]
    pub(crate) method: String,
    /// The path with its query (/v1.51/nodes)
    pub(crate) path: String,
    /// The run directory of the agent to ask
    #[arg(long, value_name = "DIR", default_value = layout::RUN_DIR)]
    pub(crate) run_dir: PathBuf,
}

/// How the version is printed.
#[derive(Debug, Args)]
pub(crate) struct VersionArguments {
    /// How to print it
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) output: OutputFormat,
}

/// For whom an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_unknown_method_is_refused_before_anything_is_sent() {
        let parsed = Arguments::try_parse_from(["swarmd", "api", "BREW", "/"]);

        assert!(parsed.is_err());
    }
}
