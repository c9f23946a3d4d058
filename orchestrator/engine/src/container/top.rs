//! `docker top`: the processes of a container as `ps` shows them, read from `/proc`.
//!
//! Docker runs the host's `ps` with whatever words it is sent. Here the usual ones are understood (`columns.rs`), and no
//! program is run.

mod columns;
mod process;

use self::columns::{columns_of, host};
use self::process::Process;
use super::{ContainerError, Containers};
use crate::document::blocking;
use crate::event::EventKind;
use crate::settings::InvalidSettings;

/// The processes of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessTable {
    /// The names of the columns.
    pub titles: Vec<String>,
    /// A process each.
    pub processes: Vec<Vec<String>>,
}

impl Containers {
    /// The processes of a container that runs, in the columns that `ps` would show with these arguments: `-ef` where there
    /// are none, `aux`, or `-o` with a list.
    pub async fn top(&self, name: &str, arguments: &str) -> Result<ProcessTable, ContainerError> {
        let columns = columns_of(arguments).map_err(|words| ContainerError::Invalid(InvalidSettings(words)))?;
        let cell = self.cell(name)?;
        let pids = self.running(&cell)?.processes().await?;
        let titles = columns.iter().map(|column| column.title.to_owned()).collect();
        let processes = blocking(move || {
            let host = host();
            let row = |process: Process| columns.iter().map(|column| (column.show)(&process, &host)).collect();
            pids.into_iter().filter_map(Process::read).map(row).collect()
        })
        .await;
        self.shared.events.tell(EventKind::Container, "top", &cell.id, cell.record().attributes());
        Ok(ProcessTable { titles, processes })
    }
}
