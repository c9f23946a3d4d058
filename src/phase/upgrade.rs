//! Brings the agent at hand to the nodes of a swarm that stands: one node at a time, workers first, the leader last.
//!
//! ```text
//! whose turn (turn.rs)  ->  stage  ->  may it? (versions.rs, quorum)  ->  switch  ->  settled and well  ->  the next
//! ```
//! The first failure ends it: the nodes that have not had their turn run the agent before. Nothing is kept of it: what a
//! node runs is asked of its host, so that a run that was cut short anywhere is taken up by the next. Containers run on.

mod turn;
mod versions;

use std::collections::BTreeSet;
use std::time::Duration;

use driver::Instance;
use model::Role;
use serde::Serialize;
use tokio::time::Instant;

use super::context::{host, line_name};
use super::verify::wait_until_well;
use super::{Context, PhaseError, only};
use crate::cluster::hostname;
use crate::engine::{EngineError, Host, Settling, Staged, Swarm, SwarmNode};
use crate::journal::Journal;
use turn::Candidate;

/// What it does.
const TITLE: &str = "Upgrade agents";
/// How long an agent that has taken over may take to get back into its swarm. One that was a manager loads its log.
const SETTLE_TIMEOUT: Duration = Duration::from_mins(1);
/// How often it is asked meanwhile.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// Why a node was not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The agent at hand is not one that may follow the one that runs.
    #[error(transparent)]
    Versions(#[from] versions::Unfit),
    /// Too few managers would be left meanwhile.
    #[error("the swarm would lose its quorum meanwhile: of its other managers, {} not well", list(unwell))]
    Quorum {
        /// The managers that are not well, by host name.
        unwell: Vec<String>,
    },
    /// The manager that was restarted is locked.
    #[error("its agent has taken over, and waits to be unlocked: {words}")]
    Locked {
        /// Docker's words.
        words: String,
    },
}

impl UpgradeError {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Versions(unfit) => unfit.hint(),
            Self::Quorum { .. } => "bring these back first, such as with `swarmup node start NODE`".to_owned(),
            Self::Locked { .. } => {
                "unlock it on its node with `docker -H unix:///run/swarmd/swarmd.sock swarm unlock`".to_owned()
            }
        }
    }
}

/// What is to be upgraded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The machines, by number.
    pub machines: BTreeSet<u32>,
    /// Whether versions count for nothing.
    pub is_forced: bool,
}

/// What became of a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Its host name.
    pub hostname: String,
    /// What was done.
    pub state: OutcomeState,
    /// The version that it runs now.
    pub version: String,
    /// The SHA-256 of the agent that it runs now.
    pub sha256: String,
    /// How long it took.
    pub seconds: f64,
}

/// What was done with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeState {
    /// The agent at hand took over.
    Upgraded,
    /// It ran already.
    Current,
}

/// Upgrades machines one after the other; `outcomes` says of each as soon as it is through.
pub async fn upgrade(context: &Context, wish: &Wish, outcomes: &mut Vec<Outcome>) -> Result<(), PhaseError> {
    let swarm = context.swarm()?;
    let mut left = wish.machines.clone();
    context.progress.begin_each(TITLE, left.len());
    while !left.is_empty() {
        if context.stop.is_cancelled() {
            return Err(PhaseError::Interrupted);
        }
        // Where nobody answers there is no leader to spare, and a manager that is mended may bring one back.
        let seen = context.unless_stopped(swarm.nodes()).await?.unwrap_or_default();
        let journal = context.journal();
        let candidates: Vec<_> = left.iter().map(|number| candidate(&journal, &seen, *number)).collect();
        let Some(number) = turn::next(&candidates) else { break };
        let name = journal.spec.machine_name(number);
        let outcome = one(context, &*swarm, &seen, wish, number).await;
        let outcome = outcome.map_err(|error| error.of_machine("upgrade the agent of", name))?;
        context.progress.machine_done(TITLE, &outcome.hostname);
        context.progress.machine_ready(&outcome.hostname);
        outcomes.push(outcome);
        left.remove(&number);
    }
    context.progress.clear();
    Ok(())
}

