//! What operators and the agent ask of one container. All of it is done by its actor, whoever stays to hear of it.

use std::sync::Arc;
use std::time::Duration;

use runtime::Limits;

use super::actor::Command;
use super::cell::Cell;
use super::registry::check_name;
use super::{ContainerError, Containers};
use crate::config::{ContainerResources, HostConfig, RestartPolicy};
use crate::event::EventKind;
use crate::settings::{self, InvalidSettings};
use crate::signal;

/// How a container is asked to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopRequest {
    /// The signal; the container's own where absent.
    pub signal: Option<String>,
    /// How long it may take until it is ended by force.
    pub grace: Grace,
}

/// How long a container may take to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Grace {
    /// As long as its settings say; else ten seconds.
    #[default]
    Settings,
    /// So long.
    Within(Duration),
    /// As long as it takes.
    Forever,
}

/// What `docker update` changes: zero and absent stay as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerUpdate {
    /// Limits.
    pub resources: ContainerResources,
    /// Whether it is started again when it ends.
    pub restart_policy: Option<RestartPolicy>,
}

impl Containers {
    /// Starts a container; returns once its program has begun. `false` where it runs already.
    pub async fn start(&self, name: &str) -> Result<bool, ContainerError> {
        self.cell(name)?.ask(|reply| Command::Start(false, reply)).await
    }

    /// Starts a container that was never started; `false` for one that was, whether or not it runs still. For tasks,
    /// which run once, however often their agent begins anew.
    pub async fn start_once(&self, name: &str) -> Result<bool, ContainerError> {
        self.cell(name)?.ask(|reply| Command::Start(true, reply)).await
    }

    /// Ends a container: by its signal, and by force once the grace is over. Returns once it has ended; `false` where it
    /// did not run. It is not started again by itself.
    pub async fn stop(&self, name: &str, request: &StopRequest) -> Result<bool, ContainerError> {
        let cell = self.cell(name)?;
        let config = &cell.record().config;
        let signal = match &request.signal {
            Some(signal) => signal::parse(signal)?,
            None => settings::stop_signal(config),
        };
        let grace = match request.grace {
            Grace::Forever => None,
            Grace::Within(grace) => Some(grace),
            Grace::Settings => settings::stop_grace(config),
        };
        let mut states = cell.watch();
        let has_run = cell.ask(|reply| Command::Stop(signal, grace, reply)).await?;
        drop(cell);
        if has_run {
            // Closed where the container removes itself at its end.
            let _ = states.wait_for(|state| !state.status.is_running()).await;
        }
        Ok(has_run)
    }

    /// Sends a signal to a container's first process: `KILL` where none is named, which nothing withstands, so that it
    /// returns once the container has ended.
    pub async fn kill(&self, name: &str, signal: Option<&str>) -> Result<(), ContainerError> {
        let signal = signal.map_or(Ok(signal::KILL), signal::parse)?;
        let cell = self.cell(name)?;
        let mut states = cell.watch();
        cell.ask(|reply| Command::Kill(signal, reply)).await?;
        drop(cell);
        if signal == signal::KILL {
            // Closed where the container removes itself at its end.
            let _ = states.wait_for(|state| !state.status.is_running()).await;
        }
        Ok(())
    }

    /// Makes all processes of a container stand still.
    pub async fn pause(&self, name: &str) -> Result<(), ContainerError> {
        self.cell(name)?.ask(|reply| Command::Pause(true, reply)).await
    }

    /// Lets a container run on.
    pub async fn unpause(&self, name: &str) -> Result<(), ContainerError> {
        self.cell(name)?.ask(|reply| Command::Pause(false, reply)).await
    }

    /// Ends a container, and starts it.
    pub async fn restart(&self, name: &str, request: &StopRequest) -> Result<(), ContainerError> {
        let cell = self.cell(name)?;
        self.stop(&cell.id, request).await?;
        self.start(&cell.id).await?;
        self.shared.events.tell(EventKind::Container, "restart", &cell.id, cell.record().attributes());
        Ok(())
    }

