//! `swarmup node …`: single nodes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use driver::{Instance, InstanceState};
use model::Role;
use tokio_util::sync::CancellationToken;

use super::arguments::{AgentArguments, DriverFlags, PatienceArguments};
use super::failure::{StateError, UsageError};
use super::open::{Opened, Viewed, find_machine};
use super::{Exit, Global, scale, status};
use crate::config::Wishes;
use crate::journal::{Journal, Machine, Step};
use crate::output::Printer;
use crate::phase::{self, Context};

/// How long a node may take to be well again.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a machine that is about to lose its power may take to be reached, for its agent to stop first.
const REACHED: Duration = Duration::from_secs(10);
/// How long the swarm may take to notice that a node is gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Looks at single nodes, adds, removes, stops and starts them.
#[derive(Debug, Subcommand)]
pub(super) enum Node {
    /// List the nodes of a cluster
    Ls(Ls),
    /// Add nodes
    Add(Box<Add>),
    /// Remove a node and its machine
    Rm(Rm),
    /// Start a node
    Start(One),
    /// Stop a node and all that it runs
    Stop(One),
    /// Stop and start a node
    Restart(One),
}

/// Lists the nodes of a cluster.
#[derive(Debug, Args)]
pub(super) struct Ls {
    /// The cluster
    name: Option<String>,
}

/// Adds nodes.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The cluster
    name: Option<String>,
    /// The role of the new nodes
    #[arg(long, value_enum, default_value_t = RoleName::Worker)]
    role: RoleName,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u32,
    /// Accept an even number of managers
    #[arg(long)]
    allow_even_managers: bool,
    #[command(flatten)]
    agent: AgentArguments,
    #[command(flatten)]
    patience: PatienceArguments,
}

/// Removes a node and its machine.
#[derive(Debug, Args)]
pub(super) struct Rm {
    /// The node, by host name, name at the provider or id
    node: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Accept an even number of managers
    #[arg(long)]
    allow_even_managers: bool,
}

/// Names one node.
#[derive(Debug, Args)]
pub(super) struct One {
    /// The node, by host name, name at the provider or id
    node: String,
}

/// A role on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Manager,
    Worker,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Manager => Self::Manager,
            RoleName::Worker => Self::Worker,
        }
    }
}

impl Node {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global, flags: DriverFlags, stop: CancellationToken) -> Result<Exit> {
        match self {
            Self::Ls(ls) => ls.run(global).await,
            Self::Add(add) => add.run(global, flags, stop).await,
            Self::Rm(rm) => rm.run(global, stop).await,
            Self::Start(one) => one.run(global, stop, Change::Start).await,
            Self::Stop(one) => one.run(global, stop, Change::Stop).await,
            Self::Restart(one) => one.run(global, stop, Change::Restart).await,
        }
    }
}

impl Ls {
    async fn run(self, global: &Global) -> Result<Exit> {
        let viewed = Viewed::open(global, self.name.as_deref())?;
        let report = status::report(&viewed).await;
        let printer = global.printer();
        printer.list(&report.nodes, |node| &node.hostname, status::table);
        if let Some(error) = &report.error {
            printer.warning(&format!("the swarm cannot be asked: {error}"));
        }
        if let Some(hint) = &report.hint {
            printer.hint(hint);
        }
        Ok(Exit::Done)
    }
}

impl Add {
    async fn run(self, global: &Global, flags: DriverFlags, stop: CancellationToken) -> Result<Exit> {
        let viewed = Viewed::open(global, self.name.as_deref())?;
        let options = flags.into_options();
        let wanted = |journal: &Journal| {
            let wanted = scale::recount(&journal.spec, self.role.into(), |count| count.saturating_add(self.count));
            let wishes = Wishes {
                name: Some(wanted.name),
                managers: Some(wanted.managers),
                workers: Some(wanted.workers),
                allow_even_managers: self.allow_even_managers.then_some(true),
                options: options.clone(),
                ..Wishes::default()
            };
            scale::settle(&wishes, journal)
        };
        let options = wanted(&viewed.journal)?.options;
        let opened = scale::open(viewed, global, self.agent.agent.clone(), Some(&options), stop)?;
        self.patience.tell(&opened.context);
        let spec = wanted(&opened.context.journal())?;
        let go_on = go_on(&spec.name, spec.managers, spec.workers);
        scale::apply(global, &opened, spec, &go_on).await
    }
}

impl Rm {
    async fn run(self, global: &Global, stop: CancellationToken) -> Result<Exit> {
        let viewed = Viewed::open(global, None)?;
        viewed.machine(&self.node)?;
        if !self.yes {
            if !Printer::can_ask() {
                let message = format!("removing node `{}` needs a yes, and nobody can be asked", self.node);
                return Err(UsageError::new(message, "add --yes").into());
            }
            if !global.printer().confirm(&format!("Remove node `{}` and its machine?", self.node)) {
                return Ok(Exit::Failed);
            }
        }
        let opened = scale::open(viewed, global, None, None, stop)?;
        let context = &opened.context;
        scale::adopt_roles(context).await?;
        let journal = context.journal();
        let (number, machine) = find_machine(&journal, &self.node)?;
        let mut spec = scale::recount(&journal.spec, machine.role, |count| count.saturating_sub(1));
        spec.allow_even_managers |= self.allow_even_managers;
        let spec = spec.validate()?;
        context
            .ledger
            .record(|journal| {
                journal.spec = spec.clone();
                if let Some(machine) = journal.machines.get_mut(&number) {
                    machine.step = Step::Leaving;
                }
            })
            .await?;
        let go_on = go_on(&spec.name, spec.managers, spec.workers);
        scale::finish(global, &opened, &go_on, &format!("Node `{}` is removed", self.node)).await
    }
}

