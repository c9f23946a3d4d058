//! One state of TLS: the configurations of both ends, and the rules that a peer's certificate must meet.
//!
//! Rules beyond a valid chain: the certificate is one of a node, of this swarm, not of a removed node, and a server's
//! is one of a manager, but where one certain node is asked for. TLS 1.3 only, and no resumption: a resumed session would carry an old certificate on.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use ca::CertificateInfo;
use model::{ClusterId, NodeId, Role};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::sync::watch;

use crate::connect::Party;
use crate::identity::{IdentityError, Parts};

/// HTTP/2, and nothing else, is spoken on 2377.
pub(crate) const ALPN: &[u8] = b"h2";
/// The name that every manager's certificate carries; it is asked for instead of an address.
pub(crate) const MANAGER_NAME: &str = "swarm-manager";

/// One state of TLS, complete and unchanging.
pub(crate) struct Snapshot {
    /// Absent while the node has no certificate.
    pub(crate) server: Option<Arc<ServerConfig>>,
    /// For managers.
    client: Arc<ClientConfig>,
    /// For members, whatever their role.
    member_client: Arc<ClientConfig>,
    pub(crate) verifier: Arc<PeerVerifier>,
    pub(crate) generation: u64,
}

impl Snapshot {
    pub(crate) fn new(parts: &Parts) -> Result<Self, IdentityError> {
        let verifier = Arc::new(PeerVerifier::new(parts)?);
        let client = client_config(parts, ServerVerifier::Manager(Arc::clone(&verifier)))?;
        let member_client = client_config(parts, ServerVerifier::Member(Arc::clone(&verifier)))?;

        let server = match &parts.identity {
            Some(identity) => {
                let mut server = ServerConfig::builder_with_provider(provider())
                    .with_protocol_versions(&[&TLS13])
                    .map_err(IdentityError::Unusable)?
                    .with_client_cert_verifier(Arc::clone(&verifier) as Arc<dyn ClientCertVerifier>)
                    .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.key))));
                server.alpn_protocols = vec![ALPN.to_vec()];
                server.session_storage = Arc::new(NoServerSessionStorage {});
                server.send_tls13_tickets = 0;
                Some(Arc::new(server))
            }
            None => None,
        };
        let (client, member_client) = (Arc::new(client), Arc::new(member_client));
        Ok(Self { server, client, member_client, verifier, generation: parts.generation })
    }

    /// What connections to a party are made with.
    pub(crate) fn client(&self, party: &Party) -> &Arc<ClientConfig> {
        match party {
            Party::Manager(_) => &self.client,
            Party::Member(_) => &self.member_client,
        }
    }
}

fn client_config(parts: &Parts, verifier: ServerVerifier) -> Result<ClientConfig, IdentityError> {
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(IdentityError::Unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut client = match &parts.identity {
        Some(identity) => client.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.key)))),
        None => client.with_no_client_auth(),
    };
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = rustls::client::Resumption::disabled();
    Ok(client)
}

/// Returns when a change leaves a peer out that was trusted before.
pub(crate) async fn distrusted(
    changes: &mut watch::Receiver<Arc<Snapshot>>,
    is_trusted: impl Fn(&PeerVerifier) -> bool,
) {
    let left_out = changes.wait_for(|snapshot| !is_trusted(&snapshot.verifier)).await.is_ok();
    if !left_out {
        // Nobody is left who could change it.
        std::future::pending::<()>().await;
    }
}

/// The provider, named here so that no process-wide default is needed.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Why a certificate with a valid chain is refused all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PeerRefused {
    #[error("the certificate is not one of a node")]
    NotANode(#[source] ca::CertificateError),
    #[error("the certificate is of the swarm `{0}`")]
    OtherSwarm(ClusterId),
    #[error("node `{0}` was removed from the swarm")]
    Removed(NodeId),
    #[error("node `{0}` is not a manager")]
    NotAManager(NodeId),
}

impl From<PeerRefused> for rustls::Error {
    fn from(refused: PeerRefused) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
    }
}

