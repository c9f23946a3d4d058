//! What is installed on the machines and formed into a swarm.
//!
//! The phases know this contract only: [`Engine`] puts an agent on a host, [`Swarm`] is the whole that the agents
//! form, as an operator sees it. `swarmd` is the bundled orchestrator; `memory` stands in for it on machines that
//! exist in memory only, and says so in every answer.

mod api;
mod images;
mod membership;
mod memory;
mod swarm;
mod swarmd;
mod upgrade;

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use model::{Bootstrap, LeaseTerms, NodeId, Role};
use reach::{ReachError, ServiceError, Session};

pub(crate) use api::refusal;
pub use memory::Memory;
pub use swarm::{JoinTicket, ManagerStanding, Swarm, SwarmNode};
pub use swarmd::Swarmd;
pub use upgrade::{Settling, Staged};

use crate::bundle::BundleError;
use crate::journal::Journal;

/// Why an agent or a swarm did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no agent to install.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The host did not do it.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The agent's service did not do it.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The files by which the API is used are missing or damaged.
    #[error("failed to use the client certificate in `{}`", folder.display())]
    Credentials {
        /// The cluster's folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No manager answered.
    #[error("no manager answers")]
    NoManager {
        /// What the last one said, where one said anything.
        #[source]
        source: Option<Box<EngineError>>,
    },
    /// A manager could not be spoken to.
    #[error("manager at {address} does not answer")]
    Connection {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The swarm refused, in its own words.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The answer is not what it should be.
    #[error("failed to understand the answer to `{request}`")]
    Answer {
        /// What was asked.
        request: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What answers is another swarm.
    #[error("what answers is swarm {found}, not {expected}")]
    OtherSwarm {
        /// The swarm of this cluster.
        expected: String,
        /// The one that answered.
        found: String,
    },
    /// It took too long.
    #[error("{what} after {} s", timeout.as_secs())]
    TimedOut {
        /// What is still not so.
        what: String,
        /// How long it was waited for.
        timeout: Duration,
    },
}

impl EngineError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bundle(error) => error.hint(),
            Self::Reach(error) => error.hint(),
            Self::Service(error) => error.hint(),
            Self::NoManager { .. } if self.is_about_time() => Some(
                "the clocks of this workstation and of the machines seem to differ by more than the hour that certificates \
                 forgive: compare them, and set the one that is wrong, such as with `timedatectl set-ntp true`"
                    .to_owned(),
            ),
            Self::NoManager { .. } => Some("look at a manager's log with `swarmup logs NODE`".to_owned()),
            Self::Refused { .. } if self.is_without_leader() => Some(
                "start managers that are stopped with `swarmup node start NODE`; if too many are lost for good, let one \
                 that is left go on alone: `eval \"$(swarmup env --node NODE)\"`, then `docker swarm init \
                 --force-new-cluster`"
                    .to_owned(),
            ),
            Self::Credentials { .. }
            | Self::Connection { .. }
            | Self::Refused { .. }
            | Self::Answer { .. }
            | Self::OtherSwarm { .. }
            | Self::TimedOut { .. } => None,
        }
    }

    /// Whether the swarm says that there is no such node.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the swarm refuses because too few managers would be left that answer.
    pub fn is_loss_of_quorum(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("loss of quorum"))
    }

    /// Whether the managers that answer are too few to decide anything.
    pub fn is_without_leader(&self) -> bool {
        const WORDS: [&str; 2] = ["The swarm does not have a leader", "has trouble connecting to the cluster"];
        matches!(self, Self::Refused { status: 503, message } if WORDS.iter().any(|words| message.contains(words)))
    }

    /// Whether one side takes the other's certificate for one of another time.
    fn is_about_time(&self) -> bool {
        const WORDS: [&str; 3] = ["CertificateExpired", "certificate expired", "certificate not valid yet"];
        let text = model::with_causes(self);
        WORDS.iter().any(|words| text.contains(words))
    }

    /// Whether somebody else changed the object in between.
    pub fn is_out_of_sequence(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.ends_with("update out of sequence"))
    }
}

