//! Which containers there are: by id, and by name. A name is taken before its container is there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::ContainerError;
use super::cell::Cell;
use crate::settings::InvalidSettings;

/// Which containers there are.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    cells: BTreeMap<String, Arc<Cell>>,
    names: HashMap<String, Holder>,
}

/// Who has a name.
#[derive(Debug)]
enum Holder {
    /// A container that is being made; closed once it is there, or is not to be.
    Coming(String, watch::Receiver<()>),
    Container(String),
}

/// What was found under a name that somebody wanted.
#[derive(Debug)]
pub(super) enum Claim {
    /// It is the caller's now.
    Reserved(Reservation),
    /// A container that is being made has it: wait until this is closed, and look again.
    Coming(String, watch::Receiver<()>),
    /// A container has it.
    Taken(Arc<Cell>),
}

/// A name that is taken for a container to come. Dropped without one, it is free again.
#[derive(Debug)]
pub(super) struct Reservation {
    registry: Arc<super::Shared>,
    pub(super) name: String,
    /// Closes with the reservation.
    _coming: watch::Sender<()>,
}

impl Registry {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> Vec<Arc<Cell>> {
        self.entries().cells.values().cloned().collect()
    }

    /// Finds by id, then by name, then by the beginning of an id.
    pub(super) fn find(&self, name: &str) -> Result<Arc<Cell>, ContainerError> {
        let no_such = || ContainerError::NoSuchContainer(name.to_owned());
        let entries = self.entries();
        if let Some(cell) = entries.cells.get(name) {
            return Ok(Arc::clone(cell));
        }
        if let Some(Holder::Container(id)) = entries.names.get(name.strip_prefix('/').unwrap_or(name)) {
            return entries.cells.get(id).cloned().ok_or_else(no_such);
        }
        if name.is_empty() {
            return Err(no_such());
        }
        let mut matching = entries.cells.range(name.to_owned()..).take_while(|(id, _)| id.starts_with(name));
        match (matching.next(), matching.next()) {
            (Some((_, cell)), None) => Ok(Arc::clone(cell)),
            (Some(_), Some(_)) => Err(ContainerError::Ambiguous(name.to_owned())),
            (None, _) => Err(no_such()),
        }
    }

    /// Takes a container in that was there before this process. `false` where another one has its name.
    pub(super) fn adopt(&self, cell: &Arc<Cell>) -> bool {
        let mut entries = self.entries();
        let name = cell.record().name.clone();
        let is_free = !entries.names.contains_key(&name);
        if is_free {
            entries.names.insert(name, Holder::Container(cell.id.clone()));
        }
        entries.cells.insert(cell.id.clone(), Arc::clone(cell));
        is_free
    }

    /// Gives another name to a container, unless somebody else has it.
    pub(super) fn rename(&self, cell: &Cell, old: &str, new: &str) -> Result<(), ContainerError> {
        let mut entries = self.entries();
        if let Some(Holder::Coming(holder, _) | Holder::Container(holder)) = entries.names.get(new) {
            return Err(ContainerError::NameTaken { name: new.to_owned(), holder: holder.clone() });
        }
        entries.names.remove(old);
        entries.names.insert(new.to_owned(), Holder::Container(cell.id.clone()));
        Ok(())
    }

    /// Forgets a container.
    pub(super) fn remove(&self, cell: &Cell) {
        let mut entries = self.entries();
        entries.cells.remove(&cell.id);
        entries.names.retain(|_, holder| !matches!(holder, Holder::Container(id) if *id == cell.id));
    }
}

/// Takes a name for the container of this id, unless somebody has it.
pub(super) fn claim(shared: &Arc<super::Shared>, name: &str, id: &str) -> Result<Claim, ContainerError> {
    let name = name.strip_prefix('/').unwrap_or(name);
    check_name(name)?;
    let mut entries = shared.registry.entries();
    match entries.names.get(name) {
        Some(Holder::Coming(holder, coming)) => Ok(Claim::Coming(holder.clone(), coming.clone())),
        Some(Holder::Container(holder)) => {
            let cell = entries.cells.get(holder).cloned();
            Ok(Claim::Taken(cell.ok_or_else(|| ContainerError::NoSuchContainer(name.to_owned()))?))
        }
        None => {
            let (sender, coming) = watch::channel(());
            entries.names.insert(name.to_owned(), Holder::Coming(id.to_owned(), coming));
            Ok(Claim::Reserved(Reservation { registry: Arc::clone(shared), name: name.to_owned(), _coming: sender }))
        }
    }
}

impl Reservation {
    /// Puts the container under its name.
    pub(super) fn fill(self, cell: &Arc<Cell>) {
        let mut entries = self.registry.registry.entries();
        entries.names.insert(self.name.clone(), Holder::Container(cell.id.clone()));
        entries.cells.insert(cell.id.clone(), Arc::clone(cell));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut entries = self.registry.registry.entries();
        if matches!(entries.names.get(&self.name), Some(Holder::Coming(..))) {
            entries.names.remove(&self.name);
        }
    }
}

/// Names are letters, digits, `_`, `.` and `-`, at least two, the first a letter or digit.
pub(super) fn check_name(name: &str) -> Result<(), InvalidSettings> {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let is_name = (2..=255).contains(&name.len())
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(is_inner);
    if is_name {
        return Ok(());
    }
    let words = "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
    Err(InvalidSettings(format!("Invalid container name ({name}), {words}")))
}
