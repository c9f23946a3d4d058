//! The session with the dispatcher: found, held, found again.
//!
//! ```text
//!   choose a manager ──> open a session ──> hold it: messages in, heartbeats out ──┐
//!        ▲  ▲                │ refused                                             │ broken, moved
//!        │  └─ leader hint ──┤                                                     │
//!        └──── back-off ─────┴─────────────────────────────────────────────────────┘
//!   removed from the swarm: the loop ends        cancelled: the node says farewell, and the loop ends
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, Lease};
use gossip::GossipView;
use model::{
    AssignmentsMessage, AssignmentsRequest, Availability, ErrorKind, HeartbeatRequest, IssueRequest, NodeDescription,
    NodeId, SessionId, SessionMessage, SessionRequest, TlsInfo, milliseconds,
};
use rand::RngExt;
use rand::rngs::StdRng;
use rpc::{CertificatesClient, Connector, DispatcherClient, SessionMessages, TlsState, Trust};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::remotes::{Remote, Remotes};
use crate::statuses::Statuses;
use crate::{AgentView, Farewell, IdentityKeeper};

/// How long a manager has to open a session, and to answer a heartbeat.
const ANSWER: Duration = Duration::from_secs(5);
/// How often the machine is looked at anew; a change opens another session (SwarmKit's 20 s).
const DESCRIBE: Duration = Duration::from_secs(20);
/// How long a node's farewell may take.
const FAREWELL: Duration = Duration::from_millis(500);
/// Failures in a row after which a node asks without its certificate whether it has been removed.
const FAILURES_BEFORE_ASKING: u32 = 3;

/// Holds sessions.
#[derive(Debug)]
pub(crate) struct SessionLoop {
    pub(crate) node_id: NodeId,
    pub(crate) addr: SocketAddr,
    pub(crate) engine: Arc<Engine>,
    pub(crate) tls: TlsState,
    pub(crate) connector: Connector,
    pub(crate) remotes: Remotes,
    pub(crate) keeper: Arc<dyn IdentityKeeper>,
    /// Where this node's own manager knows the leader to be.
    pub(crate) leader: watch::Receiver<Option<SocketAddr>>,
    pub(crate) gossip: watch::Receiver<GossipView>,
    pub(crate) farewell: watch::Receiver<Farewell>,
    pub(crate) view: watch::Sender<AgentView>,
    /// Where assignments go.
    pub(crate) work: mpsc::Sender<AssignmentsMessage>,
    /// What is known of the tasks, to be told.
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) rng: StdRng,
}

/// Why a session, or the attempt at one, ended.
#[derive(Debug)]
enum Ended {
    /// The node is shutting down or leaving.
    Cancelled,
    /// The swarm has removed the node.
    Removed(String),
    /// The leader is, or seems to be, elsewhere.
    Moved(SocketAddr),
    /// The machine has changed: tell it in another session.
    DescriptionChanged,
    /// Anything that another try may mend.
    Broken(String),
}

