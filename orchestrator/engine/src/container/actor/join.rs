//! Joining a network, and leaving one: at once where the container runs, else from when it is started.

use links::Process;
use runtime::Phase;

use super::Actor;
use crate::container::attachment::beside;
use crate::container::{Attachment, ContainerError, ContainerRecord, ContainerStatus};
use crate::document::blocking;
use crate::local_network::LocalNetworkError;
use crate::settings::{self, InvalidSettings, NetworkMode};

impl Actor {
    /// Joins a network. Refused where the container is in it while it runs, and where it has no network of its own.
    pub(super) async fn join(&mut self, attachment: Attachment) -> Result<(), ContainerError> {
        let record = self.cell.record();
        let mode = NetworkMode::of(&record.config, &record.host_config)?;
        if !mode.has_addresses() {
            return Err(InvalidSettings::new(beside(&mode)).into());
        }
        if matches!(self.state.status, ContainerStatus::Removing | ContainerStatus::Dead) {
            return Err(self.is_going());
        }
        let mut attachments = record.attachments().into_owned();
        let process = self.process();
        if process.is_some() && attachments.iter().any(|other| other.network == attachment.network) {
            let words = format!("endpoint with name {} already exists in network {}", record.name, attachment.name);
            return Err(LocalNetworkError::Refused(words).into());
        }
        attachments.retain(|other| other.network != attachment.network);
        attachments.push(attachment.clone());
        let Some(process) = process else {
            return self.keep_attachments(&record, attachments);
        };
        self.join_now(&attachment, process).await?;
        let kept = self.keep_attachments(&record, attachments);
        // Its names are those of its record.
        self.enter_names();
        let told = match kept {
            Ok(()) => self.tell_joined(&attachment, process).await,
            Err(error) => Err(error),
        };
        if told.is_err() {
            self.keep_attachments(&record, record.attachments().into_owned())?;
            self.leave_now(&attachment.network, process).await?;
        }
        told
    }

    async fn join_now(&mut self, attachment: &Attachment, process: Process) -> Result<(), ContainerError> {
        let record = self.cell.record();
        let has_way_out = self.state.endpoints.values().any(|endpoint| endpoint.leads_out);
        let leads_out = !has_way_out && !self.bridge_of(attachment)?.settings().is_internal;
        let ports = if leads_out { settings::ports(&record.config, &record.host_config)? } else { Vec::new() };
        self.reserve(attachment, ports, leads_out).await?;
        self.cell.set_state(self.state.clone());
        let written = self.state.write(&self.cell.folder).map_err(ContainerError::from);
        let joined = match written {
            Ok(()) => self.connect_to(attachment, process).await,
            Err(error) => Err(error),
        };
        if joined.is_err() {
            drop(self.release(&attachment.network).await?);
        }
        joined
    }

    /// Leaves a network. Refused where the container is not to be in it.
    pub(super) async fn leave(&mut self, network: &str, name: &str) -> Result<(), ContainerError> {
        let record = self.cell.record();
        let mut attachments = record.attachments().into_owned();
        let before = attachments.len();
        attachments.retain(|attachment| attachment.network != network);
        // What was begun to join when an agent was ended, it has a place in all the same.
        if attachments.len() == before && !self.state.endpoints.contains_key(network) {
            let words = format!("container {} is not connected to network {name}", self.cell.id);
            return Err(LocalNetworkError::Refused(words).into());
        }
        // First what is wanted: whoever is ended in between leaves it when it is started again.
        self.keep_attachments(&record, attachments)?;
        match self.process() {
            Some(process) => self.leave_now(network, process).await,
            None => Ok(()),
        }
    }

    /// Leaves a network at once. Where it was the way out another one is, and ports lead there.
    async fn leave_now(&mut self, network: &str, process: Process) -> Result<(), ContainerError> {
        let Some(left) = self.state.endpoints.get(network).cloned() else { return Ok(()) };
        let line = self.own_line(network);
        let ports = self.release(network).await?;
        self.change_file("hosts", |text| text.replacen(&line, "", 1))?;
        if !left.leads_out {
            return Ok(());
        }
        let record = self.cell.record();
        let remaining: Vec<Attachment> =
            record.attachments().iter().filter(|one| one.network != network).cloned().collect();
        let Some(next) = self.way_out(&remaining)? else { return Ok(()) };
        let Some(bridge) = self.shared.networks.bridge_of(&next) else { return Ok(()) };
        let id = self.cell.id.clone();
        let endpoint = blocking(move || bridge.lead_out(&id, &process, ports)).await?;
        self.update(|state| drop(state.endpoints.insert(next, endpoint)));
        self.enter_names();
        Ok(())
    }

    /// Keeps in which networks it is to be.
    pub(super) fn keep_attachments(
        &self,
        record: &ContainerRecord,
        attachments: Vec<Attachment>,
    ) -> Result<(), ContainerError> {
        let mut record = record.clone();
        record.attachments = Some(attachments);
        Ok(self.put_record(record)?)
    }

    /// Its first process, whether or not its program has begun.
    fn process(&self) -> Option<Process> {
        let state = self.container.as_ref()?.state().ok()?;
        let process = Process { pid: state.init.pid, started: state.init.started };
        (state.phase != Phase::Exited).then_some(process)
    }
}
