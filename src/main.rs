//! The process: parse, log, run, exit code.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use swarmup::cli::{Cli, Exit, hint_of};
use swarmup::interrupt::{self, Outcome};
use swarmup::output::report;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// What is logged to standard error, in tracing's words (`debug`, `swarmup=trace,reach=debug`). Nothing by default.
const LOG_VARIABLE: &str = "SWARMUP_LOG";

fn main() -> ExitCode {
    let cli = Cli::read();
    log();
    let exit = run(cli).unwrap_or_else(|error| {
        report::error(&error, hint_of(&error).as_deref());
        Exit::of_error(&error)
    });
    ExitCode::from(exit.code())
}

fn run(cli: Cli) -> Result<Exit> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the runtime")?;
    let stop = CancellationToken::new();
    let command = Box::pin(cli.run(stop.clone()));
    let outcome = runtime.block_on(interrupt::run(stop, command)).context("failed to listen for signals")?;
    match outcome {
        Outcome::Done(exit) => exit,
        Outcome::Abandoned => {
            // Whatever still runs is left where it is: the journal tells of it.
            runtime.shutdown_background();
            Ok(Exit::Interrupted)
        }
    }
}

fn log() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
