//! What a node does once nobody holds its swarm's lease any more.
//!
//! ```text
//!   end the machine   local machine: the kernel powers off, which in namespaces ends these alone
//!                     elsewhere: the script of the machine's user-data, then systemd powers off, else the kernel
//!   remove the agent  `swarmd service remove`, in a process that outlives this one
//! ```
//! What is begun is begun again until it has come about: each of them ends this process.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use engine::Lease;
use model::{OnLapse, Supervision};
use rustix::system::RebootCommand;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::layout;
use crate::service;
use crate::settings::Leased;

/// How long an end that was begun may take before it is begun again.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until the lease has lapsed, and ends what is to end; returns when cancelled.
pub(crate) async fn watch(lease: &Lease, leased: Leased, cancel: CancellationToken) {
    tokio::select! {
        () = lease.lapsed() => {}
        () = cancel.cancelled() => return,
    }
    warn!(seconds = leased.terms.seconds, "nobody holds the swarm's lease any more; this node ends");
    loop {
        let leased = leased.clone();
        let ending = tokio::task::spawn_blocking(move || end(&leased)).await;
        if let Err(error) = ending.context("ending the node panicked").flatten() {
            error!(error = format!("{error:#}"), "failed to end this node; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(PATIENCE) => {}
            () = cancel.cancelled() => return,
        }
    }
}

fn end(leased: &Leased) -> anyhow::Result<()> {
    match leased.terms.on_lapse {
        OnLapse::RemoveAgent => remove_agent(&leased.mark),
        // What scripts and services it sees are those of the machine around it.
        OnLapse::EndMachine if service::supervision() == Supervision::Init => power_off(),
        OnLapse::EndMachine => end_machine(),
    }
}

/// In a process group of its own: it ends whoever keeps this process, and this process with it.
fn remove_agent(mark: &str) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("failed to find the agent's binary")?;
    let mut removal = Command::new(own);
    removal.args(["service", "remove", "--mark", mark]).process_group(0);
    // Not waited for: it waits for this process.
    removal.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("failed to remove the agent").map(drop)
}

fn end_machine() -> anyhow::Result<()> {
    if Path::new(layout::END_SCRIPT).exists() {
        // What it cannot do does not keep the machine from powering off.
        if let Err(error) = run(Command::new(layout::END_SCRIPT)) {
            warn!(error = format!("{error:#}"), "the machine could not say farewell to its provider");
        }
    }
    if Path::new("/run/systemd/system").is_dir() {
        let mut command = Command::new("systemctl");
        command.arg("poweroff");
        return run(command);
    }
    power_off()
}

fn power_off() -> anyhow::Result<()> {
    rustix::fs::sync();
    rustix::system::reboot(RebootCommand::PowerOff).context("failed to power off")
}

fn run(mut command: Command) -> anyhow::Result<()> {
    let program = command.get_program().to_owned();
    let status = command.stdin(Stdio::null()).status();
    let status: ExitStatus = status.with_context(|| format!("failed to run `{}`", program.display()))?;
    if !status.success() {
        bail!("`{}` ended with {status}", program.display());
    }
    Ok(())
}
