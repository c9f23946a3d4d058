//! SSH in this process, by russh: one connection a host, a channel a command.
//!
//! A pinned host key must be shown again; without a pin the first key is accepted and handed back to be pinned.

mod channel;
mod login;
mod pace;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use driver::SshAccess;
use russh::cipher;
use russh::client::{self, Handle};
use russh::keys::{HashAlg, PublicKey, PublicKeyOrCertificate};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time;

use crate::process::Process;
use crate::remote::{Carrier, Remote};
use crate::{Dialer, Duplex, ForwardTarget, ReachError};

/// How often a silent host is asked whether it lives.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// After how many unanswered questions it counts as gone.
const KEEPALIVE_MAX: usize = 3;
/// How many channels are open at once: sshd allows ten a connection (`MaxSessions`).
const MAX_CHANNELS: usize = 8;

/// An SSH connection, logged in.
pub(crate) struct Ssh {
    peer: String,
    user: String,
    host_key: String,
    handle: Handle<HostKeyCheck>,
    channels: Arc<Semaphore>,
    /// Whether we have said good-bye; the connection ends a moment later.
    is_left: AtomicBool,
}

/// Connects and logs in.
pub(crate) async fn connect(dialer: &Dialer, access: &SshAccess) -> Result<Remote<Ssh>, ReachError> {
    let peer = name_of(access);
    let pin = access.host_key.as_deref().map(Pin::parse).transpose()?;
    let config = Arc::new(config(pin.as_ref()));
    let offered = Arc::new(OnceLock::new());
    let check = HostKeyCheck { pin: pin.clone(), offered: Arc::clone(&offered) };

    let connecting = async {
        let stream =
            TcpStream::connect((access.host.as_str(), access.port)).await.map_err(|error| refusal(&peer, error))?;
        client::connect_stream(config, stream, check)
            .await
            .map_err(|error| mismatch(&peer, pin.as_ref(), &offered, error))
    };
    let mut handle = time::timeout(dialer.connect_timeout, connecting).await.map_err(|_| ReachError::TimedOut {
        peer: peer.clone(),
        action: "connect",
        timeout: dialer.connect_timeout,
    })??;

    let login = login::log_in(&mut handle, &peer, access, dialer.agent_socket.as_deref());
    time::timeout(dialer.login_timeout, login).await.map_err(|_| ReachError::TimedOut {
        peer: peer.clone(),
        action: "log in",
        timeout: dialer.login_timeout,
    })??;

    let host_key = offered.get().and_then(|key: &PublicKey| key.to_openssh().ok()).unwrap_or_default();
    let channels = Arc::new(Semaphore::new(MAX_CHANNELS));
    Ok(Remote::new(Ssh {
        peer,
        user: access.user.clone(),
        host_key,
        handle,
        channels,
        is_left: AtomicBool::new(false),
    }))
}

/// The fingerprint (`SHA256:…`) of an OpenSSH public key, as `ssh-keygen -l` prints it.
pub fn fingerprint(public_key: &str) -> Option<String> {
    PublicKey::from_openssh(public_key.trim()).ok().map(|key| fingerprint_of(&key))
}

fn fingerprint_of(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn name_of(access: &SshAccess) -> String {
    if access.host.contains(':') {
        format!("{}@[{}]:{}", access.user, access.host, access.port)
    } else {
        format!("{}@{}:{}", access.user, access.host, access.port)
    }
}

fn config(pin: Option<&Pin>) -> client::Config {
    let mut config = client::Config {
        keepalive_interval: Some(KEEPALIVE_INTERVAL),
        keepalive_max: KEEPALIVE_MAX,
        nodelay: true,
        ..client::Config::default()
    };
    // Most processors have instructions for AES: an upload costs both sides less than half of what ChaCha20 costs.
    let mut ciphers = config.preferred.cipher.to_vec();
    ciphers.sort_by_key(|cipher| *cipher != cipher::AES_256_GCM);
    config.preferred.cipher = Cow::Owned(ciphers);
    // A host has keys of several kinds: it must show the one that is pinned, not the one it likes best.
    if let Some(Pin::Key(key)) = pin {
        let is_same_kind = |algorithm: &&russh::keys::Algorithm| {
            std::mem::discriminant(*algorithm) == std::mem::discriminant(&key.algorithm())
        };
        let kept: Vec<_> = config.preferred.key.iter().filter(is_same_kind).cloned().collect();
        if !kept.is_empty() {
            config.preferred.key = Cow::Owned(kept);
        }
    }
    config
}

/// What the host must show.
#[derive(Debug, Clone)]
enum Pin {
    Key(Box<PublicKey>),
    Fingerprint(String),
}

impl Pin {
    fn parse(text: &str) -> Result<Self, ReachError> {
        let text = text.trim();
        if text.starts_with("SHA256:") {
            return Ok(Self::Fingerprint(text.trim_end_matches('=').to_owned()));
        }
        PublicKey::from_openssh(text)
            .map(|key| Self::Key(Box::new(key)))
            .map_err(|_| ReachError::InvalidHostKey { text: text.to_owned() })
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Key(key) => fingerprint_of(key),
            Self::Fingerprint(text) => text.clone(),
        }
    }
}

