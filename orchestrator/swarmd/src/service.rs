//! `swarmd service`: installs, starts, stops and removes the agent on the host it runs on.
//!
//! Answers with one line of JSON on standard output: a report, or a refusal and exit code 1. Everything may run twice.
//! A host that carries another cluster's mark is never touched, not even its binary: what is uploaded runs from where
//! it lies, and puts itself in place only after the mark has been read.

mod binary;
mod boot;
mod containers;
mod error;
mod install;
mod ports;
mod remove;
mod running;
mod supervision;

use std::fs::File;
use std::process::ExitCode;

use model::{ServiceReport, Supervision};

use crate::answer;
use crate::arguments::ServiceAction;
use crate::installation::Installation;
use crate::layout;
use error::ServiceError;

/// Locked while a service command runs, so that two never work on one host at the same moment.
const LOCKED_FOLDER: &str = "/run";

/// Runs a service command and prints what it did.
pub(crate) fn run(action: ServiceAction) -> anyhow::Result<ExitCode> {
    match perform(action) {
        Ok(report) => answer::json(&report).map(|()| ExitCode::SUCCESS),
        Err(error) => answer::json(&error.refusal()).map(|()| ExitCode::FAILURE),
    }
}

/// Who keeps agents running on this host.
pub(crate) fn supervision() -> Supervision {
    supervision::of_this_host()
}

fn perform(action: ServiceAction) -> Result<ServiceReport, ServiceError> {
    if !rustix::process::geteuid().is_root() {
        return Err(ServiceError::NotRoot);
    }
    let folder = File::open(LOCKED_FOLDER).map_err(|source| ServiceError::file("open", LOCKED_FOLDER, source))?;
    folder.lock().map_err(|source| ServiceError::file("lock", LOCKED_FOLDER, source))?;
    let supervision = supervision::of_this_host();
    match action {
        ServiceAction::Install => install::install(supervision, &install::read_request()?)?,
        // Whatever starts the agent at boot asks here too: without a mark nobody knows whose it would be.
        ServiceAction::Start if !layout::installation_file().exists() => return Err(ServiceError::NotInstalled),
        ServiceAction::Start => supervision::start(supervision)?,
        ServiceAction::Stop(arguments) => {
            if arguments.for_restart {
                supervision::stop_for_restart(supervision)?;
            } else {
                supervision::stop(supervision)?;
            }
            containers::end()?;
        }
        ServiceAction::Restart => supervision::restart(supervision)?,
        ServiceAction::Status => {
            let running_sha256 = running::sha256(supervision)?;
            return report(supervision).map(|report| ServiceReport { running_sha256, ..report });
        }
        ServiceAction::Remove(arguments) => remove::remove(supervision, &arguments.mark)?,
    }
    report(supervision)
}

fn report(supervision: Supervision) -> Result<ServiceReport, ServiceError> {
    Ok(ServiceReport {
        supervision,
        is_running: supervision::is_running(supervision)?,
        mark: Installation::read(&layout::installation_file())?.map(|installation| installation.mark),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        starts_at_boot: boot::starter(supervision).map(str::to_owned),
        running_sha256: None,
    })
}
