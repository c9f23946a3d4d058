//! Creates the machines and hands each on as it appears.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use driver::{Expiry, Instance, MachineRequest};
use model::Role;
use tokio::sync::mpsc;

use super::context::line_name;
use super::{Context, PhaseError, Work, preflight};
use crate::engine::EngineError;
use crate::identity::{first_host_key, read_ssh_public_key};
use crate::journal::{Journal, NetworkRecord, Step};
use crate::template;

/// What it does.
pub(super) const TITLE: &str = "Create machines";

/// The machines.
#[derive(Debug)]
pub struct Machines;

impl Machines {
    /// Creates what the journal announces and sends each machine on, once, as soon as it exists.
    ///
    /// The channel has room for every machine: sending never waits.
    pub(super) async fn apply(&self, context: &Context, appeared: mpsc::Sender<Work>) -> Result<(), PhaseError> {
        let journal = context.journal();
        let NetworkRecord::Exists(network) = &journal.network else {
            return Err(PhaseError::Incomplete { what: "network" });
        };
        let requests = requests(context, &journal)?;
        let desk = Desk {
            context,
            numbers: requests.iter().map(|request| (request.name.clone(), request.number)).collect(),
            handed_on: std::sync::Mutex::default(),
            appeared,
        };
        let made = context.call("create the machines", || context.driver.create(network, &requests, &desk)).await?;
        for instance in made {
            desk.hand_on(&instance);
        }
        Ok(())
    }

    /// Destroys what the journal knows and what the provider shows.
    pub(super) async fn undo(&self, context: &Context) -> Result<(), PhaseError> {
        let mut ids: BTreeSet<_> = context.journal().instance_ids().into_iter().collect();
        // What the journal knows goes even where the provider cannot tell of more just now.
        let (found, untold) = match preflight::remains(context).await {
            Ok(found) => (found, None),
            Err(error) if error.is_transient() => (Vec::new(), Some(error)),
            Err(error) => return Err(error),
        };
        ids.extend(found.into_iter().filter_map(|resource| resource.instance));
        let ids: Vec<_> = ids.into_iter().collect();
        // Removing the network takes them along, where it does: one call for all.
        let goes_with_network = context.driver.capabilities().removes_machines_with_network;
        if !ids.is_empty() && !goes_with_network {
            context.call("destroy the machines", || context.driver.destroy(&ids)).await?;
        }
        if let Some(error) = untold {
            return Err(error);
        }
        context.ledger.note(|journal| journal.machines.clear());
        Ok(())
    }
}

/// The machines that are to be made, or were being made when a command ended.
pub(super) fn pending(journal: &Journal) -> Vec<u32> {
    let on_their_way = |step: Step| matches!(step, Step::Creating | Step::Installing);
    let machines = journal.machines.iter().filter(|(_, machine)| on_their_way(machine.step));
    machines.map(|(number, _)| *number).collect()
}

/// The agent that machines start with; those that are reached by SSH are sent it then, so that there must merely be one.
pub fn agent_file(context: &Context) -> Result<Option<PathBuf>, EngineError> {
    let capabilities = context.driver.capabilities();
    if capabilities.machines_are_given || capabilities.has_user_data {
        return context.engine.check_agent().map(|()| None);
    }
    context.engine.agent_file()
}

fn requests(context: &Context, journal: &Journal) -> Result<Vec<MachineRequest>, PhaseError> {
    let agent = agent_file(context)?;
    let authorized_key = read_ssh_public_key(context.ledger.folder())?;
    let mark = context.request().mark();
    let first_host_key = if context.driver.capabilities().has_user_data {
        Some(first_host_key(context.ledger.folder(), &journal.spec.name)?)
    } else {
        None
    };
    let farewell = context.driver.farewell(&mark);
    let ends_itself_at = journal.expires.filter(|_| context.driver.capabilities().expiry == Expiry::Machine);
    let user_data = match (&first_host_key, &authorized_key) {
        (Some(host_key), Some(authorized_key)) => {
            let end = template::End { farewell: farewell.as_deref(), at: ends_itself_at };
            Some(template::cloud_init(&journal.spec.name, authorized_key, host_key, end))
        }
        (None, _) | (_, None) => None,
    };
    let request = |number: u32| MachineRequest {
        mark: mark.clone(),
        name: journal.spec.machine_name(number),
        hostname: crate::cluster::hostname(number),
        number,
        group: match journal.machines[&number].role {
            Role::Manager => "managers",
            Role::Worker => "workers",
        }
        .to_owned(),
        is_manager: journal.machines[&number].role == Role::Manager,
        user_data: user_data.clone(),
        host_key: first_host_key.as_ref().map(|pair| pair.public.clone()),
        authorized_key: authorized_key.clone(),
        agent: agent.clone(),
        options: journal.spec.options.clone(),
    };
    Ok(pending(journal).into_iter().map(request).collect())
}

/// Where the driver tells what it is doing.
struct Desk<'a> {
    context: &'a Context,
    numbers: BTreeMap<String, u32>,
    handed_on: std::sync::Mutex<BTreeSet<u32>>,
    appeared: mpsc::Sender<Work>,
}

impl Desk<'_> {
    fn hand_on(&self, instance: &Instance) {
        let Some(number) = self.numbers.get(&instance.name).copied() else { return };
        let is_first = self.handed_on.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(number);
        if !is_first {
            return;
        }
        self.context.note_instance(number, instance);
        self.context.progress.machine_done(TITLE, &line_name(number));
        let instance = self.context.journal().machines[&number].instance.clone().unwrap_or_else(|| instance.clone());
        // It fails only once nobody works on machines any more, and then this phase is being dropped as well.
        let _ = self.appeared.try_send(Work { number, instance, session: None });
    }
}

impl driver::Progress for Desk<'_> {
    fn machine(&self, name: &str, what: &str) {
        if let Some(number) = self.numbers.get(name) {
            self.context.progress.machine(&line_name(*number), what);
        }
    }

    fn appeared(&self, instance: &Instance, _at: Option<IpAddr>) {
        self.hand_on(instance);
    }
}