/// A host on which an agent is installed or runs.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// The session with it.
    pub session: &'a dyn Session,
    /// The cluster's mark.
    pub mark: &'a str,
    /// The cluster's name.
    pub cluster_name: &'a str,
    /// The node's host name.
    pub hostname: &'a str,
    /// The address by which the other members reach it.
    pub address: IpAddr,
    /// The node that it was when it was last asked.
    pub known_as: Option<&'a NodeId>,
    /// Its architecture as `uname -m` names it, where the provider knows.
    pub arch: Option<&'a str>,
    /// Whether the machine was started with the agent's binary in its place.
    pub has_agent: bool,
    /// The lease by which the node stays; absent where nobody need hold one.
    pub lease: Option<LeaseTerms>,
}

/// Puts agents on hosts.
#[async_trait]
pub trait Engine: Debug + Send + Sync {
    /// An error where there is no agent at all. Called before anything is made.
    fn check_agent(&self) -> Result<(), EngineError>;

    /// The agent as a file of this workstation, for providers whose machines start with it.
    fn agent_file(&self) -> Result<Option<PathBuf>, EngineError>;

    /// Puts the agent's binary on a host; what is there already is not sent.
    async fn deliver(&self, host: &Host<'_>) -> Result<(), EngineError>;

    /// Installs and starts the agent that was delivered, with an identity where the swarm is new. May be repeated.
    async fn install(&self, host: &Host<'_>, bootstrap: Option<Bootstrap>) -> Result<(), EngineError>;

    /// The node that the agent on a host is; nothing where it is in no swarm.
    async fn membership(&self, host: &Host<'_>) -> Result<Option<NodeId>, EngineError>;

    /// Lets the agent on a host join by token, and returns the node that it became.
    async fn join(&self, host: &Host<'_>, ticket: &JoinTicket) -> Result<NodeId, EngineError>;

    /// Removes the agent and all that it started; a host without one is no error.
    async fn uninstall(&self, session: &dyn Session, mark: &str) -> Result<(), EngineError>;

    /// Starts the agent and waits until it serves.
    async fn start(&self, session: &dyn Session) -> Result<(), EngineError>;

    /// Stops the agent and all that it started.
    async fn stop(&self, session: &dyn Session) -> Result<(), EngineError>;

    /// Puts the agent at hand beside the one on a host and has it say what it is; the one before serves on.
    async fn stage(&self, host: &Host<'_>) -> Result<Staged, EngineError>;

    /// Lets the agent that was staged take over; it serves when this returns, and containers have run on.
    async fn switch(&self, host: &Host<'_>) -> Result<(), EngineError>;

    /// Takes away an agent that was staged; none is no error.
    async fn unstage(&self, host: &Host<'_>) -> Result<(), EngineError>;

    /// How far the agent on a host has got back into its swarm, in its role.
    async fn settling(&self, host: &Host<'_>, role: Role) -> Result<Settling, EngineError>;

    /// The line of shell that shows the agent's log.
    fn log_command(&self, lines: u32, follow: bool) -> String;

    /// The swarm of a cluster, by way of its managers.
    fn swarm(&self, journal: &Journal, folder: &Path) -> Result<Box<dyn Swarm>, EngineError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_takes_us_for_somebody_of_another_time_has_the_clocks_compared() {
        let check = |cause: &str, expected: bool| {
            let address = "192.0.2.1:2376".parse().unwrap();
            let connection = EngineError::Connection { address, source: cause.into() };
            let hint = EngineError::NoManager { source: Some(Box::new(connection)) }.hint().unwrap();
            assert_eq!(hint.contains("clocks"), expected, "{cause}: {hint}");
        };

        check("received fatal alert: CertificateExpired", true);
        check("invalid peer certificate: certificate not valid yet: verification time 1", true);
        check("connection refused", false);
    }

    #[test]
    fn without_a_leader_the_hint_names_the_way_on() {
        let check = |status: u16, message: &str, expected: bool| {
            let error = EngineError::Refused { status, message: message.to_owned() };
            let names_it = error.hint().is_some_and(|hint| hint.contains("docker swarm init --force-new-cluster"));
            assert_eq!(names_it, expected, "{status} {message}");
        };
        let being_prepared = "This node is not a swarm manager. Manager is being prepared or has trouble connecting to \
                              the cluster.";

        check(503, &model::SwarmError::no_leader().message, true);
        check(503, being_prepared, true);
        check(503, "This node is not a swarm manager. Worker nodes can't be used", false);
        check(404, "node x not found", false);
    }
}