/// Checks a peer's certificate: a client's by itself, a server's by way of [`ServerVerifier`].
pub(crate) struct PeerVerifier {
    servers: Arc<WebPkiServerVerifier>,
    clients: Arc<dyn ClientCertVerifier>,
    cluster_id: Option<ClusterId>,
    removed: BTreeSet<NodeId>,
}

impl PeerVerifier {
    fn new(parts: &Parts) -> Result<Self, IdentityError> {
        let mut roots = RootCertStore::empty();
        for root in &parts.roots {
            roots.add(root.clone()).map_err(IdentityError::Unusable)?;
        }
        let roots = Arc::new(roots);
        let servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| IdentityError::Unusable(rustls::Error::General(error.to_string())))?;
        let clients = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| IdentityError::Unusable(rustls::Error::General(error.to_string())))?;
        Ok(Self { servers, clients, cluster_id: parts.cluster_id.clone(), removed: parts.removed.clone() })
    }

    /// Whether a client that was let in once still would be.
    pub(crate) fn still_trusts_client(&self, chain: &[CertificateDer<'_>]) -> bool {
        chain.split_first().is_none_or(|(leaf, rest)| self.verify_client_cert(leaf, rest, UnixTime::now()).is_ok())
    }

    /// Whether a server that was trusted once still would be.
    pub(crate) fn still_trusts_server(&self, chain: &[CertificateDer<'_>], party: &Party) -> bool {
        let now = UnixTime::now();
        let Ok(name) = party.server_name() else { return false };
        chain.split_first().is_some_and(|(leaf, rest)| match party {
            Party::Manager(_) => self.verify_manager(leaf, rest, &name, &[], now).is_ok(),
            Party::Member(_) => self.verify_member(leaf, rest, &name, &[], now).is_ok(),
        })
    }

    /// Checks a node's certificate where a manager is asked for.
    fn verify_manager(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (verified, info) = self.verify_member(leaf, intermediates, name, ocsp, now)?;
        match info.role {
            Role::Manager => Ok(verified),
            Role::Worker => Err(PeerRefused::NotAManager(info.node_id).into()),
        }
    }

    /// Checks a node's certificate where that very node is asked for by its name.
    fn verify_member(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(ServerCertVerified, CertificateInfo), rustls::Error> {
        let verified = self.servers.verify_server_cert(leaf, intermediates, name, ocsp, now)?;
        Ok((verified, self.check_node(leaf)?))
    }

    fn check_node(&self, leaf: &CertificateDer<'_>) -> Result<CertificateInfo, PeerRefused> {
        let info = CertificateInfo::from_der(leaf).map_err(PeerRefused::NotANode)?;
        if self.cluster_id.as_ref().is_some_and(|cluster_id| *cluster_id != info.cluster_id) {
            return Err(PeerRefused::OtherSwarm(info.cluster_id));
        }
        if self.removed.contains(&info.node_id) {
            return Err(PeerRefused::Removed(info.node_id));
        }
        Ok(info)
    }
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PeerVerifier")
            .field("cluster_id", &self.cluster_id)
            .field("removed", &self.removed)
            .finish_non_exhaustive()
    }
}

/// Checks the certificate of a server.
#[derive(Debug)]
enum ServerVerifier {
    /// It is to be a manager's.
    Manager(Arc<PeerVerifier>),
    /// It is asked for by its node's id, whatever its role.
    Member(Arc<PeerVerifier>),
}

impl ServerVerifier {
    fn servers(&self) -> &WebPkiServerVerifier {
        match self {
            Self::Manager(peers) | Self::Member(peers) => &peers.servers,
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self {
            Self::Manager(peers) => peers.verify_manager(leaf, intermediates, name, ocsp, now),
            Self::Member(peers) => {
                peers.verify_member(leaf, intermediates, name, ocsp, now).map(|(verified, _)| verified)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.servers().verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.servers().verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.servers().supported_verify_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.clients.verify_client_cert(leaf, intermediates, now)?;
        self.check_node(leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.supported_verify_schemes()
    }
}
