//! A transaction: reads and changes against one state, all or nothing.
//!
//! It runs on the leader, in line with all others, never waits, and sees its own changes. Until it is committed the
//! versions of what it changed are provisional; callers read them from a view afterwards.

use std::sync::Arc;

use jiff::Timestamp;
use model::{ErrorKind, SwarmError, Version};

use crate::Snapshot;
use crate::codec::encoded_length;
use crate::entry::AMENDING_FORMAT;
use crate::state::State;
use crate::table::{Amendment, Change, Table};
use crate::tables::{AnyChange, Tables, put};

/// The most that the changes of one transaction may take (SwarmKit's limit): 1.5 MiB.
pub const MAX_TRANSACTION_BYTES: usize = 3 << 19;

/// A transaction: what it changes is seen by itself at once, by others when it is committed.
#[derive(Debug)]
pub struct Transaction {
    state: Arc<State>,
    /// The version that what it changes has until it is committed: greater than any before.
    provisional: Version,
    /// Whether all managers read what says only what is different.
    may_amend: bool,
    changes: Vec<AnyChange>,
    bytes: usize,
}

/// What a transaction came to.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) state: Arc<State>,
    pub(crate) changes: Vec<AnyChange>,
    pub(crate) bytes: usize,
}

impl Transaction {
    /// Begins a transaction on a state, at a time, as part of the entry after `base`.
    pub(crate) fn new(state: &Arc<State>, base: u64, time: Timestamp) -> Self {
        let mut state = Arc::clone(state);
        if state.time != time {
            Arc::make_mut(&mut state).time = time;
        }
        let may_amend = state.common_format() >= AMENDING_FORMAT;
        Self { state, provisional: Version(base + 1), may_amend, changes: Vec::new(), bytes: 0 }
    }

    /// The state with the changes made so far.
    pub fn view(&self) -> Snapshot {
        Snapshot(Arc::clone(&self.state))
    }

    /// The leader's time, which what this changes will have.
    pub fn time(&self) -> Timestamp {
        self.state.time
    }

    /// Ends the transaction.
    pub(crate) fn finish(self) -> Result<Changed, SwarmError> {
        if self.bytes > MAX_TRANSACTION_BYTES {
            return Err(SwarmError::invalid(format!(
                "the transaction has {} bytes of changes, the limit is {MAX_TRANSACTION_BYTES}",
                self.bytes
            )));
        }
        Ok(Changed { state: self.state, changes: self.changes, bytes: self.bytes })
    }

    pub(crate) fn create<T: Table>(&mut self, object: T::Object) -> Result<(), SwarmError>
    where
        Tables: AsRef<T> + AsMut<T>,
        AnyChange: From<Change<T>>,
    {
        if self.table::<T>().get(&T::key(&object)).is_some() {
            return Err(SwarmError::new(ErrorKind::AlreadyExists, format!("{} already exists", named::<T>(&object))));
        }
        self.note(Change::<T>::Put(object.clone()));
        self.put::<T>(object);
        Ok(())
    }

    pub(crate) fn update<T: Table>(
        &mut self,
        key: &T::Key,
        version: Option<Version>,
        change: impl FnOnce(&mut T::Object),
    ) -> Result<(), SwarmError>
    where
        Tables: AsRef<T> + AsMut<T>,
        AnyChange: From<Change<T>>,
    {
        let known = self.table::<T>().get(key).ok_or_else(|| missing::<T>(key))?;
        if version.is_some_and(|version| version != T::meta(known).version) {
            return Err(SwarmError::out_of_sequence());
        }
        self.update_checked::<T>(key, |object| {
            change(object);
            Ok(())
        })
    }

    /// Changes an object, unless the closure refuses what it became.
    pub(crate) fn update_checked<T: Table>(
        &mut self,
        key: &T::Key,
        change: impl FnOnce(&mut T::Object) -> Result<(), SwarmError>,
    ) -> Result<(), SwarmError>
    where
        Tables: AsRef<T> + AsMut<T>,
        AnyChange: From<Change<T>>,
    {
        let known = self.table::<T>().get(key).ok_or_else(|| missing::<T>(key))?;
        let mut object = T::Object::clone(known);
        change(&mut object)?;
        *T::meta_mut(&mut object) = T::meta(known).clone();
        if T::key(&object) != *key {
            return Err(SwarmError::internal(format!("{} cannot change its id", named::<T>(known))));
        }
        if object == **known {
            return Ok(());
        }
        let amendment = if self.may_amend { T::Amendment::between(known, &object) } else { None };
        let change = match amendment {
            Some(amendment) => Change::<T>::Amend(key.clone(), amendment),
            None => Change::Put(object.clone()),
        };
        self.note(change);
        self.put::<T>(object);
        Ok(())
    }

    pub(crate) fn remove<T: Table>(&mut self, key: &T::Key) -> Result<(), SwarmError>
    where
        Tables: AsRef<T> + AsMut<T>,
        AnyChange: From<Change<T>>,
    {
        if self.table::<T>().get(key).is_none() {
            return Err(missing::<T>(key));
        }
        self.note(Change::<T>::Remove(key.clone()));
        self.table_mut::<T>().remove(key);
        Ok(())
    }

    fn table<T: Table>(&self) -> &T
    where
        Tables: AsRef<T>,
    {
        self.state.tables.as_ref()
    }

    fn table_mut<T: Table>(&mut self) -> &mut T
    where
        Tables: AsMut<T>,
    {
        Arc::make_mut(&mut self.state).tables.as_mut()
    }

    fn put<T: Table>(&mut self, object: T::Object)
    where
        Tables: AsMut<T>,
    {
        let (version, time) = (self.provisional, self.state.time);
        put(self.table_mut::<T>(), object, version, time);
    }

    fn note(&mut self, change: impl Into<AnyChange>) {
        let change = change.into();
        self.bytes += encoded_length(&change);
        self.changes.push(change);
    }
}

fn named<T: Table>(object: &T::Object) -> String {
    describe::<T>(&T::key(object))
}

fn missing<T: Table>(key: &T::Key) -> SwarmError {
    SwarmError::not_found(format!("{} not found", describe::<T>(key)))
}

/// `node 4x…`, and plain `swarm` where there is only one.
fn describe<T: Table>(key: &T::Key) -> String {
    let key = format!("{key:?}");
    if key == "()" { T::KIND.to_owned() } else { format!("{} {key}", T::KIND) }
}
