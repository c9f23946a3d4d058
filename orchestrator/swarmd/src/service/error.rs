//! Why a service command was refused, and what the user can do about it.

use std::io;
use std::path::{Path, PathBuf};

use links::KernelError;
use model::{ErrorKind, ServiceRefusal, with_causes};

use super::ports::Holder;
use crate::installation::InstallationError;
use crate::layout;

/// Why a service command was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// The caller is not root.
    #[error("`swarmd service` must run as root")]
    NotRoot,
    /// The request is no [`model::InstallRequest`].
    #[error("the request on standard input is not one to install: {reason}")]
    InvalidRequest {
        /// What is wrong with it.
        reason: String,
    },
    /// The host is another cluster's.
    #[error("the host belongs to the cluster `{cluster}` already (mark {mark})")]
    ForeignMark {
        /// The other cluster's name.
        cluster: String,
        /// Its mark.
        mark: String,
    },
    /// There is a node's state on the host that no installation left.
    #[error("the host keeps the state of a swarm node in `{}` that swarmup has not installed", layout::DATA_DIR)]
    UnmarkedState,
    /// The installation cannot be read or written.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// A port that the agent needs is taken.
    #[error("port {port}/{protocol} is taken by {holder}")]
    PortTaken {
        /// The port.
        port: u16,
        /// `tcp` or `udp`.
        protocol: &'static str,
        /// By whom.
        holder: Holder,
    },
    /// The bootstrap file is for another host.
    #[error("the bootstrap file is for {expected}, which this host is not")]
    ForeignBootstrap {
        /// Whom it is for.
        expected: String,
    },
    /// What the node ran cannot be taken away.
    #[error("failed to remove the node's containers")]
    Containers(#[source] Box<engine::EngineOpenError>),
    /// Nothing is installed.
    #[error("no agent is installed on this host")]
    NotInstalled,
    /// The agent does not stay up.
    #[error("the agent does not come up: {how}")]
    AgentFailed {
        /// How it ended.
        how: String,
    },
    /// The agent that was to follow does not come up, and the one before serves again.
    #[error("the agent that was to follow does not come up, and the one before serves again")]
    WentBack {
        /// Why it does not.
        #[source]
        source: Box<ServiceError>,
    },
    /// The supervisor does not answer.
    #[error("failed to reach the agent's supervisor")]
    Supervisor {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program of the host failed.
    #[error("`{command}` failed: {output}")]
    Command {
        /// What was run.
        command: String,
        /// What it said.
        output: String,
    },
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A file or folder could not be made, read or removed.
    #[error("failed to {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl ServiceError {
    /// A failure with a file.
    pub(crate) fn file(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::File { action, path: path.as_ref().to_owned(), source }
    }

    /// What is printed.
    pub(crate) fn refusal(&self) -> ServiceRefusal {
        ServiceRefusal { kind: self.kind(), error: with_causes(self), hint: self.hint() }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotRoot => ErrorKind::PermissionDenied,
            Self::InvalidRequest { .. } | Self::ForeignBootstrap { .. } => ErrorKind::InvalidArgument,
            Self::ForeignMark { .. } | Self::UnmarkedState | Self::PortTaken { .. } => ErrorKind::AlreadyExists,
            Self::NotInstalled => ErrorKind::NotFound,
            Self::AgentFailed { .. } | Self::WentBack { .. } => ErrorKind::Unavailable,
            Self::Installation(_)
            | Self::Supervisor { .. }
            | Self::Command { .. }
            | Self::Kernel(_)
            | Self::Containers(_)
            | Self::File { .. } => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("log in as root, or as a user whom sudo lets run every command".to_owned()),
            Self::ForeignMark { cluster, .. } => {
                Some(format!("destroy the cluster `{cluster}` first, or use another host"))
            }
            Self::UnmarkedState => {
                Some(format!("if nobody needs it, end the agent that uses it and remove `{}`", layout::DATA_DIR))
            }
            Self::PortTaken { .. } => Some("stop what holds the port, or use another host".to_owned()),
            Self::Installation(InstallationError::Parse { .. }) => {
                Some("the host may belong to another cluster; look at the file, then move it away".to_owned())
            }
            Self::AgentFailed { .. } => {
                Some(format!("its log says why: `{}`, or `journalctl -u swarmd`", layout::LOG_DIR))
            }
            Self::WentBack { source } => source.hint(),
            Self::InvalidRequest { .. }
            | Self::Installation(_)
            | Self::ForeignBootstrap { .. }
            | Self::NotInstalled
            | Self::Supervisor { .. }
            | Self::Command { .. }
            | Self::Kernel(_)
            | Self::Containers(_)
            | Self::File { .. } => None,
        }
    }
}
