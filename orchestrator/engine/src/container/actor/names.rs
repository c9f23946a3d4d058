//! The container's name server, and its own files that name it.

use std::fs;
use std::sync::Arc;

use links::Process;
use model::with_causes;
use resolver::Sockets;

use super::Actor;
use super::network::position;
use super::start::resolv_conf;
use crate::container::asker::{Asker, enter_names};
use crate::container::{Attachment, ContainerError};
use crate::document::{FileFailure, blocking};

impl Actor {
    /// Has others find the container by its names, in all networks in which it has a place.
    pub(super) fn enter_names(&self) {
        enter_names(&self.shared.networks, &self.cell.record(), &self.state);
    }

    /// Has nobody find it any more.
    pub(super) fn leave_names(&self) {
        for network in self.state.endpoints.keys() {
            self.shared.networks.directory().leave(network, &self.cell.id);
        }
    }

    /// Serves names to a container that is in a network where there are some; in place of what served it before.
    pub(super) async fn serve_names(&mut self, process: Process) -> Result<(), ContainerError> {
        let record = self.cell.record();
        if !record.attachments().iter().any(Attachment::has_names) {
            return Ok(());
        }
        self.name_server.shutdown().await;
        let sockets = blocking(move || Sockets::open_inside(&process)).await?;
        let names = Arc::new(Asker::new(self.shared.networks.clone(), &record));
        let container = record.id.clone();
        self.name_server.spawn(async move {
            if let Err(error) = resolver::serve(sockets, names).await {
                tracing::warn!(%container, error = with_causes(&error), "a container has no name server any more");
            }
        });
        Ok(())
    }

    /// Tells a container that runs of a network that it has joined: its own line in `hosts`, and whom it asks for names.
    pub(super) async fn tell_joined(
        &mut self,
        attachment: &Attachment,
        process: Process,
    ) -> Result<(), ContainerError> {
        let line = self.own_line(&attachment.network);
        self.change_file("hosts", |text| text + &line)?;
        if attachment.has_names() && self.name_server.is_empty() {
            self.serve_names(process).await?;
            let text = resolv_conf(&self.cell.record())?;
            self.change_file("resolv.conf", |_| text)?;
        }
        Ok(())
    }

    /// The line of `hosts` by which it finds itself in a network.
    pub(super) fn own_line(&self, network: &str) -> String {
        let endpoints = self.state.endpoints.iter().filter(|(id, _)| *id == network);
        let endpoints = endpoints.map(|(id, endpoint)| (id.clone(), endpoint.clone())).collect();
        let position = position(&self.cell.record(), &endpoints);
        position.map(|position| position.lines()).unwrap_or_default()
    }

    /// Changes one of its own files of `/etc` in place: it is mounted into the container.
    pub(super) fn change_file(&self, name: &str, change: impl FnOnce(String) -> String) -> Result<(), FileFailure> {
        let path = self.cell.folder.join(name);
        let text = fs::read_to_string(&path).map_err(FileFailure::at("read", &path))?;
        fs::write(&path, change(text)).map_err(FileFailure::at("write", &path))
    }
}
