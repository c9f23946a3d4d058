//! `swarmd`, the node agent: one static binary that is all a node needs.
//!
//! ```text
//! swarmd run          the agent: settings -> build -> serve -> drain
//! swarmd init         PID 1 of a local machine   \  both keep one agent running (keeper) and answer
//! swarmd supervise    where no systemd runs      /  `swarmd service` on a socket of their own
//! swarmd service ...  installs, starts, stops and removes the agent on this host
//! swarmd shim ...     keeps one container; started by the agent, and outlives it
//! swarmd api ...      one request to the agent's Engine API, for hosts without curl
//! ```
//!
//! The parts below decide nothing about the swarm: they read settings, build what the lower floors offer, and see it
//! through to its end.

mod answer;
mod api;
mod arguments;
mod host;
mod init;
mod installation;
mod keeper;
mod lapse;
mod layout;
mod log;
mod name_lookup;
mod process;
mod rotation;
mod run;
mod run_dir;
mod service;
mod settings;
mod state_lock;
mod stop_word;
mod supervise;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    // As the shim of a container, or its first process: before there is a second thread.
    if let Some(code) = runtime::reenter() {
        return code;
    }
    name_lookup::keep_inside_libc();
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => run::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Init(arguments) => init::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Supervise(arguments) => supervise::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Service(action) => service::run(action),
        Command::Api(arguments) => api::run(&arguments),
        Command::Version(arguments) => answer::version(arguments.output).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        answer::failure(&error);
        ExitCode::FAILURE
    })
}
