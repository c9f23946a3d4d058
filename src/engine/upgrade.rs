//! How an agent takes over from the one before it on a host: beside it, proved to run, then in its place.
//!
//! ```text
//! stage     upload beside -> have it say its version            the agent before it serves on
//! switch    the new one installs itself and is started          containers run on: their shims are adopted
//! settled   in session with its swarm; a manager reads what the swarm has decided
//! ```
//! Each step may be repeated, whatever came of the last attempt. What tells two agents apart is the digest of the
//! binary: two builds may carry one version.

use std::collections::BTreeMap;

use model::{Bootstrap, InstallRequest, Role};
use reach::{Command, NEXT_AGENT_PATH, ReachError, ServiceError, Session, Upload};
use serde::Deserialize;

use super::membership::{Standing, standing};
use super::swarmd::Swarmd;
use super::{EngineError, Host};
use crate::template;

/// An agent that is to run on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Its version.
    pub version: String,
    /// The SHA-256 of its binary, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Whether the host runs it already, so that nothing was sent and nothing need be switched.
    pub is_running: bool,
}

/// How far an agent has got back into its swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settling {
    /// It is a member in session, and as a manager it has all that was decided.
    Done,
    /// Not yet, and why.
    NotYet(String),
    /// It waits for the unlock key; the words name the way.
    Locked(String),
}

/// What `swarmd version --output json` prints.
#[derive(Debug, Deserialize)]
struct VersionAnswer {
    version: String,
}

impl Swarmd {
    /// See [`Engine::stage`](super::Engine::stage).
    pub(super) async fn stage_on(&self, host: &Host<'_>) -> Result<Staged, EngineError> {
        let agent = self.agent(&self.arch(host).await?).await?;
        match reach::service::status(host.session).await {
            Ok(report) if report.running_sha256.as_ref() == Some(&agent.sha256) => {
                // A run that was cut short may have left the one before.
                unstage(host.session).await?;
                return Ok(Staged { version: report.version, sha256: agent.sha256, is_running: true });
            }
            // An agent that is missing, or that cannot tell, is another one.
            Ok(_) | Err(ServiceError::NotInstalled { .. } | ServiceError::Refused { .. }) => {}
            Err(error @ ServiceError::Reach(_)) => return Err(error.into()),
        }
        let upload = Upload::gzip(NEXT_AGENT_PATH, 0o755, agent.gzip, agent.sha256.clone());
        host.session.upload(&upload).await?;
        match staged_version(host.session).await {
            Ok(version) => Ok(Staged { version, sha256: agent.sha256, is_running: false }),
            Err(error) => {
                unstage(host.session).await?;
                Err(error)
            }
        }
    }

    /// See [`Engine::settling`](super::Engine::settling).
    pub(super) async fn settling_on(&self, host: &Host<'_>, role: Role) -> Result<Settling, EngineError> {
        match standing(&self.call(host, "GET", "/info", "").await?)? {
            Standing::Locked(words) => return Ok(Settling::Locked(words)),
            Standing::Other(state) => return Ok(Settling::NotYet(format!("it is {state}"))),
            Standing::Active => {}
        }
        if role == Role::Manager {
            // Answered from its own store, once that holds all that the leader had decided when it was asked.
            self.call(host, "GET", "/nodes", "").await?;
        }
        Ok(Settling::Done)
    }
}

/// What a host is told that is to run the agent.
pub(super) fn request(host: &Host<'_>, bootstrap: Option<Bootstrap>) -> InstallRequest {
    InstallRequest {
        mark: host.mark.to_owned(),
        cluster_name: host.cluster_name.to_owned(),
        hostname: host.hostname.to_owned(),
        unit: Some(template::systemd_unit(host.cluster_name, host.hostname)),
        labels: BTreeMap::new(),
        bootstrap,
        lease: host.lease,
    }
}

/// Has an agent that was staged say its version: one that is for another host cannot.
async fn staged_version(session: &dyn Session) -> Result<String, EngineError> {
    let command = Command::argv([NEXT_AGENT_PATH, "version", "--output", "json"]).as_root();
    let output = session.run(&command).await?.expect_success(session.peer(), &command)?;
    let text = output.text();
    let answer: VersionAnswer = serde_json::from_str(&text).map_err(|_| ReachError::BadAnswer {
        peer: session.peer().to_owned(),
        action: "tell the version of",
        answer: text.chars().take(200).collect(),
    })?;
    Ok(answer.version)
}

/// Takes away an agent that was staged and is not wanted; none is fine.
pub(super) async fn unstage(session: &dyn Session) -> Result<(), EngineError> {
    let command = Command::argv(["rm", "-f", NEXT_AGENT_PATH]).as_root();
    session.run(&command).await?.expect_success(session.peer(), &command)?;
    Ok(())
}
