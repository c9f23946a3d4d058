//! `swarmd init`: PID 1 of a local machine.
//!
//! Turns the namespaces it was born into into a machine, waits until its maker has given it a network, and keeps the
//! agent running, collecting every orphan that ends. An agent that is installed is started at once, as any service is
//! when its host comes up. On SIGTERM the agent is stopped, and then its containers are ended; whatever else still runs ends
//! with this process, for the kernel kills a PID namespace whose first process has gone.

use std::io;
use std::path::Path;

use anyhow::Context as _;
use links::gate;
use links::root::PrivateRoot;
use model::Supervision;

use crate::arguments::{InitArguments, LogFormat};
use crate::keeper::Keeper;
use crate::supervise::logging_agent_command;
use crate::{layout, log, run_dir};

/// Runs the machine until SIGTERM.
pub(crate) fn run(arguments: &InitArguments) -> anyhow::Result<()> {
    PrivateRoot {
        hostname: &arguments.hostname,
        root: &arguments.root,
        data: &arguments.data,
        resolv: &arguments.resolv,
        hosts: &[],
    }
    .enter()
    .context("failed to build the machine's root")?;

    run_dir::ensure()?;
    log::to_file(&Path::new(layout::LOG_DIR).join("init.log"), LogFormat::Text)?;
    let keeper = Keeper::new(Supervision::Init, logging_agent_command());
    let is_installed = layout::installation_file().exists();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
    runtime.block_on(async {
        // Commands that come as soon as the gate is open find somebody who takes them.
        let kept = keeper.run(is_installed, || gate::ready_and_wait().map_err(io::Error::other)).await;
        kept.context("failed to keep the agent running")?;
        let ended = engine::end_containers(Path::new(layout::DATA_DIR), Path::new(layout::RUN_DIR)).await;
        ended.context("failed to end the containers before the machine is off")
    })
}
