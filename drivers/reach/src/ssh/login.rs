//! Logging in: by a key file, else by the keys that the agent holds.

use std::path::Path;
use std::sync::Arc;

use driver::SshAccess;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::{AgentClient, AgentStream};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};

use super::{HostKeyCheck, broken};
use crate::ReachError;

/// How many of the agent's keys are tried: sshd hangs up at the sixth (`MaxAuthTries`).
const MAX_AGENT_KEYS: usize = 5;

type Agent = AgentClient<Box<dyn AgentStream + Send + Unpin>>;

/// Logs in; afterwards channels may be opened.
pub(super) async fn log_in(
    handle: &mut Handle<HostKeyCheck>,
    peer: &str,
    access: &SshAccess,
    agent_socket: Option<&Path>,
) -> Result<(), ReachError> {
    match &access.key_file {
        Some(path) => by_file(handle, peer, &access.user, path).await,
        None => by_agent(handle, peer, &access.user, agent_socket).await,
    }
}

async fn by_file(handle: &mut Handle<HostKeyCheck>, peer: &str, user: &str, path: &Path) -> Result<(), ReachError> {
    let key = Arc::new(read_key(path).await?);
    let hash = rsa_hash(handle, peer, key.algorithm().is_rsa()).await?;
    let result = handle
        .authenticate_publickey(user, PrivateKeyWithHashAlg::new(key, hash))
        .await
        .map_err(|error| broken(peer, error))?;
    match result {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { .. } => {
            Err(ReachError::Unauthorized { peer: peer.to_owned(), tried: path.display().to_string() })
        }
    }
}

async fn read_key(path: &Path) -> Result<PrivateKey, ReachError> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|source| ReachError::KeyUnreadable { path: path.to_owned(), source: Box::new(source) })?;
    decode_secret_key(&text, None).map_err(|error| {
        if matches!(error, russh::keys::Error::KeyIsEncrypted) {
            return ReachError::KeyEncrypted { path: path.to_owned() };
        }
        ReachError::KeyUnreadable { path: path.to_owned(), source: Box::new(error) }
    })
}

/// The best hash that the host takes for RSA signatures: without it SHA-1 would be tried, and refused.
async fn rsa_hash(handle: &Handle<HostKeyCheck>, peer: &str, is_rsa: bool) -> Result<Option<HashAlg>, ReachError> {
    if !is_rsa {
        return Ok(None);
    }
    let best = handle.best_supported_rsa_hash().await.map_err(|error| broken(peer, error))?;
    // A host that does not say takes SHA-256 where it is younger than 2016.
    Ok(best.unwrap_or(Some(HashAlg::Sha256)))
}

async fn by_agent(
    handle: &mut Handle<HostKeyCheck>,
    peer: &str,
    user: &str,
    socket: Option<&Path>,
) -> Result<(), ReachError> {
    let no_key = |reason: String| ReachError::NoKey { peer: peer.to_owned(), reason };
    let mut agent = open_agent(socket).await.map_err(no_key)?;
    let identities = agent.request_identities().await.map_err(|error| no_key(format!("the agent failed: {error}")))?;
    if identities.is_empty() {
        return Err(no_key("the agent holds no keys".to_owned()));
    }
    let mut tried = Vec::new();
    for identity in identities.into_iter().take(MAX_AGENT_KEYS) {
        let is_rsa = identity.public_key().algorithm().is_rsa();
        let hash = rsa_hash(handle, peer, is_rsa).await?;
        tried.push(identity.comment().to_owned());
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                handle.authenticate_publickey_with(user, key, hash, &mut agent).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                handle.authenticate_certificate_with(user, certificate, hash, &mut agent).await
            }
        };
        match result {
            Ok(AuthResult::Success) => return Ok(()),
            // The next key may do: this one is not known, or the agent does not sign with it.
            Ok(AuthResult::Failure { .. }) | Err(_) if !handle.is_closed() => {}
            Ok(AuthResult::Failure { .. }) | Err(_) => break,
        }
    }
    Err(ReachError::Unauthorized { peer: peer.to_owned(), tried: format!("the agent's: {}", tried.join(", ")) })
}

#[cfg(unix)]
async fn open_agent(socket: Option<&Path>) -> Result<Agent, String> {
    let Some(socket) = socket else {
        return Err("no key file is named and no agent runs".to_owned());
    };
    match AgentClient::connect_uds(socket).await {
        Ok(agent) => Ok(agent.dynamic()),
        Err(error) => Err(format!("the agent at `{}` does not answer: {error}", socket.display())),
    }
}

#[cfg(windows)]
async fn open_agent(socket: Option<&Path>) -> Result<Agent, String> {
    /// Where Windows' own OpenSSH agent listens.
    const PIPE: &str = r"\\.\pipe\openssh-ssh-agent";
    let pipe = socket.unwrap_or(Path::new(PIPE));
    match AgentClient::connect_named_pipe(pipe).await {
        Ok(agent) => Ok(agent.dynamic()),
        Err(error) => Err(format!("the agent at `{}` does not answer: {error}", pipe.display())),
    }
}