impl SessionLoop {
    /// Holds sessions until cancelled, which gives `None`, or until the swarm has removed the node: then its words.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> Option<String> {
        let mut backoff = Backoff::new();
        let mut failures = 0;
        let mut previous = None;
        loop {
            if let Some(addr) = *self.leader.borrow_and_update() {
                self.remotes.prefer(addr);
            }
            self.remotes.moved(&self.gossip.borrow_and_update().elsewhere);
            let Some(remote) = self.remotes.choose() else {
                self.view.send_modify(|view| "no manager is known".clone_into(&mut view.error));
                return None;
            };
            let before = previous.clone();
            let ended = self.session(&remote, &mut previous, &cancel).await;
            if previous != before {
                backoff = Backoff::new();
                failures = 0;
            }
            self.view.send_modify(|view| view.manager = None);
            let wait = match ended {
                Ended::Cancelled => return None,
                Ended::Removed(words) => return Some(words),
                Ended::Moved(addr) => !self.remotes.hint(addr),
                Ended::DescriptionChanged => false,
                Ended::Broken(reason) => {
                    failures += 1;
                    debug!(manager = %remote.addr, reason, "no session");
                    self.view.send_modify(|view| view.error = reason);
                    if failures >= FAILURES_BEFORE_ASKING
                        && let Some(words) = self.ask_whether_removed(&remote).await
                    {
                        return Some(words);
                    }
                    true
                }
            };
            if wait {
                let pause = backoff.next(&mut self.rng);
                tokio::select! {
                    () = cancel.cancelled() => return None,
                    () = tokio::time::sleep(pause) => {}
                    // This node's own manager has heard of a leader: no need to wait any longer.
                    Ok(()) = self.leader.changed() => {}
                }
                self.remotes.rested();
            }
        }
    }

    /// One session, from its opening to its end.
    async fn session(
        &mut self,
        remote: &Remote,
        previous: &mut Option<SessionId>,
        cancel: &CancellationToken,
    ) -> Ended {
        let client = DispatcherClient::new(self.connector.channel(remote.addr, remote.node.clone()));
        let description = self.describe();
        let request = SessionRequest { description: description.clone(), addr: self.addr, previous: previous.clone() };
        let opened = tokio::select! {
            () = cancel.cancelled() => return Ended::Cancelled,
            opened = tokio::time::timeout(ANSWER, open(&client, request)) => opened,
        };
        let (first, mut messages) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(ended)) => return ended,
            Err(_elapsed) => return Ended::Broken(format!("{} opened no session in time", remote.addr)),
        };
        let session = first.session_id.clone();
        info!(manager = %remote.addr, %session, "session opened");
        *previous = Some(session.clone());
        self.remotes.settled();
        if let Err(ended) = self.take(remote, first).await {
            return ended;
        }
        self.hold(&client, remote, &session, &description, &mut messages, cancel).await
    }

    /// Holds an open session.
    async fn hold(
        &mut self,
        client: &DispatcherClient,
        remote: &Remote,
        session: &SessionId,
        description: &NodeDescription,
        messages: &mut SessionMessages,
        cancel: &CancellationToken,
    ) -> Ended {
        let first_beat = Duration::from_millis(self.rng.random_range(500..1000));
        let (gossip, mut view) = (self.gossip.clone(), self.view.subscribe());
        let tls = watch::Sender::new(description.tls.clone());
        // The first message may have changed it already.
        view.mark_changed();
        let lease = Arc::clone(self.engine.lease());
        let mut beats = std::pin::pin!(beat(client, session, gossip, &lease, tls.subscribe(), first_beat));
        let mut assignments = std::pin::pin!(assign(client, session, self.work.clone()));
        let statuses = Arc::clone(&self.statuses);
        let mut reports = std::pin::pin!(statuses.report(client, session));
        let mut describe = tokio::time::interval_at(Instant::now() + DESCRIBE, DESCRIBE);
        loop {
            tokio::select! {
                () = cancel.cancelled() => {
                    self.say_farewell(client, session).await;
                    return Ended::Cancelled;
                }
                ended = &mut beats => return ended,
                ended = &mut assignments => return ended,
                status = &mut reports => return ended_by(&status),
                // Cancel-safe: a message is either returned or still in the stream.
                message = messages.message() => match message {
                    Ok(Some(message)) => if let Err(ended) = self.take(remote, message).await {
                        return ended;
                    },
                    Ok(None) => return Ended::Broken("the manager ended the session".to_owned()),
                    Err(status) => return ended_by(&status),
                },
                // A new certificate, or other roots: the next heartbeat tells, and goes out at once.
                Ok(()) = view.changed() => {
                    let now = self.tls_info();
                    tls.send_if_modified(|told| {
                        let is_news = *told != now;
                        *told = now;
                        is_news
                    });
                }
                _ = describe.tick() => {
                    let machine = NodeDescription { tls: description.tls.clone(), ..self.engine.describe() };
                    if machine != *description {
                        return Ended::DescriptionChanged;
                    }
                }
                Ok(()) = self.leader.changed() => {
                    let leader = *self.leader.borrow_and_update();
                    if let Some(leader) = leader.filter(|leader| *leader != remote.addr) {
                        return Ended::Moved(leader);
                    }
                }
            }
        }
    }

    /// Takes what the managers say into use.
    async fn take(&mut self, remote: &Remote, message: SessionMessage) -> Result<(), Ended> {
        self.remotes.learn(&message.managers);
        let is_trusted = self.trust(&message.roots).await?;
        self.view.send_modify(|view| {
            view.manager = Some(remote.clone());
            if is_trusted {
                view.roots.clone_from(&message.roots);
            }
            view.message = Some(Arc::new(message));
            view.error.clear();
        });
        Ok(())
    }

    /// Trusts these roots; `false` where they cannot be used. They are kept before anybody hears of it: the managers
    /// must be able to forget a root that every node has said it can do without.
    async fn trust(&self, roots: &[String]) -> Result<bool, Ended> {
        let cluster_id = self.tls.certificate().map(|certificate| certificate.cluster_id);
        if let Err(error) = self.tls.set_trust(&Trust { roots: roots.to_vec(), cluster_id }) {
            warn!(%error, "the roots that the managers sent cannot be used; trusting those from before");
            return Ok(false);
        }
        if self.view.borrow().roots == roots {
            return Ok(true);
        }
        let kept = self.keeper.keep_roots(roots).await;
        kept.map(|()| true).map_err(|error| Ended::Broken(format!("failed to keep the swarm's roots: {error}")))
    }

    /// What the node says of itself, the trust of its certificate included.
    fn describe(&self) -> NodeDescription {
        NodeDescription { tls: self.tls_info(), ..self.engine.describe() }
    }

    /// Who issued the node's certificate, and whom it trusts.
    fn tls_info(&self) -> TlsInfo {
        let view = self.view.borrow();
        ca::tls_info(&view.certificate, &view.roots).unwrap_or_else(|error| {
            warn!(%error, "the node's certificate is of none of the roots that it trusts");
            TlsInfo::default()
        })
    }

    /// Tells the manager what the silence to come means. Best effort: a lost farewell is a lost session.
    async fn say_farewell(&self, client: &DispatcherClient, session: &SessionId) {
        let farewell = *self.farewell.borrow();
        let request = HeartbeatRequest {
            is_restarting: farewell == Farewell::Restart,
            is_leaving: farewell == Farewell::Leave,
            is_stopping: farewell == Farewell::Stop,
            ..heartbeat(session, &self.gossip.borrow(), self.engine.lease())
        };
        let said = tokio::time::timeout(FAREWELL, client.heartbeat(request)).await;
        debug!(?farewell, is_heard = matches!(said, Ok(Ok(_))), "said farewell");
    }

    /// Asks a manager without certificate, since ours may be refused, whether the swarm has removed this node.
    async fn ask_whether_removed(&self, remote: &Remote) -> Option<String> {
        let roots = self.view.borrow().roots.clone();
        let cluster_id = self.tls.certificate().map(|certificate| certificate.cluster_id);
        let tls = TlsState::new(None, &Trust { roots, cluster_id }).ok()?;
        let client = CertificatesClient::new(Connector::new(tls).channel(remote.addr, None));
        let request = IssueRequest {
            csr: String::new(),
            token: None,
            availability: Availability::default(),
            addr: None,
            node: Some(self.node_id.clone()),
        };
        let status = tokio::time::timeout(ANSWER, client.issue(request)).await.ok()?.err()?;
        match ended_by(&status) {
            Ended::Removed(words) => Some(words),
            Ended::Cancelled | Ended::Moved(_) | Ended::DescriptionChanged | Ended::Broken(_) => None,
        }
    }
}

