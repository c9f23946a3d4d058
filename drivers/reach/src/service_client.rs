//! Talking to `swarmd service …` on a host: JSON in, a report or a refusal out.

use std::time::Duration;

use model::{ErrorKind, InstallRequest, ServiceRefusal, ServiceReport};

use crate::{Command, Output, ReachError, Session};

/// Where the agent's binary lies on a host.
pub const AGENT_PATH: &str = "/usr/local/bin/swarmd";
/// Where the binary of the agent that is to follow lies beside it, until it has taken its place.
pub const NEXT_AGENT_PATH: &str = "/usr/local/bin/swarmd.next";
/// How long the agent may take to start, stop or go.
const SERVICE_TIMEOUT: Duration = Duration::from_mins(1);

/// How long an agent may take to follow another, and that one to serve again where it does not come up.
const SUCCESSION_TIMEOUT: Duration = Duration::from_mins(3);

/// Why the agent's service did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The host could not be asked.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The host was asked and refused.
    #[error("{peer} refused to {action} the agent: {}", refusal.error)]
    Refused {
        /// Who.
        peer: String,
        /// What it was asked.
        action: &'static str,
        /// What it said.
        refusal: ServiceRefusal,
    },
    /// There is no agent on the host.
    #[error("there is no agent on {peer}")]
    NotInstalled {
        /// Where.
        peer: String,
    },
}

impl ServiceError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Reach(error) => error.hint(),
            Self::Refused { refusal, .. } => refusal.hint.clone(),
            Self::NotInstalled { .. } => None,
        }
    }
}

/// Installs and starts the agent; its binary is on the host already.
pub async fn install(session: &dyn Session, request: &InstallRequest) -> Result<ServiceReport, ServiceError> {
    let body = serde_json::to_vec(request).expect("a request has string keys and no value that JSON lacks");
    ask(session, "install", Command::argv([AGENT_PATH, "service", "install"]).stdin(body)).await
}

/// Puts the agent that lies beside the installed one in its place, and lets it take over; it serves when this returns. Where
/// it does not come up the one before serves again. It does so by its own means: nothing is asked of a version before it.
pub async fn succeed(session: &dyn Session, request: &InstallRequest) -> Result<ServiceReport, ServiceError> {
    let body = serde_json::to_vec(request).expect("a request has string keys and no value that JSON lacks");
    let command = Command::argv([NEXT_AGENT_PATH, "service", "install"]).stdin(body);
    ask_within(SUCCESSION_TIMEOUT, session, "upgrade", command).await
}

/// Starts the agent and waits until it serves.
pub async fn start(session: &dyn Session) -> Result<ServiceReport, ServiceError> {
    ask(session, "start", Command::argv([AGENT_PATH, "service", "start"])).await
}

/// Stops the agent and all that it started.
pub async fn stop(session: &dyn Session) -> Result<ServiceReport, ServiceError> {
    ask(session, "stop", Command::argv([AGENT_PATH, "service", "stop"])).await
}

/// Stops and starts the agent.
pub async fn restart(session: &dyn Session) -> Result<ServiceReport, ServiceError> {
    ask(session, "restart", Command::argv([AGENT_PATH, "service", "restart"])).await
}

/// Says who runs the agent and whether it runs.
pub async fn status(session: &dyn Session) -> Result<ServiceReport, ServiceError> {
    ask(session, "describe", Command::argv([AGENT_PATH, "service", "status"])).await
}

/// Stops the agent and removes all that belongs to it; a host that carries another mark refuses.
pub async fn remove(session: &dyn Session, mark: &str) -> Result<ServiceReport, ServiceError> {
    ask(session, "remove", Command::argv([AGENT_PATH, "service", "remove", "--mark", mark])).await
}

async fn ask(session: &dyn Session, action: &'static str, command: Command) -> Result<ServiceReport, ServiceError> {
    ask_within(SERVICE_TIMEOUT, session, action, command).await
}

async fn ask_within(
    timeout: Duration,
    session: &dyn Session,
    action: &'static str,
    command: Command,
) -> Result<ServiceReport, ServiceError> {
    let command = command.as_root().timeout(timeout);
    let output = session.run(&command).await?;
    understand(session.peer(), action, &command, output)
}

fn understand(
    peer: &str,
    action: &'static str,
    command: &Command,
    output: Output,
) -> Result<ServiceReport, ServiceError> {
    // A shell says 127 where there is no such program, sudo says 1.
    let is_missing = output.status == 127 || (output.status == 1 && output.error_text().contains("command not found"));
    if is_missing {
        return Err(ServiceError::NotInstalled { peer: peer.to_owned() });
    }
    // A login script may print before the answer does: the answer is the last line that is an object.
    let text = output.text();
    let answer = text.lines().rev().find(|line| line.starts_with('{')).unwrap_or_default();
    if output.is_success() {
        return serde_json::from_str(answer)
            .map_err(|_| ReachError::BadAnswer { peer: peer.to_owned(), action, answer: cut(&text) }.into());
    }
    match serde_json::from_str(answer) {
        Ok(ServiceRefusal { kind: ErrorKind::NotFound, .. }) => {
            Err(ServiceError::NotInstalled { peer: peer.to_owned() })
        }
        Ok(refusal) => Err(ServiceError::Refused { peer: peer.to_owned(), action, refusal }),
        Err(_) => match output.expect_success(peer, command) {
            Err(error) => Err(error.into()),
            Ok(_) => unreachable!("success was handled above"),
        },
    }
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}
