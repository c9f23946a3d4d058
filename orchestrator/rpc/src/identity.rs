//! A node's own certificate and whom it trusts, both replaceable while connections are open.
//!
//! Every change makes a new [`Snapshot`]; each handshake takes the current one, and open connections watch for the
//! next, so that neither a renewed key nor a new root nor a removed node needs a restart.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ca::{CertificateError, CertificateInfo};
use model::{ClusterId, NodeId, Secret};
use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::watch;

use crate::tls::Snapshot;

/// Certificates in one chain: a node's, and what links it to an older root.
const MAX_CHAIN_LENGTH: usize = 4;
/// The longest text of a chain.
const MAX_CHAIN_PEM: usize = 64 * 1024;

/// A node's certificate and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, PEM; certificates that link it to an older root may follow.
    pub certificate_pem: String,
    /// The key, PEM (PKCS #8).
    pub key: Secret,
}

/// Whom a node trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The roots of the swarm, PEM, one each: a set, of which each is enough.
    pub roots: Vec<String>,
    /// The swarm. Absent only while a node joins by a token, which pins the root but does not name the swarm.
    pub cluster_id: Option<ClusterId>,
}

/// Why a certificate, a key or a root could not be taken into use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is nobody to trust.
    #[error("no root is given")]
    NoRoots,
    /// A root cannot be read.
    #[error("failed to read a root")]
    Root(#[source] CertificateError),
    /// The certificate cannot be read, or is not one of a node.
    #[error("failed to read the node's certificate")]
    Certificate(#[source] CertificateError),
    /// The key cannot be read.
    #[error("failed to read the node's key")]
    Key(#[source] CertificateError),
    /// The key does not belong to the certificate, or TLS cannot use one of them.
    #[error("the node's certificate and key cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// What TLS uses at this moment. Clones share it.
#[derive(Clone)]
pub struct TlsState {
    parts: Arc<Mutex<Parts>>,
    current: watch::Sender<Arc<Snapshot>>,
}

/// What a snapshot is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) identity: Option<LoadedIdentity>,
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) cluster_id: Option<ClusterId>,
    pub(crate) removed: BTreeSet<NodeId>,
    /// Counts the changes of the identity: a connection made with an older one takes no new calls.
    pub(crate) generation: u64,
}

/// An identity in the form that TLS takes.
#[derive(Clone)]
pub(crate) struct LoadedIdentity {
    pub(crate) key: Arc<CertifiedKey>,
    info: CertificateInfo,
}

impl TlsState {
    /// Takes an identity (none while a node joins) and whom to trust into use.
    ///
    /// # Errors
    /// A certificate, the key or a root is not usable.
    pub fn new(identity: Option<Identity>, trust: &Trust) -> Result<Self, IdentityError> {
        let parts = Parts {
            identity: identity.map(|identity| load_identity(&identity)).transpose()?,
            roots: load_roots(&trust.roots)?,
            cluster_id: trust.cluster_id.clone(),
            removed: BTreeSet::new(),
            generation: 0,
        };
        let current = watch::Sender::new(Arc::new(Snapshot::new(&parts)?));
        Ok(Self { parts: Arc::new(Mutex::new(parts)), current })
    }

    /// Uses another certificate and key from the next handshake on; channels reconnect before their next call.
    ///
    /// # Errors
    /// The certificate or the key is not usable; then nothing has changed.
    pub fn set_identity(&self, identity: &Identity) -> Result<(), IdentityError> {
        let identity = load_identity(identity)?;
        self.change(|parts| {
            parts.identity = Some(identity);
            parts.generation += 1;
        })
    }

    /// Trusts these roots instead; connections to peers that they do not vouch for end.
    ///
    /// # Errors
    /// A root is not usable, or there is none; then nothing has changed.
    pub fn set_trust(&self, trust: &Trust) -> Result<(), IdentityError> {
        let roots = load_roots(&trust.roots)?;
        self.change(|parts| {
            parts.roots = roots;
            parts.cluster_id.clone_from(&trust.cluster_id);
        })
    }

    /// Refuses these nodes, whatever certificate they have; their connections end.
    pub fn set_removed(&self, removed: &[NodeId]) {
        self.change(|parts| parts.removed = removed.iter().cloned().collect())
            .expect("identity and roots were usable before, and have not changed");
    }

    /// What the node's own certificate says, where it has one.
    pub fn certificate(&self) -> Option<CertificateInfo> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.identity.as_ref().map(|identity| identity.info.clone())
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.borrow())
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Parts)) -> Result<(), IdentityError> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = parts.clone();
        change(&mut changed);
        let snapshot = Snapshot::new(&changed)?;
        *parts = changed;
        self.current.send_replace(Arc::new(snapshot));
        Ok(())
    }
}

impl fmt::Debug for TlsState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsState").field("certificate", &self.certificate()).finish_non_exhaustive()
    }
}

fn load_identity(identity: &Identity) -> Result<LoadedIdentity, IdentityError> {
    let chain = chain(&identity.certificate_pem).map_err(IdentityError::Certificate)?;
    let info = CertificateInfo::from_der(&chain[0]).map_err(IdentityError::Certificate)?;
    let key = ca::private_key_der(&identity.key).map_err(IdentityError::Key)?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(IdentityError::Unusable)?;
    Ok(LoadedIdentity { key: Arc::new(key), info })
}

/// Reads a chain of at least one and few certificates.
fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    if pem.len() > MAX_CHAIN_PEM {
        return Err(CertificateError::TooLong { length: pem.len(), limit: MAX_CHAIN_PEM });
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).take(MAX_CHAIN_LENGTH + 1).collect();
    match chain {
        Ok(chain) if !chain.is_empty() && chain.len() <= MAX_CHAIN_LENGTH => Ok(chain),
        _ => Err(CertificateError::NotPem { expected: "certificate" }),
    }
}

fn load_roots(roots: &[String]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    if roots.is_empty() {
        return Err(IdentityError::NoRoots);
    }
    roots.iter().map(|root| ca::certificate_der(root).map_err(IdentityError::Root)).collect()
}
