//! One connection to a node: TCP, TLS, and the question whether it is the right one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::NodeId;
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::peer::PeerIdentity;
use crate::tls::MANAGER_NAME;

/// How long TCP may take: hosts of a swarm are near, and a caller has other managers to try.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long TLS may take: a frozen process still completes TCP, while a busy one needs time for its signature.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// Who is expected at an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    /// A manager: this one, or any.
    Manager(Option<NodeId>),
    /// This node, whatever its role.
    Member(NodeId),
}

impl Party {
    /// The node that must answer, where it is known.
    fn node(&self) -> Option<&NodeId> {
        match self {
            Self::Manager(node) => node.as_ref(),
            Self::Member(node) => Some(node),
        }
    }

    /// The name that the certificate must carry.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, InvalidDnsNameError> {
        match self {
            Self::Manager(_) => ServerName::try_from(MANAGER_NAME),
            Self::Member(node) => ServerName::try_from(node.to_string()),
        }
    }
}

/// Why there is no connection to a node.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers, or something refuses.
    #[error("failed to reach {addr}")]
    Unreachable {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        #[source]
        source: Arc<io::Error>,
    },
    /// It took too long.
    #[error("{addr} did not answer in time")]
    TimedOut {
        /// The address.
        addr: SocketAddr,
    },
    /// The peer's certificate is not acceptable, or ours is not to the peer.
    #[error("failed to agree on TLS with {addr}")]
    Handshake {
        /// The address.
        addr: SocketAddr,
        /// What TLS says.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another manager answers at the address.
    #[error("{addr} is node `{found}`, not `{expected}`")]
    OtherNode {
        /// The address.
        addr: SocketAddr,
        /// The node expected.
        expected: NodeId,
        /// The node that answers.
        found: NodeId,
    },
    /// The node's connector is gone: it is shutting down.
    #[error("the connection to {addr} is closed for good")]
    Closed {
        /// The address.
        addr: SocketAddr,
    },
}

/// A connection whose peer has been checked.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// Connects to a node and checks it; where it is known which one is expected, that it is this very node.
pub(crate) async fn connect(
    addr: SocketAddr,
    party: &Party,
    config: Arc<ClientConfig>,
) -> Result<Secured, ConnectError> {
    let stream = handshake(addr, party, config).await?;
    let chain: Vec<_> = stream
        .get_ref()
        .1
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .cloned()
        .map(CertificateDer::into_owned)
        .collect();
    if let Some(expected) = party.node() {
        let found = PeerIdentity::of_chain(&chain)
            .map_err(|error| ConnectError::Handshake { addr, source: Arc::new(io::Error::other(error)) })?;
        if found.node_id != *expected {
            return Err(ConnectError::OtherNode { addr, expected: expected.clone(), found: found.node_id });
        }
    }
    Ok(Secured { stream, chain })
}

/// Connects and lets the verifier of the configuration judge the certificate.
pub(crate) async fn handshake(
    addr: SocketAddr,
    party: &Party,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let failed = |source: io::Error| ConnectError::Handshake { addr, source: Arc::new(source) };
    let name = party.server_name().map_err(|error| failed(io::Error::other(error)))?;
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(addr))
        .await
        .map_err(|_| ConnectError::TimedOut { addr })?
        .map_err(|source| ConnectError::Unreachable { addr, source: Arc::new(source) })?;
    stream.set_nodelay(true).map_err(|source| ConnectError::Unreachable { addr, source: Arc::new(source) })?;
    tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsConnector::from(config).connect(name, stream))
        .await
        .map_err(|_| ConnectError::TimedOut { addr })?
        .map_err(failed)
}