/// Opens a session; its first message comes at once.
async fn open(client: &DispatcherClient, request: SessionRequest) -> Result<(SessionMessage, SessionMessages), Ended> {
    let mut messages = client.session(request).await.map_err(|status| ended_by(&status))?;
    match messages.message().await {
        Ok(Some(first)) => Ok((first, messages)),
        Ok(None) => Err(Ended::Broken("the manager ended the session at once".to_owned())),
        Err(status) => Err(ended_by(&status)),
    }
}

/// Sends heartbeats until one is not answered; at once where the node's trust is another one.
async fn beat(
    client: &DispatcherClient,
    session: &SessionId,
    gossip: watch::Receiver<GossipView>,
    lease: &Lease,
    mut tls: watch::Receiver<TlsInfo>,
    first: Duration,
) -> Ended {
    let mut pause = first;
    loop {
        let is_news = matches!(tokio::time::timeout(pause, tls.changed()).await, Ok(Ok(())));
        let told = is_news.then(|| tls.borrow().clone());
        let request = HeartbeatRequest { tls: told, ..heartbeat(session, &gossip.borrow(), lease) };
        match tokio::time::timeout(ANSWER, client.heartbeat(request)).await {
            Ok(Ok(answer)) => {
                pause = Duration::from_millis(answer.period_ms);
                if let Some(left) = answer.lease_left_ms {
                    lease.hear(Duration::from_millis(left));
                }
            }
            Ok(Err(status)) => return ended_by(&status),
            Err(_elapsed) => return Ended::Broken("a heartbeat was not answered in time".to_owned()),
        }
    }
}

/// Takes the node's tasks for as long as the stream lasts. A manager of a version that has no tasks has none to give.
async fn assign(client: &DispatcherClient, session: &SessionId, work: mpsc::Sender<AssignmentsMessage>) -> Ended {
    let mut assignments = match client.assignments(AssignmentsRequest { session_id: session.clone() }).await {
        Ok(assignments) => assignments,
        Err(status) if status.code() == Code::Unimplemented => std::future::pending().await,
        Err(status) => return ended_by(&status),
    };
    let mut at = 0;
    loop {
        match assignments.message().await {
            Ok(Some(message)) if message.applies_to != at => {
                return Ended::Broken("a part of the assignments is missing".to_owned());
            }
            Ok(Some(message)) => {
                at = message.results_in;
                if work.send(message).await.is_err() {
                    return Ended::Cancelled;
                }
            }
            Ok(None) => return Ended::Broken("the manager ended the assignments".to_owned()),
            Err(status) => return ended_by(&status),
        }
    }
}

fn heartbeat(session: &SessionId, gossip: &GossipView, lease: &Lease) -> HeartbeatRequest {
    HeartbeatRequest {
        session_id: session.clone(),
        is_restarting: false,
        is_leaving: false,
        is_stopping: false,
        scheduling_delay_ms: milliseconds(gossip.scheduling_delay),
        gossip_dead: gossip.dead(),
        tls: None,
        lease_left_ms: lease.left().map(milliseconds),
    }
}

/// What a refusal or a broken connection means for a session.
fn ended_by(status: &Status) -> Ended {
    if let Some(leader) = rpc::leader_of(status) {
        return Ended::Moved(leader);
    }
    let error = rpc::from_status(status);
    if rpc::is_answer(status) && error.kind == ErrorKind::PermissionDenied {
        return Ended::Removed(error.message);
    }
    Ended::Broken(error.message)
}
