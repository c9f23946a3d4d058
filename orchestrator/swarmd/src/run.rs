//! `swarmd run`: the agent. Settings -> build -> serve -> drain.

use std::path::Path;

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::arguments::RunArguments;
use crate::installation::Installation;
use crate::log;
use crate::settings::Settings;

/// Runs the agent until SIGTERM or SIGINT.
pub(crate) fn run(arguments: RunArguments) -> anyhow::Result<()> {
    match &arguments.log_dir {
        Some(folder) => log::to_file(&folder.join("swarmd.log"), arguments.log_format)?,
        None => log::to_stderr(arguments.log_format)?,
    }
    let settings = settings(arguments)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?
        .block_on(live(settings))
        .inspect_err(|error| tracing::error!(error = format!("{error:#}"), "agent ends"))
}

fn settings(arguments: RunArguments) -> anyhow::Result<Settings> {
    let installation = Installation::read(&arguments.data_dir.join("installation.json"))?;
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Settings::new(arguments, installation, machine)
}

async fn live(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    info!(node = settings.hostname, version = env!("CARGO_PKG_VERSION"), "agent starts");
    prepare(&settings.data_dir)?;
    tell_service_manager(NotifyState::Ready);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tell_service_manager(NotifyState::Stopping);
    Ok(())
}

fn prepare(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))
}

/// Tells systemd, or a keeper of ours, how far the agent is. Where nobody wants to know, nothing happens.
fn tell_service_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "failed to tell the service manager");
    }
}