async fn one(
    context: &Context,
    swarm: &dyn Swarm,
    seen: &[SwarmNode],
    wish: &Wish,
    number: u32,
) -> Result<Outcome, PhaseError> {
    let begun = Instant::now();
    let (line, hostname) = (line_name(number), hostname(number));
    let journal = context.journal();
    let role = role_of(&journal, seen, number);
    let instance = journal.machines[&number].instance.as_ref().ok_or(PhaseError::Incomplete { what: "machine" })?;
    let session = context.in_grace(context.dial(number, instance)).await??;
    let host = host(&journal, number, &hostname, instance, &*session)?;

    context.progress.machine(&line, "sending the agent");
    let staged = context.in_grace(context.engine.stage(&host)).await??;
    if !staged.is_running {
        context.progress.machine(&line, "letting the agent take over");
        context.in_grace(take_over(context, swarm, wish, number, &host, &staged)).await??;
    }
    context.progress.machine(&line, "waiting for it to be back");
    context.unless_stopped(settle(context, swarm, number, &host, role)).await??;
    keep(context, instance).await?;

    let state = if staged.is_running { OutcomeState::Current } else { OutcomeState::Upgraded };
    Ok(Outcome {
        hostname,
        state,
        version: staged.version,
        sha256: staged.sha256,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// Lets a staged agent take over, where it may.
async fn take_over(
    context: &Context,
    swarm: &dyn Swarm,
    wish: &Wish,
    number: u32,
    host: &Host<'_>,
    staged: &Staged,
) -> Result<(), PhaseError> {
    // Asked now: the agent may have taken minutes to arrive.
    let seen = swarm.nodes().await.unwrap_or_default();
    if let Err(error) = check(&context.journal(), &seen, wish, number, staged) {
        context.engine.unstage(host).await?;
        return Err(error.into());
    }
    Ok(context.engine.switch(host).await?)
}

fn check(journal: &Journal, seen: &[SwarmNode], wish: &Wish, number: u32, staged: &Staged) -> Result<(), UpgradeError> {
    let Some(node) = node_of(journal, seen, number) else { return Ok(()) };
    if !wish.is_forced {
        versions::check(&node.engine_version, &staged.version)?;
    }
    match turn::missing_for_quorum(seen, &node.id) {
        unwell if unwell.is_empty() => Ok(()),
        unwell => Err(UpgradeError::Quorum { unwell }),
    }
}

/// Waits until a node is back: in session and with all that was decided by its own account, and well by the swarm's. The
/// swarm alone may still speak of the agent before.
async fn settle(
    context: &Context,
    swarm: &dyn Swarm,
    number: u32,
    host: &Host<'_>,
    role: Role,
) -> Result<(), PhaseError> {
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let last = match context.engine.settling(host, role).await {
            Ok(Settling::Done) => break,
            Ok(Settling::Locked(words)) => return Err(UpgradeError::Locked { words }.into()),
            Ok(Settling::NotYet(why)) => Ok(why),
            Err(error) => Err(error),
        };
        if Instant::now() >= deadline {
            let why = last?;
            let what = format!("the agent is not back in its swarm: {why}");
            return Err(EngineError::TimedOut { what, timeout: SETTLE_TIMEOUT }.into());
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
    let left = deadline.saturating_duration_since(Instant::now());
    Ok(wait_until_well(swarm, &only(&context.journal(), number), left).await?)
}

/// Has a machine that comes with the agent come with this one from now on.
async fn keep(context: &Context, instance: &Instance) -> Result<(), PhaseError> {
    if let Some(agent) = super::agent_file(context)? {
        context.call("keep the agent", || context.driver.set_agent(&instance.id, &agent)).await?;
    }
    Ok(())
}

fn candidate(journal: &Journal, seen: &[SwarmNode], number: u32) -> Candidate {
    let node = node_of(journal, seen, number);
    Candidate {
        number,
        role: role_of(journal, seen, number),
        is_well: node.is_some_and(SwarmNode::is_well),
        is_leader: node.and_then(|node| node.manager.as_ref()).is_some_and(|standing| standing.is_leader),
    }
}

fn node_of<'a>(journal: &Journal, seen: &'a [SwarmNode], number: u32) -> Option<&'a SwarmNode> {
    let id = journal.machines.get(&number)?.node_id.as_ref()?;
    seen.iter().find(|node| node.id == *id)
}

fn role_of(journal: &Journal, seen: &[SwarmNode], number: u32) -> Role {
    node_of(journal, seen, number).map_or_else(|| journal.machines[&number].role, |node| node.role)
}

fn list(names: &[String]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}
