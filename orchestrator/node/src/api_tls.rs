//! The certificate of the Engine API on 2376: signed by the swarm's authority, which every manager holds in its store.
//!
//! Present only on managers, and only in a swarm that has a client authority. What links the authority to those before
//! it goes along, so that a client that knows an older root only still finds the swarm, and may learn the new one.
//! Reads the swarm. Writes the node's own file of it, in the clear as Docker's is: it opens nothing but this node's API,
//! to a client that would be let in anyway.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ca::{Authority, KeyPair};
use model::{Cluster, Secret, SwarmError};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use store::{Clock, Store, WatchError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::disk::Disk;
use crate::local;
use crate::record::blocking;

/// How long a server certificate lives.
const LIFE: Duration = Duration::from_hours(90 * 24);
/// Before signing is tried again after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// What the Engine API serves TLS with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiTls {
    /// This node's server certificate, PEM, and what links it to former roots of the swarm.
    pub certificate: String,
    /// Its key, PEM (PKCS #8).
    pub key: Secret,
    /// The authority whose client certificates are let in, PEM.
    pub client_ca: String,
}

/// Keeps the certificate of one manager's API.
#[derive(Debug)]
pub(crate) struct ApiCertificate {
    pub(crate) store: Store,
    pub(crate) disk: Disk,
    pub(crate) advertise: SocketAddr,
    pub(crate) hostname: String,
    pub(crate) clock: Clock,
    pub(crate) rng: StdRng,
    pub(crate) out: watch::Sender<Option<ApiTls>>,
}

impl ApiCertificate {
    /// Signs at the start, when an authority changes, and between 50 and 80 % of the certificate's life, until
    /// cancelled. The certificate stays then: the manager may go on in a moment, and whoever asked it to is connected
    /// by this one. It is for the owner to take it away.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let (_, mut watch) = self.store.view_and_watch();
        let mut signed_for: Option<Wanted> = None;
        let mut due = Instant::now();
        loop {
            let view = self.store.view();
            let wanted = view.cluster().and_then(|cluster| wanted(cluster));
            if wanted != signed_for || Instant::now() >= due {
                due = self.renew(view.cluster().map(AsRef::as_ref), wanted.is_some()).await;
                signed_for = wanted;
            }
            tokio::select! {
                () = cancel.cancelled() => break,
                () = tokio::time::sleep_until(due) => {}
                event = watch.recv() => match event {
                    Ok(_) => {}
                    Err(WatchError::Lagged(_)) => watch = self.store.view_and_watch().1,
                    Err(WatchError::Closed) => break,
                },
            }
        }
    }

    /// Signs, or takes the certificate away; gives the time of the next renewal.
    async fn renew(&mut self, cluster: Option<&Cluster>, is_wanted: bool) -> Instant {
        let Some(cluster) = cluster else {
            return Instant::now() + LIFE;
        };
        if !is_wanted {
            self.out.send_replace(None);
            return Instant::now() + LIFE;
        }
        match self.sign(cluster).await {
            Ok(tls) => {
                self.keep(&tls).await;
                self.out.send_replace(Some(tls));
                info!("the API's certificate is signed");
                Instant::now() + LIFE.mul_f64(self.rng.random_range(0.5..=0.8))
            }
            Err(error) => {
                error!(%error, "failed to sign the API's certificate; trying again");
                Instant::now() + RETRY
            }
        }
    }

    /// Keeps what 2376 is served with while the node is locked, which without it could be unlocked on its host alone.
    async fn keep(&self, tls: &ApiTls) {
        let (disk, tls) = (self.disk.clone(), tls.clone());
        if let Err(error) = blocking(move || disk.keep_api_tls(&tls)).await {
            error!(%error, "failed to keep the API's certificate: a locked node will not serve 2376");
        }
    }

    async fn sign(&self, cluster: &Cluster) -> Result<ApiTls, SwarmError> {
        let internal = |error: ca::CaError| SwarmError::internal(error.to_string());
        let root_ca = &cluster.state.root_ca;
        let signer = root_ca.signer().ok_or_else(|| SwarmError::internal("the swarm has no root certificate"))?;
        let client_ca = cluster.state.client_ca.clone().ok_or_else(|| SwarmError::internal("no client authority"))?;
        let authority = Authority::from_pem(signer.certificate, signer.key).map_err(internal)?;
        let key = KeyPair::generate().map_err(internal)?;
        let names = [self.hostname.clone(), "localhost".to_owned()];
        let mut certificate = authority
            .issue_server(key.csr_pem(), &self.addresses().await, &names, LIFE, self.clock.now())
            .map_err(internal)?;
        certificate.extend(root_ca.api_links());
        Ok(ApiTls { certificate, key: key.key_pem(), client_ca })
    }

    /// Where clients may come to: the advertised address first, then all others of the host.
    async fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses = vec![self.advertise.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let others = local::addresses().await.unwrap_or_else(|error| {
            error!(%error, "the API's certificate names the advertised address only");
            Vec::new()
        });
        for other in others {
            if !addresses.contains(&other.addr) {
                addresses.push(other.addr);
            }
        }
        addresses
    }
}

/// What a certificate is signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    /// The root that signs.
    root: String,
    /// What links it to former ones.
    links: Vec<String>,
    client_ca: String,
}

/// What a certificate is to be signed for; nothing in a swarm made by hand.
fn wanted(cluster: &Cluster) -> Option<Wanted> {
    let (root_ca, client_ca) = (&cluster.state.root_ca, cluster.state.client_ca.clone()?);
    let links = root_ca.api_links().map(ToOwned::to_owned).collect();
    Some(Wanted { root: root_ca.signer()?.certificate.to_owned(), links, client_ca })
}
