//! The first contact of a node that has nothing but a join token and an address.
//!
//! It cannot check the server's certificate yet, so it sends nothing but the question for the roots, and believes
//! only the root whose digest the token names. All that follows, the secret above all, goes over a new connection
//! that this root vouches for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ca::JoinToken;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use model::{RootsRequest, RootsResponse};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tonic::{Request, Status};

use crate::codec::{ClientCodec, encode};
use crate::connect::{ConnectError, Party, handshake};
use crate::tasks::Tasks;
use crate::tls::{ALPN, provider};

/// How long the answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read from a stranger.
const MAX_ANSWER_SIZE: usize = 64 * 1024;

/// Why the root that a token names was not found.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// There is no connection.
    #[error("failed to connect to the swarm")]
    Connect(#[from] ConnectError),
    /// It does not answer the question.
    #[error("failed to ask {addr} for the swarm's root")]
    Ask {
        /// The address.
        addr: SocketAddr,
        /// What it says instead.
        #[source]
        source: Box<Status>,
    },
    /// It is another swarm (Docker's words).
    #[error("remote CA does not match fingerprint: the join token is not one of the swarm at {addr}")]
    OtherSwarm {
        /// The address.
        addr: SocketAddr,
    },
}

/// Asks a manager for the root that the token names, and returns that root (PEM) alone.
///
/// # Errors
/// Nobody answers, or the roots there are not the token's.
pub async fn fetch_root(addr: SocketAddr, token: &JoinToken) -> Result<String, PinError> {
    let roots = tokio::time::timeout(ANSWER_TIMEOUT, ask(addr))
        .await
        .map_err(|_| PinError::Connect(ConnectError::TimedOut { addr }))??;
    roots.into_iter().find(|root| token.trusts(root)).ok_or(PinError::OtherSwarm { addr })
}

async fn ask(addr: SocketAddr) -> Result<Vec<String>, PinError> {
    let failed = |status: Status| PinError::Ask { addr, source: Box::new(status) };
    let config = stranger_config().map_err(|error| failed(Status::internal(error.to_string())))?;
    let stream = handshake(addr, &Party::Manager(None), config).await?;
    let tasks = Tasks::default();
    let (sender, connection) = http2::Builder::new(tasks.weak())
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(Status::unavailable(error.to_string())))?;
    tasks.spawn(async move {
        // An error of the connection is the error of the call.
        let _ = connection.await;
    });
    let origin = format!("https://{addr}").parse().expect("a socket address is a valid authority");
    let service = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let response = tonic::client::Grpc::with_origin(service, origin)
        .max_decoding_message_size(MAX_ANSWER_SIZE)
        .unary(
            Request::new(encode(&RootsRequest {}).map_err(failed)?),
            http::uri::PathAndQuery::from_static("/swarmd.Certificates/Roots"),
            ClientCodec::<RootsResponse>::default(),
        )
        .await
        .map_err(failed)?;
    Ok(response.into_inner().roots)
}

fn stranger_config() -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// Takes any certificate whose key the server has: what it then says is checked against the token's digest.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, leaf, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, leaf, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
