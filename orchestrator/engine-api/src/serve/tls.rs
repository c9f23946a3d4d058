//! TLS on 2376: this node's server certificate, and the one authority whose clients may come in.
//!
//! The swarm's own root is not among those trusted here, so a node certificate opens nothing.

use std::sync::Arc;
use std::time::Duration;

use ca::{CertificateError, certificate_chain, certificate_der, private_key_der};
use node::ApiTls;
use rustls::crypto::ring;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::api::Peer;

/// How long a client may take to prove who it is.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsSettingsError {
    #[error("a certificate or key is malformed")]
    Malformed(#[from] CertificateError),
    #[error("the client authority cannot be used")]
    ClientAuthority(#[from] VerifierBuilderError),
    #[error("the server certificate cannot be used")]
    Server(#[from] rustls::Error),
}

/// Why a client was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the handshake took too long")]
    TimedOut,
    #[error("the handshake failed")]
    Tls(#[from] std::io::Error),
    #[error("the client's certificate names nobody")]
    Nameless,
}

/// Lets clients in, by one state of the settings.
#[derive(Clone)]
pub(super) struct Gate {
    acceptor: TlsAcceptor,
    client_ca: String,
    /// Ends the connections that came in by this gate.
    pub(super) closing: CancellationToken,
}

impl Gate {
    /// A gate for new settings. Connections of the gate before it live on where the same clients are trusted, and
    /// end where others are.
    pub(super) fn new(
        settings: &ApiTls,
        before: Option<&Self>,
        stopping: &CancellationToken,
    ) -> Result<Self, TlsSettingsError> {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(settings)?));
        let closing = match before {
            Some(before) if before.client_ca == settings.client_ca => before.closing.clone(),
            Some(_) | None => stopping.child_token(),
        };
        Ok(Self { acceptor, client_ca: settings.client_ca.clone(), closing })
    }

    /// Whether its connections live as long as those of another gate.
    pub(super) fn shares_clients_with(&self, other: &Self) -> bool {
        self.client_ca == other.client_ca
    }

    /// Shakes hands, and tells who came in.
    pub(super) async fn admit(&self, stream: TcpStream) -> Result<(TlsStream<TcpStream>, Peer), HandshakeError> {
        let handshake = tokio::time::timeout(HANDSHAKE_PATIENCE, self.acceptor.accept(stream));
        let stream = handshake.await.map_err(|_| HandshakeError::TimedOut)??;
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first).ok_or(HandshakeError::Nameless)?;
        let name = ca::common_name(certificate).map_err(|_| HandshakeError::Nameless)?;
        Ok((stream, Peer::Client { name }))
    }
}

fn server_config(settings: &ApiTls) -> Result<ServerConfig, TlsSettingsError> {
    let provider = Arc::new(ring::default_provider());
    let mut clients = RootCertStore::empty();
    clients.add(certificate_der(&settings.client_ca)?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificate_chain(&settings.certificate)?, private_key_der(&settings.key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
