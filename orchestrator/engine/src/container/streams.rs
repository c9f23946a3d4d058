//! What goes in and comes out of a container: its streams, its log, its terminal's size, its use.

use runtime::{Attachment, LogQuery, LogReader, Stats, Streams, TtySize};

use super::actor::Command;
use super::{ContainerError, Containers};
use crate::event::EventKind;

impl Containers {
    /// Connects to the streams of a container's program: from now on where it runs; where it does not, from the first
    /// byte of its next run.
    pub async fn attach(&self, name: &str, streams: Streams) -> Result<Attachment, ContainerError> {
        let cell = self.cell(name)?;
        let container = cell.ask(Command::Prepare).await?;
        let attachment = container.attach(streams).await?;
        self.shared.events.tell(EventKind::Container, "attach", &cell.id, cell.record().attributes());
        Ok(attachment)
    }

    /// Like [`attach`](Self::attach), with what was written before, also by earlier runs; both together are all of it, each
    /// line once. `None` where nothing was written yet.
    pub async fn attach_behind_log(
        &self,
        name: &str,
        streams: Streams,
    ) -> Result<(Attachment, Option<LogReader>), ContainerError> {
        let cell = self.cell(name)?;
        check_readable(&cell)?;
        let container = cell.ask(Command::Prepare).await?;
        let connected = container.attach_behind_log(streams).await?;
        self.shared.events.tell(EventKind::Container, "attach", &cell.id, cell.record().attributes());
        Ok(connected)
    }

    /// Tells that a client has left a container's streams, which runs on. One that is gone is fine.
    pub fn note_detach(&self, name: &str) {
        if let Ok(cell) = self.cell(name) {
            self.shared.events.tell(EventKind::Container, "detach", &cell.id, cell.record().attributes());
        }
    }

    /// Reads what a container has written, also before the system was started anew, and goes on while it runs where the
    /// query says so. `None` where it has written nothing.
    pub fn logs(&self, name: &str, query: LogQuery) -> Result<Option<LogReader>, ContainerError> {
        let cell = self.cell(name)?;
        check_readable(&cell)?;
        if let Some(container) = self.shared.runtime.find(&cell.id)? {
            return Ok(Some(container.logs(query)?));
        }
        let logs = self.places(&cell.id).logs;
        Ok(if logs.exists() { Some(LogReader::at_rest(logs, query)?) } else { None })
    }

    /// Gives the terminal of a container another size.
    pub async fn resize(&self, name: &str, size: TtySize) -> Result<(), ContainerError> {
        let cell = self.cell(name)?;
        self.running(&cell)?.resize(size).await?;
        let mut attributes = cell.record().attributes();
        attributes.insert("height".to_owned(), size.rows.to_string());
        attributes.insert("width".to_owned(), size.columns.to_string());
        self.shared.events.tell(EventKind::Container, "resize", &cell.id, attributes);
        Ok(())
    }

    /// What a container uses at this moment; `None` where it does not run.
    pub async fn stats(&self, name: &str) -> Result<Option<Stats>, ContainerError> {
        let cell = self.cell(name)?;
        match self.running(&cell) {
            Ok(container) => Ok(Some(container.stats().await?)),
            Err(ContainerError::Conflict(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The runtime's side of a container that runs.
    pub(super) fn running(&self, cell: &super::cell::Cell) -> Result<runtime::Container, ContainerError> {
        let not_running = || ContainerError::Conflict(format!("container {} is not running", cell.id));
        if !cell.state().status.has_process() {
            return Err(not_running());
        }
        self.shared.runtime.find(&cell.id)?.ok_or_else(not_running)
    }
}

/// Refuses to read what nobody keeps.
fn check_readable(cell: &super::cell::Cell) -> Result<(), ContainerError> {
    if cell.record().host_config.log_config.kind == "none" {
        let words = "configured logging driver does not support reading";
        return Err(ContainerError::Conflict(words.to_owned()));
    }
    Ok(())
}
