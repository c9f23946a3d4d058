//! The phases by which a cluster comes up and goes down: one list, walked forward by `create` and `scale`, backward
//! by `destroy`, printed by `plan`.
//!
//! ```text
//!             ┌── once ──┐   ┌─ as they appear ─┐   ┌─ each machine on its own ─┐   ┌──────── once ─────────┐
//! forward     preflight → network → machines ······> reach → install ············> form → verify → leave → retire
//! backward    <·· proves that nothing is left                 <·· uninstalls given machines
//! ```
//!
//! A machine goes on to reach and install as soon as it exists; it waits for the others only where it must know
//! their addresses. Every phase may run twice: it does what the journal says is still to do.

mod console;
mod context;
mod error;
mod expiry;
mod form;
mod host_key;
mod install;
mod leave;
mod machines;
mod network;
mod preflight;
mod reach;
mod rejoin;
mod retire;
mod upgrade;
mod verify;
mod walk;

use async_trait::async_trait;

pub use context::Context;
pub use error::PhaseError;
pub use expiry::extend;
pub use machines::agent_file;
pub use rejoin::{only, rejoin};
pub use upgrade::{Outcome, OutcomeState, UpgradeError, Wish, upgrade};
pub use verify::{unwell, wait_until_missed, wait_until_well};
pub use walk::{Unreachable, Until, backward, forward};

/// Something that is done once for the cluster.
#[async_trait]
pub trait Phase: Sync {
    /// What it does, in two or three words.
    fn title(&self) -> &'static str;

    /// Whether there is anything for it to do.
    fn is_needed(&self, _context: &Context) -> bool {
        true
    }

    /// How many machines it is about, where it is about any.
    fn total(&self, _context: &Context) -> Option<usize> {
        None
    }

    /// Does it; harmless where it was done before.
    async fn apply(&self, context: &Context) -> Result<(), PhaseError>;

    /// What undoing it is called; absent where there is nothing to undo.
    fn undo_title(&self) -> Option<&'static str> {
        None
    }

    /// Undoes it; harmless where it was undone before, or never done.
    async fn undo(&self, _context: &Context) -> Result<(), PhaseError> {
        Ok(())
    }

    /// Whether nothing is charged any more once it was undone.
    fn is_free_after(&self, _context: &Context) -> bool {
        false
    }
}

/// Something that is done for each machine, whenever that machine is ready for it.
#[async_trait]
pub trait MachinePhase: Sync {
    /// What it does, in two or three words.
    fn title(&self) -> &'static str;

    /// Does it for one machine.
    async fn apply(&self, context: &Context, work: &mut Work) -> Result<(), PhaseError>;

    /// What undoing it is called; absent where there is nothing to undo.
    fn undo_title(&self) -> Option<&'static str> {
        None
    }

    /// Undoes it for all machines.
    async fn undo(&self, _context: &Context) -> Result<(), PhaseError> {
        Ok(())
    }
}

/// One machine on its way through the phases.
#[derive(Debug)]
pub struct Work {
    /// Its number.
    pub number: u32,
    /// What the provider made.
    pub instance: driver::Instance,
    /// The session, from reach on.
    pub session: Option<std::sync::Arc<dyn ::reach::Session>>,
}

/// A phase in the list.
#[derive(Clone, Copy)]
pub enum Entry {
    /// Once for the cluster.
    Once(&'static dyn Phase),
    /// The one that makes machines and hands them on as they appear.
    Machines(&'static machines::Machines),
    /// For each machine that appears.
    Each(&'static dyn MachinePhase),
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.title())
    }
}

impl Entry {
    /// What the phase does, in two or three words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Once(phase) => phase.title(),
            Self::Machines(_) => machines::TITLE,
            Self::Each(phase) => phase.title(),
        }
    }

    /// Whether nothing is charged any more once it was undone: the machines are what costs.
    fn is_free_after(self, context: &Context) -> bool {
        match self {
            Self::Once(phase) => phase.is_free_after(context),
            Self::Machines(_) => !context.driver.capabilities().removes_machines_with_network,
            Self::Each(_) => false,
        }
    }
}

/// The list.
pub static PHASES: &[Entry] = &[
    Entry::Once(&preflight::Preflight),
    Entry::Once(&network::Network),
    Entry::Machines(&machines::Machines),
    Entry::Each(&reach::Reach),
    Entry::Each(&install::Install),
    Entry::Once(&form::Form),
    Entry::Once(&verify::Verify),
    Entry::Once(&leave::Leave),
    Entry::Once(&retire::Retire),
];