    /// Gives a container another name, unless somebody has it.
    pub async fn rename(&self, name: &str, new: &str) -> Result<(), ContainerError> {
        let new = new.strip_prefix('/').unwrap_or(new).to_owned();
        check_name(&new)?;
        let (shared, cell) = (Arc::clone(&self.shared), self.cell(name)?);
        self.owned(async move {
            let old = cell.record().name.clone();
            if old == new {
                let words = "Renaming a container with the same name as its current name";
                return Err(ContainerError::Invalid(InvalidSettings::new(words)));
            }
            shared.registry.rename(&cell, &old, &new)?;
            let outcome = cell.ask(|reply| Command::Rename(new.clone(), reply)).await;
            if outcome.is_err() && cell.record().name == old {
                // Nobody else can have taken the old name and the new one meanwhile but this container.
                let _ = shared.registry.rename(&cell, &new, &old);
            }
            outcome
        })
        .await
    }

    /// Removes a container: also while it runs where `is_forced` says so, with its volumes without names where
    /// `with_volumes` does. On return nothing is left of it.
    pub async fn remove(&self, name: &str, is_forced: bool, with_volumes: bool) -> Result<(), ContainerError> {
        self.cell(name)?.ask(|reply| Command::Remove(is_forced, with_volumes, reply)).await
    }

    /// Changes a container's limits, at once where it runs, and its restart policy. Returns what the operator is to be
    /// warned of because of it.
    pub async fn update(&self, name: &str, update: ContainerUpdate) -> Result<Vec<String>, ContainerError> {
        let cell = self.cell(name)?;
        let record = cell.record();
        let mut changed = record.host_config.clone();
        apply(&mut changed, &update);
        let check = |host: &HostConfig| settings::check(&record.config, host, self.shared.node.cpus);
        let told = check(&record.host_config).unwrap_or_default();
        let mut warnings = check(&changed)?;
        warnings.retain(|warning| !told.contains(warning));
        let limits = live_limits(&cell, &update, self.shared.node.cpus)?;
        let change = Box::new(move |record: &mut super::ContainerRecord| apply(&mut record.host_config, &update));
        cell.ask(|reply| Command::Change(change, Box::new(limits), reply)).await?;
        Ok(warnings)
    }
}

/// The limits to set. Memory and swap go together: the kernel checks the one against the other.
fn live_limits(cell: &Cell, update: &ContainerUpdate, cpus: usize) -> Result<Limits, ContainerError> {
    let mut resources = update.resources.clone();
    if resources.memory_swap != 0 && resources.memory == 0 {
        resources.memory = cell.record().host_config.resources.memory;
    }
    Ok(settings::limits(&resources, cpus)?)
}

fn apply(host: &mut HostConfig, update: &ContainerUpdate) {
    fn number<T: Copy + Default + PartialEq>(own: &mut T, new: T) {
        if new != T::default() {
            *own = new;
        }
    }
    fn text(own: &mut String, new: &str) {
        if !new.is_empty() {
            new.clone_into(own);
        }
    }
    let (own, new) = (&mut host.resources, &update.resources);
    number(&mut own.cpu_shares, new.cpu_shares);
    number(&mut own.memory, new.memory);
    number(&mut own.nano_cpus, new.nano_cpus);
    number(&mut own.blkio_weight, new.blkio_weight);
    number(&mut own.cpu_period, new.cpu_period);
    number(&mut own.cpu_quota, new.cpu_quota);
    number(&mut own.memory_reservation, new.memory_reservation);
    number(&mut own.memory_swap, new.memory_swap);
    text(&mut own.cpuset_cpus, &new.cpuset_cpus);
    text(&mut own.cpuset_mems, &new.cpuset_mems);
    own.pids_limit = new.pids_limit.or(own.pids_limit);
    if let Some(policy) = update.restart_policy.as_ref().filter(|policy| !policy.name.is_empty()) {
        host.restart_policy = policy.clone();
    }
}
