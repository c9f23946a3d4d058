//! A node while it is a member of a swarm: its agent always, its manager while its certificate says so.
//!
//! ```text
//! agent says: role manager ──> the manager starts      role worker ──> it stops, and its log goes
//! agent says: removed      ──> everything stops; the node shows why until it is told to leave
//! told to leave            ──> out of raft, farewell to the managers, everything stops
//! told to begin anew       ──> everything stops, and starts again with this manager alone
//! cancelled                ──> leadership handed over, farewell "back in a moment" or "for good", everything stops
//! ```
//!
//! `build` makes a member of what is on disk, `place` is its place among the managers, `leave` its way out.

mod build;
mod leave;
mod place;

use std::net::SocketAddr;

use agent::{Agent, AgentEnd, AgentView, Farewell};
use gossip::GossipView;
use model::{NodeId, Role, SwarmError};
use rpc::{Connector, TlsState};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

pub(crate) use build::cannot_listen;

use crate::acquaintance::Acquaintance;
use crate::command::{Answer, Command};
use crate::founding::Addresses;
use crate::genesis::GenesisFile;
use crate::guard::Guard;
use crate::keyring::Keyring;
use crate::managing::{ManagingError, Standing};
use crate::record::{Record, blocking};
use crate::settings::Parts;
use crate::words;

/// What is told the caller of `init`, `join` or `unlock` once the node is what it was asked to become.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// `init`.
    Init(Answer<NodeId>),
    /// `join`.
    Join(Answer<()>),
    /// `unlock`.
    Unlock(Answer<()>),
    /// `init` that forces a new cluster. The swarm is there whatever becomes of it.
    Anew(Answer<NodeId>),
}

impl Waiting {
    /// Tells the caller that it came to nothing.
    pub(crate) fn refuse(self, refusal: SwarmError) {
        match self {
            Self::Init(answer) | Self::Anew(answer) => answer.give(Err(refusal)),
            Self::Join(answer) | Self::Unlock(answer) => answer.give(Err(refusal)),
        }
    }
}

/// How a membership ended.
#[derive(Debug)]
pub(crate) enum MemberEnd {
    /// The process ends; the membership goes on with the next one.
    Cancelled,
    /// The node has left: its state is to be wiped, and this caller told.
    Left(Answer<()>),
    /// It never began: its state is to be wiped. The caller has been told.
    Failed,
    /// It is to go on with this manager alone.
    Anew {
        /// Where it will be.
        addresses: Addresses,
        /// Its keys, which need no second unlocking.
        keyring: Keyring,
        /// Who is told.
        answer: Answer<NodeId>,
    },
}

/// A member.
#[derive(Debug)]
pub(crate) struct Member {
    parts: Parts,
    record: Record,
    genesis: Option<GenesisFile>,
    acquaintance: Acquaintance,
    tls: TlsState,
    connector: Connector,
    agent: Option<Agent>,
    guard: Option<Guard>,
    view: watch::Receiver<AgentView>,
    liveness: watch::Receiver<GossipView>,
    leader: watch::Sender<Option<SocketAddr>>,
    farewell: watch::Sender<Farewell>,
    ready: watch::Sender<Option<Standing>>,
    waiting: Option<Waiting>,
    manager: Option<RunningManager>,
    /// Why the manager ended by itself, until one has its place again.
    failure: Option<String>,
    restart_at: Option<Instant>,
    agent_token: CancellationToken,
    is_agent_running: bool,
    tasks: JoinSet<Ended>,
}

/// The manager that runs.
#[derive(Debug)]
struct RunningManager {
    token: CancellationToken,
    /// It was told to stop because the certificate is a worker's: its place in raft is gone, whatever comes next.
    is_demoted: bool,
}

/// A part that ended.
#[derive(Debug)]
enum Ended {
    Agent(AgentEnd),
    /// With the agent, for which it stands.
    Guard,
    Manager(Result<(), ManagingError>),
}

