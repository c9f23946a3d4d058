//! Why a phase did not get through.

use std::time::Duration;

use ::reach::ReachError;
use driver::{DriverError, Resource};

use crate::engine::EngineError;
use crate::identity::IdentityError;
use crate::journal::JournalError;
use crate::operator::OperatorError;
use crate::phase::UpgradeError;

/// Why a phase did not get through.
#[derive(Debug, thiserror::Error)]
pub enum PhaseError {
    /// The provider did not do it.
    #[error("failed to {action}")]
    Driver {
        /// What was asked of it.
        action: String,
        /// Why.
        #[source]
        source: DriverError,
    },
    /// A machine did not get through.
    #[error("failed to {action} `{machine}`")]
    Machine {
        /// What was tried.
        action: &'static str,
        /// The machine's name at the provider.
        machine: String,
        /// Why.
        #[source]
        source: Box<PhaseError>,
    },
    /// A host did not do it.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// An agent or the swarm did not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The swarm's identity could not be made or kept.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The journal could not be written, so nothing more was done.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It is not known where the operator comes from.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// An agent may not be upgraded as things are.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    /// A machine has a new host key, and does not show it.
    #[error("it does not show the host key that it has made for itself")]
    HostKey,
    /// A machine that was made does not answer.
    #[error("it has not answered within {} s", timeout.as_secs_f32())]
    Silent {
        /// How long it was given.
        timeout: Duration,
        /// What came of the last attempt.
        #[source]
        source: ReachError,
    },
    /// A machine that was made is gone.
    #[error("its provider has it no more")]
    Vanished,
    /// The provider made a machine that cannot be used.
    #[error("the provider gave it no {what}")]
    Incomplete {
        /// What is missing.
        what: &'static str,
    },
    /// The provider still shows something after all was destroyed.
    #[error("the provider still shows {}", list(left))]
    Left {
        /// What it shows.
        left: Vec<Resource>,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A task of ours died, which is a bug.
    #[error("a task ended unexpectedly")]
    Task(#[from] tokio::task::JoinError),
}

impl PhaseError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Driver { source, .. } => source.hint(),
            Self::Machine { source, .. } => source.hint(),
            Self::Reach(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Operator(error) => Some(error.hint()),
            Self::Upgrade(error) => Some(error.hint()),
            Self::Silent { .. } => Some(
                "see whether its address can be reached from here, and whether --ssh-from names yours; a machine that is \
                 slow to boot is given longer with --boot-timeout"
                    .to_owned(),
            ),
            Self::Vanished => Some("somebody else has removed it, or it was a spot machine; create it again".to_owned()),
            Self::Left { .. } => Some("run `swarmup destroy` again in a while".to_owned()),
            Self::Identity(_)
            | Self::Journal(_)
            | Self::Incomplete { .. }
            | Self::HostKey
            | Self::Interrupted
            | Self::Task(_) => None,
        }
    }

    /// Whether the user asked to stop.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Interrupted | Self::Driver { source: DriverError::Interrupted { .. }, .. } => true,
            Self::Machine { source, .. } => source.is_interruption(),
            Self::Driver { .. }
            | Self::Reach(_)
            | Self::Engine(_)
            | Self::Identity(_)
            | Self::Journal(_)
            | Self::Operator(_)
            | Self::Upgrade(_)
            | Self::HostKey
            | Self::Silent { .. }
            | Self::Vanished
            | Self::Incomplete { .. }
            | Self::Left { .. }
            | Self::Task(_) => false,
        }
    }

    /// Whether a machine or its provider did not answer, and may do so later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Driver { source, .. } => source.is_transient(),
            Self::Machine { source, .. } => source.is_transient(),
            Self::Reach(error) | Self::Silent { source: error, .. } => error.is_transient(),
            Self::Vanished
            | Self::Engine(_)
            | Self::Identity(_)
            | Self::Journal(_)
            | Self::Operator(_)
            | Self::Upgrade(_)
            | Self::HostKey
            | Self::Incomplete { .. }
            | Self::Left { .. }
            | Self::Interrupted
            | Self::Task(_) => false,
        }
    }

    /// Says which machine it was.
    pub(super) fn of_machine(self, action: &'static str, machine: String) -> Self {
        if self.is_interruption() { self } else { Self::Machine { action, machine, source: Box::new(self) } }
    }
}

fn list(left: &[Resource]) -> String {
    left.iter().map(|resource| format!("{} `{}`", resource.kind, resource.name)).collect::<Vec<_>>().join(", ")
}
