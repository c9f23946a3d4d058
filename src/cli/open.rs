//! Finds the cluster that a command means, and puts together what working on it takes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use driver::Options;
use model::{API_PORT, Role};
use reach::{Dialer, Session};
use tokio_util::sync::CancellationToken;

use super::Global;
use super::failure::StateError;
use crate::engine::Swarm;
use crate::home::Home;
use crate::journal::{ClusterLock, Journal, Ledger, Machine, Stage, file};
use crate::phase::Context;
use crate::providers;

/// A cluster that is only looked at.
#[derive(Debug)]
pub(super) struct Viewed {
    pub(super) home: Home,
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) journal: Journal,
}

/// A cluster that is worked on: nobody else may change it meanwhile.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) context: Arc<Context>,
    pub(super) lock: ClusterLock,
}

impl Viewed {
    /// The cluster that is meant, as it is now.
    pub(super) fn open(global: &Global, argument: Option<&str>) -> Result<Self> {
        let home = Home::locate()?;
        let name = home.choose(global.cluster(argument))?;
        let folder = home.cluster_folder(&name);
        let journal = file::read(&folder)?.with_context(|| format!("cluster `{name}` is gone"))?;
        Ok(Self { home, name, folder, journal })
    }

    /// The swarm, by way of its managers.
    pub(super) fn swarm(&self) -> Result<Box<dyn Swarm>> {
        if self.journal.stage == Stage::Creating {
            let hint = format!("finish it with `swarmup create {}`", self.name);
            return Err(StateError::new(format!("cluster `{}` is not formed yet", self.name), hint).into());
        }
        let provider = providers::find(&self.journal.spec.provider)?;
        Ok(provider.engine(None, &self.home).swarm(&self.journal, &self.folder)?)
    }

    /// A machine by any of its names.
    pub(super) fn machine(&self, node: &str) -> Result<(u32, &Machine)> {
        find_machine(&self.journal, node)
    }

    /// Where the Engine API is reached over TLS: at the manager named, else at one that answers.
    pub(super) async fn manager(&self, node: Option<&str>) -> Result<SocketAddr> {
        let Some(node) = node else { return Ok(self.swarm()?.endpoint().await?) };
        let (_, machine) = self.machine(node)?;
        if machine.role != Role::Manager {
            let hint = "only managers serve the Engine API over TLS; name one, or none";
            return Err(StateError::new(format!("`{node}` is no manager"), hint).into());
        }
        let address = machine
            .instance
            .as_ref()
            .and_then(|instance| instance.public_address.or(instance.private_address))
            .ok_or_else(|| StateError::new(format!("`{node}` has no address"), "start it with `swarmup node start`"))?;
        Ok(SocketAddr::new(address, API_PORT))
    }

    /// A session with a machine.
    pub(super) async fn session(&self, node: &str, global: &Global) -> Result<Arc<dyn Session>> {
        let (number, machine) = self.machine(node)?;
        let instance = machine.instance.as_ref().with_context(|| format!("`{node}` does not exist yet"))?;
        let context = self.context(global)?;
        Ok(context.dial(number, instance).await?)
    }

    fn context(&self, global: &Global) -> Result<Context> {
        assemble(&self.home, self.folder.clone(), self.journal.clone(), global, None, CancellationToken::new())
    }

    /// Takes the cluster's lock, to change it. `options` are the provider's where they are to change.
    pub(super) fn lock(
        self,
        global: &Global,
        agent: Option<PathBuf>,
        options: Option<&Options>,
        stop: CancellationToken,
    ) -> Result<Opened> {
        let lock = ClusterLock::take(&self.folder, &self.name)?;
        // What was read before the lock may be old by now.
        let journal = file::read(&self.folder)?.with_context(|| format!("cluster `{}` is gone", self.name))?;
        let mut context = assemble(&self.home, self.folder, journal, global, agent, stop)?;
        if let Some(options) = options {
            let provider = providers::find(&context.journal().spec.provider)?;
            context.driver = provider.driver(options, &self.home, &context.dialer)?;
        }
        Ok(Opened { context: Arc::new(context), lock })
    }
}

/// Puts together what working on a cluster takes.
pub(super) fn assemble(
    home: &Home,
    folder: PathBuf,
    journal: Journal,
    global: &Global,
    agent: Option<PathBuf>,
    stop: CancellationToken,
) -> Result<Context> {
    let provider = providers::find(&journal.spec.provider)?;
    let dialer = dialer();
    let driver = provider.driver(&journal.spec.options, home, &dialer)?;
    Ok(Context::new(
        home.clone(),
        Arc::new(Ledger::new(folder, journal)),
        driver,
        provider.engine(agent, home),
        dialer,
        Arc::new(global.progress()),
        stop,
    ))
}

/// What opens this command's sessions.
pub(super) fn dialer() -> Dialer {
    let agent_socket = std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from);
    Dialer { agent_socket, ..Dialer::default() }
}

/// A machine by any of its names.
pub(super) fn find_machine<'a>(journal: &'a Journal, node: &str) -> Result<(u32, &'a Machine)> {
    journal.find_machine(node).ok_or_else(|| {
        let known: Vec<_> = journal.machines.keys().map(|number| crate::cluster::hostname(*number)).collect();
        let message = format!("cluster `{}` has no node `{node}`", journal.spec.name);
        StateError::new(message, format!("its nodes are: {}", known.join(", "))).into()
    })
}