impl Member {
    /// Runs the membership until it ends.
    pub(crate) async fn run(mut self, commands: &mut mpsc::Receiver<Command>, cancel: CancellationToken) -> MemberEnd {
        let agent = self.agent.take().expect("a member is run once, with the agent it was built with");
        let token = self.agent_token.clone();
        self.tasks.spawn(async move { Ended::Agent(Box::pin(agent.run(token)).await) });
        self.is_agent_running = true;
        if let Some(guard) = self.guard.take() {
            let (view, token) = (self.view.clone(), self.agent_token.clone());
            self.tasks.spawn(async move {
                guard.run(view, token).await;
                Ended::Guard
            });
        }
        let mut view = self.view.clone();
        let mut ready = self.ready.subscribe();
        let end = loop {
            self.follow_role().await;
            if self.ready.borrow().is_some() {
                self.failure = None;
            }
            self.show();
            self.answer_waiting();
            tokio::select! {
                () = cancel.cancelled() => break MemberEnd::Cancelled,
                command = commands.recv() => match command {
                    None => break MemberEnd::Cancelled,
                    Some(Command::Leave { force, answer }) => match self.may_leave(force).await {
                        Ok(()) => {
                            self.farewell.send_replace(Farewell::Leave);
                            self.leave_raft().await;
                            break MemberEnd::Left(answer);
                        }
                        Err(refusal) => answer.give(Err(refusal)),
                    },
                    Some(Command::Init { request, answer }) if request.force_new_cluster => {
                        match self.may_begin_anew(&request).await {
                            Ok(addresses) => {
                                let keyring = self.record.keyring.clone();
                                break MemberEnd::Anew { addresses, keyring, answer };
                            }
                            Err(refusal) => answer.give(Err(refusal)),
                        }
                    }
                    Some(other) => other.refuse(words::already_member()),
                },
                changed = view.changed() => if changed.is_ok() {
                    self.learn().await;
                },
                _ = ready.changed() => {}
                () = until(self.restart_at) => self.restart_at = None,
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(Ended::Manager(outcome)) => {
                        if self.manager_ended(outcome).await {
                            break MemberEnd::Failed;
                        }
                    }
                    Ok(Ended::Guard) => debug!("the guard follows no roster any more"),
                    Ok(Ended::Agent(ended)) => {
                        self.is_agent_running = false;
                        let why = match ended {
                            AgentEnd::Removed(why) => why,
                            AgentEnd::Cancelled => "no manager is known".to_owned(),
                        };
                        error!(why, "this node takes no part in the swarm any more");
                        break self.rest_failed(why, commands, &cancel).await;
                    }
                    Err(panic) => {
                        error!(%panic, "a part of the node has failed");
                        self.is_agent_running = false;
                        break self.rest_failed(panic.to_string(), commands, &cancel).await;
                    }
                },
            }
        };
        if matches!(end, MemberEnd::Cancelled) {
            if self.parts.ending.is_for_good() {
                self.farewell.send_replace(Farewell::Stop);
            }
            self.hand_over().await;
        }
        self.stop().await;
        end
    }

    /// Starts or stops the manager as the certificate says.
    async fn follow_role(&mut self) {
        let role = self.view.borrow().role;
        match (role, &mut self.manager) {
            (Role::Manager, None) if self.restart_at.is_none() => self.start_manager().await,
            (Role::Worker, Some(running)) => {
                running.is_demoted = true;
                running.token.cancel();
            }
            (Role::Manager, _) | (Role::Worker, None) => {}
        }
    }

    /// Keeps who the managers are; the roots were kept before they were trusted.
    async fn learn(&mut self) {
        let Some(message) = self.view.borrow().message.clone() else {
            return;
        };
        let managers = message.managers.clone();
        let (keys, members) = (message.gossip_keys.clone(), message.members.clone());
        let kept = self.record.change(move |node| {
            if !managers.is_empty() {
                node.managers = managers;
            }
        });
        let acquaintance = self.acquaintance.keep(&self.record.disk, keys, members);
        if let Err(error) = kept.await.and(acquaintance.await) {
            error!(%error, "failed to keep what the managers said");
        }
        // A worker needs nothing more of its bootstrap file; a manager forgets it once the swarm is in its store.
        if self.view.borrow().role == Role::Worker && self.genesis.take().is_some() {
            let disk = self.record.disk.clone();
            if let Err(error) = blocking(move || disk.forget_genesis()).await {
                error!(%error, "failed to forget the bootstrap file");
            }
        }
    }

    /// Shows how the node stands.
    fn show(&self) {
        let view = self.view.borrow();
        let standing = self.ready.borrow();
        let node = self.record.node();
        let failure = self.failure.as_ref().filter(|_| view.role == Role::Manager && standing.is_none());
        let error = failure.unwrap_or(&view.error).clone();
        self.parts.shared.show_member(&node, &view, standing.as_ref(), error);
        if let Some(failure) = failure {
            self.parts.shared.show_stuck(failure.clone());
        }
    }

    /// Tells the caller of `init`, `join` or `unlock` once the node is there.
    fn answer_waiting(&mut self) {
        let view = self.view.borrow();
        let is_in_session = view.manager.is_some();
        let is_complete = is_in_session && (view.role == Role::Worker || self.ready.borrow().is_some());
        drop(view);
        if !is_complete {
            return;
        }
        match self.waiting.take() {
            Some(Waiting::Init(answer) | Waiting::Anew(answer)) => answer.give(Ok(self.record.node().node_id)),
            Some(Waiting::Join(answer) | Waiting::Unlock(answer)) => answer.give(Ok(())),
            None => {}
        }
    }

    /// Stops everything and shows why, until the node is told to leave or the process ends.
    async fn rest_failed(
        &mut self,
        why: String,
        commands: &mut mpsc::Receiver<Command>,
        cancel: &CancellationToken,
    ) -> MemberEnd {
        self.stop().await;
        self.parts.close_api();
        if let Some(waiting) = self.waiting.take() {
            waiting.refuse(SwarmError::unavailable(why.clone()));
        }
        self.parts.shared.show_failed(why);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return MemberEnd::Cancelled,
                command = commands.recv() => match command {
                    None => return MemberEnd::Cancelled,
                    Some(Command::Leave { answer, .. }) => return MemberEnd::Left(answer),
                    Some(other) => other.refuse(words::already_member()),
                },
            }
        }
    }

    /// Ends the agent, then the manager: while this node leads, the farewell goes to it.
    async fn stop(&mut self) {
        self.agent_token.cancel();
        while self.is_agent_running {
            match self.tasks.join_next().await {
                Some(Ok(Ended::Agent(_)) | Err(_)) | None => self.is_agent_running = false,
                Some(Ok(Ended::Manager(_))) => self.manager = None,
                Some(Ok(Ended::Guard)) => {}
            }
        }
        if let Some(running) = self.manager.take() {
            running.token.cancel();
        }
        while let Some(ended) = self.tasks.join_next().await {
            debug!(?ended, "part of the node ended");
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