fn go_on(name: &str, managers: u32, workers: u32) -> String {
    format!("go on with `swarmup scale {name} --managers {managers} --workers {workers}`")
}

/// What happens to one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Start,
    Stop,
    Restart,
}

impl One {
    async fn run(self, global: &Global, stop: CancellationToken, change: Change) -> Result<Exit> {
        let opened = scale::open(Viewed::open(global, None)?, global, None, None, stop)?;
        let Opened { context, lock: _lock } = opened;
        let journal = context.journal();
        let (number, machine) = find_machine(&journal, &self.node)?;
        let instance = machine.instance.clone().with_context(|| format!("`{}` does not exist yet", self.node))?;
        if machine.step == Step::Leaving {
            let hint = go_on(&journal.spec.name, journal.spec.managers, journal.spec.workers);
            return Err(StateError::new(format!("`{}` is being removed", self.node), hint).into());
        }

        if change != Change::Start {
            stop_node(&context, number, &instance).await?;
        }
        if change == Change::Stop {
            wait_until_missed(&context, number).await?;
        } else {
            start_node(&context, number, &instance).await?;
        }
        context.progress.clear();
        let state = match change {
            Change::Start => "started",
            Change::Stop => "stopped",
            Change::Restart => "restarted",
        };
        let hostname = crate::cluster::hostname(number);
        let printer = global.printer();
        printer.value(&serde_json::json!({ "hostname": hostname, "state": state }), |_| {
            if printer.is_quiet() { hostname.clone() } else { format!("Node `{hostname}` is {state}") }
        });
        Ok(Exit::Done)
    }
}

/// Stops the machine where its provider can, else the agent and all that it runs.
async fn stop_node(context: &Context, number: u32, instance: &Instance) -> Result<()> {
    let hostname = crate::cluster::hostname(number);
    context.progress.machine(&hostname, "stopping");
    let capabilities = context.driver.capabilities();
    if !capabilities.has_stop_start {
        let session = context.dial(number, instance).await?;
        context.engine.stop(&*session).await?;
    } else if capabilities.has_user_data {
        // A machine that loses its power says no farewell: its agent does, where it can be reached, and ends its containers.
        let farewell = match tokio::time::timeout(REACHED, context.dial(number, instance)).await {
            Ok(Ok(session)) => context.engine.stop(&*session).await.is_ok(),
            Ok(Err(_)) | Err(_) => false,
        };
        if !farewell {
            context.progress.line(&format!("  the agent of `{hostname}` was not stopped first"));
        }
    }
    if capabilities.has_stop_start {
        context.driver.stop(std::slice::from_ref(&instance.id)).await?;
    }
    context.ledger.record(|journal| set_state(journal, number, InstanceState::Stopped)).await?;
    Ok(())
}

/// Starts it again, and sees to it that it is a member: one that lost its data joins by token.
async fn start_node(context: &Arc<Context>, number: u32, instance: &Instance) -> Result<()> {
    let hostname = crate::cluster::hostname(number);
    context.progress.machine(&hostname, "starting");
    let instance = if context.driver.capabilities().has_stop_start {
        let started = context.driver.start(std::slice::from_ref(&instance.id)).await?;
        started.into_iter().next().with_context(|| format!("the provider lost `{hostname}` while starting it"))?
    } else {
        instance.clone()
    };
    let instance = Instance { state: InstanceState::Running, ..instance };
    context.note_instance(number, &instance);
    context.ledger.record(|_| {}).await?;
    phase::rejoin(context, number).await?;
    let swarm = context.swarm()?;
    let journal = context.journal();
    context.progress.machine(&hostname, "waiting for the swarm to see it");
    let only = phase::only(&journal, number);
    phase::wait_until_well(&*swarm, &only, START_TIMEOUT).await?;
    Ok(())
}

/// Waits until the swarm shows the node as stopped too. Where the managers that are left are no majority, nobody tells.
async fn wait_until_missed(context: &Context, number: u32) -> Result<()> {
    let journal = context.journal();
    let managers = journal.machines.values().filter(|machine| machine.role == Role::Manager);
    let is_running =
        |machine: &&Machine| machine.instance.as_ref().is_some_and(|instance| instance.state == InstanceState::Running);
    let has_quorum = 2 * managers.clone().filter(is_running).count() > managers.count();
    let Some(node) = journal.machines[&number].node_id.as_ref().filter(|_| has_quorum) else { return Ok(()) };
    let hostname = crate::cluster::hostname(number);
    context.progress.machine(&hostname, "waiting for the swarm to notice");
    if !phase::wait_until_missed(&*context.swarm()?, node, STOP_TIMEOUT).await {
        context.progress.line(&format!("  the swarm still shows `{hostname}` as ready; it will notice"));
    }
    Ok(())
}

fn set_state(journal: &mut Journal, number: u32, state: InstanceState) {
    if let Some(instance) = journal.machines.get_mut(&number).and_then(|machine| machine.instance.as_mut()) {
        instance.state = state;
    }
}
