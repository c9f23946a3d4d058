//! Keeps the node's certificate young and of the right role. Every key is born here and never leaves.
//!
//! A new certificate is asked for between 50 and 80 % of the old one's life, at once when the managers give the node
//! another role or when another root signs, and once after the first session of a node whose first key was made on the
//! workstation.

use std::sync::Arc;
use std::time::Duration;

use ca::KeyPair;
use model::{Availability, IssueRequest, IssueResponse, SessionMessage};
use rand::rngs::StdRng;
use rpc::{CertificatesClient, Connector, Identity, TlsState};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::remotes::Remote;
use crate::{AgentView, IdentityKeeper};

/// How long the leader has to sign.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest that is slept at a time: the wall clock may be set, or the machine suspended.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// Renews certificates.
pub(crate) struct Renewal {
    pub(crate) tls: TlsState,
    pub(crate) connector: Connector,
    pub(crate) keeper: Arc<dyn IdentityKeeper>,
    pub(crate) view: watch::Sender<AgentView>,
    pub(crate) is_first_key: bool,
    pub(crate) clock: gossip::Clock,
    pub(crate) rng: StdRng,
}

impl Renewal {
    /// Renews until cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let mut due = self.due();
        let mut view = self.view.subscribe();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = wanted(&mut view, self.is_first_key) => {}
                () = tokio::time::sleep_until(due.min(Instant::now() + LONGEST_SLEEP)) => {
                    if Instant::now() < due {
                        due = self.due();
                        continue;
                    }
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.renew() => due = self.due(),
            }
        }
    }

    /// When the certificate in use shall be replaced.
    fn due(&mut self) -> Instant {
        match self.tls.certificate() {
            Some(certificate) => Instant::now() + ca::renewal_delay(&certificate, (self.clock)(), &mut self.rng),
            None => Instant::now(),
        }
    }

    /// Asks until there is a new certificate in use, and it is what the managers want.
    async fn renew(&mut self) {
        let mut backoff = Backoff::new();
        let mut is_renewed = false;
        while !is_renewed || is_wanted(&self.view.borrow(), self.is_first_key) {
            match self.attempt().await {
                Ok(()) => is_renewed = true,
                Err(reason) => warn!(reason, "failed to renew the certificate; trying again"),
            }
            if !is_renewed || is_wanted(&self.view.borrow(), self.is_first_key) {
                // What the managers want may have changed on the way, and the message that says so be on its own.
                tokio::time::sleep(backoff.next(&mut self.rng)).await;
            }
        }
    }

    async fn attempt(&mut self) -> Result<(), String> {
        let manager = self.manager().await?;
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let response = self.ask(&manager, key.csr_pem()).await?;
        let identity = Identity { certificate_pem: response.certificate, key: key.key_pem() };
        // Kept before it is used: a node must never come back with less than it has shown.
        self.keeper.keep(&identity, response.role).await.map_err(|error| error.to_string())?;
        self.tls.set_identity(&identity).map_err(|error| error.to_string())?;
        self.is_first_key = false;
        let role = response.role;
        let is_new_role = self.view.borrow().role != role;
        self.view.send_modify(|view| {
            view.certificate = identity.certificate_pem;
            view.role = role;
        });
        if is_new_role {
            info!(role = role.as_str(), "certificate of another role in use");
        } else {
            debug!("certificate renewed");
        }
        Ok(())
    }

    /// The manager in session with this node: the leader.
    async fn manager(&mut self) -> Result<Remote, String> {
        let mut view = self.view.subscribe();
        let standing = view.wait_for(|view| view.manager.is_some()).await.map_err(|error| error.to_string())?;
        standing.manager.clone().ok_or_else(|| "no session".to_owned())
    }

    async fn ask(&self, manager: &Remote, csr: &str) -> Result<IssueResponse, String> {
        let client = CertificatesClient::new(self.connector.channel(manager.addr, manager.node.clone()));
        let request = IssueRequest {
            csr: csr.to_owned(),
            token: None,
            availability: Availability::default(),
            addr: None,
            node: None,
        };
        match tokio::time::timeout(ANSWER, client.issue(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_elapsed) => Err("no answer in time".to_owned()),
        }
    }
}

/// Waits until the managers want another certificate than the one in use.
async fn wanted(view: &mut watch::Receiver<AgentView>, is_first_key: bool) {
    if view.wait_for(|view| is_wanted(view, is_first_key)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether the managers want another certificate of the node: of another role, of the root that signs now, or the first
/// one whose key was born here.
fn is_wanted(view: &AgentView, is_first_key: bool) -> bool {
    let is_due = |message: &SessionMessage| {
        is_first_key || message.node.state.role != view.role || !is_of_signer(&view.certificate, &message.roots)
    };
    view.manager.is_some() && view.message.as_deref().is_some_and(is_due)
}

/// Whether the first of the roots, the one that signs, has signed the certificate. A root that cannot be read has
/// signed none, and no renewal would change that.
fn is_of_signer(certificate: &str, roots: &[String]) -> bool {
    roots.first().is_none_or(|root| ca::is_issued_by(certificate, root).unwrap_or(true))
}

#[cfg(test)]
mod tests;

impl std::fmt::Debug for Renewal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Renewal").field("is_first_key", &self.is_first_key).finish_non_exhaustive()
    }
}