/// Compares the key that the host shows with the pin, and remembers it.
#[derive(Debug)]
pub(crate) struct HostKeyCheck {
    pin: Option<Pin>,
    offered: Arc<OnceLock<PublicKey>>,
}

impl client::Handler for HostKeyCheck {
    type Error = russh::Error;

    async fn check_server_key(&mut self, server: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let key = server.public_key();
        let is_expected = self.pin.as_ref().is_none_or(|pin| pin.fingerprint() == fingerprint_of(&key));
        // A later key exchange must show the same key as the first.
        let first = self.offered.get_or_init(|| key.clone());
        Ok(is_expected && first.key_data() == key.key_data())
    }
}

fn mismatch(peer: &str, pin: Option<&Pin>, offered: &OnceLock<PublicKey>, error: russh::Error) -> ReachError {
    if let (Some(pin), Some(offered)) = (pin, offered.get()) {
        let (expected, offered) = (pin.fingerprint(), fingerprint_of(offered));
        if expected != offered {
            return ReachError::HostKeyChanged { peer: peer.to_owned(), expected, offered };
        }
    }
    if let (Some(pin), russh::Error::NoCommonAlgo { theirs, .. }) = (pin, &error) {
        // The host has no key of the pinned kind any more.
        return ReachError::HostKeyChanged {
            peer: peer.to_owned(),
            expected: pin.fingerprint(),
            offered: format!("keys of other kinds only ({})", theirs.join(", ")),
        };
    }
    if matches!(error, russh::Error::Disconnect | russh::Error::HUP) {
        let source = io::Error::new(io::ErrorKind::ConnectionReset, "the host closed the connection at once");
        return ReachError::Unreachable { peer: peer.to_owned(), source };
    }
    if let russh::Error::IO(source) = error {
        return refusal(peer, source);
    }
    broken(peer, error)
}

fn refusal(peer: &str, error: io::Error) -> ReachError {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return ReachError::Refused { peer: peer.to_owned() };
    }
    ReachError::Unreachable { peer: peer.to_owned(), source: error }
}

fn broken(peer: &str, error: russh::Error) -> ReachError {
    ReachError::Disconnected { peer: peer.to_owned(), source: Box::new(error) }
}

#[async_trait]
impl Carrier for Ssh {
    fn peer(&self) -> &str {
        &self.peer
    }

    fn host_key(&self) -> Option<&str> {
        Some(&self.host_key)
    }

    fn is_root(&self) -> bool {
        self.user == "root"
    }

    async fn start(&self, script: &str) -> Result<Process, ReachError> {
        channel::start(self, script).await
    }

    async fn interact(&self, script: Option<&str>, has_terminal: bool) -> Result<i32, ReachError> {
        channel::interact(self, script, has_terminal).await
    }

    async fn forward(&self, target: &ForwardTarget) -> Result<Box<dyn Duplex>, ReachError> {
        let opened = match target {
            ForwardTarget::Tcp { host, port } => {
                self.handle.channel_open_direct_tcpip(host.as_str(), u32::from(*port), "127.0.0.1", 0).await
            }
            ForwardTarget::Unix { path } => self.handle.channel_open_direct_streamlocal(path.as_str()).await,
        };
        Ok(Box::new(opened.map_err(|error| broken(&self.peer, error))?.into_stream()))
    }

    fn is_open(&self) -> bool {
        !self.is_left.load(Ordering::Relaxed) && !self.handle.is_closed()
    }

    async fn close(&self) {
        self.is_left.store(true, Ordering::Relaxed);
        // Where the host is gone already there is nobody to say good-bye to.
        let _ = self.handle.disconnect(russh::Disconnect::ByApplication, "done", "en").await;
    }
}

impl fmt::Debug for Ssh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ssh").field("peer", &self.peer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_hosts_are_named_in_brackets() {
        let access =
            SshAccess { host: "fd00::1".into(), port: 22, user: "root".into(), key_file: None, host_key: None };

        assert_eq!(name_of(&access), "root@[fd00::1]:22");
    }

    #[test]
    fn a_pin_is_a_key_or_a_fingerprint() {
        let key = crate::SshKeyPair::generate("h").public;

        let by_key = Pin::parse(&key).unwrap();
        let by_fingerprint = Pin::parse(&fingerprint(&key).unwrap()).unwrap();

        assert_eq!(by_key.fingerprint(), by_fingerprint.fingerprint());
        assert!(matches!(Pin::parse("ssh-ed25519 oops"), Err(ReachError::InvalidHostKey { .. })));
    }
}
