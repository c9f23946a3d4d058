//! `swarmup scale`: more or fewer managers and workers. `node add` and `node rm` go the same way.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use driver::Options;
use model::Role;
use tokio_util::sync::CancellationToken;

use super::arguments::{AgentArguments, DriverFlags, PatienceArguments};
use super::failure::StateError;
use super::open::{Opened, Viewed};
use super::{Exit, Global, hint_of};
use crate::cluster::{ClusterSpec, describe_counts};
use crate::config::{self, Wishes};
use crate::journal::{Journal, Stage, Step};
use crate::output::report;
use crate::phase::{self, Context};
use crate::plan;

/// Changes how many managers and workers a cluster has.
#[derive(Debug, Args)]
pub(super) struct Scale {
    /// The cluster
    name: Option<String>,
    /// Number of managers
    #[arg(long, value_name = "N")]
    managers: Option<u32>,
    /// Number of workers
    #[arg(long, value_name = "N")]
    workers: Option<u32>,
    /// Accept an even number of managers
    #[arg(long)]
    allow_even_managers: bool,
    #[command(flatten)]
    agent: AgentArguments,
    #[command(flatten)]
    patience: PatienceArguments,
}

impl Scale {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global, flags: DriverFlags, stop: CancellationToken) -> Result<Exit> {
        let viewed = Viewed::open(global, self.name.as_deref())?;
        let wishes = Wishes {
            name: Some(viewed.name.clone()),
            managers: self.managers,
            workers: self.workers,
            allow_even_managers: self.allow_even_managers.then_some(true),
            options: flags.into_options(),
            ..Wishes::default()
        };
        // What is wrong with the wishes is said before anything is locked or asked.
        let options = settle(&wishes, &viewed.journal)?.options;
        let opened = open(viewed, global, self.agent.agent, Some(&options), stop)?;
        self.patience.tell(&opened.context);
        let spec = settle(&wishes, &opened.context.journal())?;
        let name = spec.name.clone();
        apply(global, &opened, spec, &format!("go on with `swarmup scale {name}`")).await
    }
}

/// The cluster, opened to be changed; one that is not formed yet, or on its way down, is refused.
pub(super) fn open(
    viewed: Viewed,
    global: &Global,
    agent: Option<PathBuf>,
    options: Option<&Options>,
    stop: CancellationToken,
) -> Result<Opened> {
    let opened = viewed.lock(global, agent, options, stop)?;
    let journal = opened.context.journal();
    let name = &journal.spec.name;
    let (state, hint) = match journal.stage {
        Stage::Formed | Stage::Ready => return Ok(opened),
        Stage::Creating => ("not formed yet", format!("finish it with `swarmup create {name}`")),
        Stage::Destroying => ("being destroyed", format!("finish that with `swarmup destroy {name}`")),
    };
    Err(StateError::new(format!("cluster `{name}` is {state}"), hint).into())
}

pub(super) fn settle(wishes: &Wishes, journal: &Journal) -> Result<ClusterSpec> {
    Ok(config::resolve(wishes, &Wishes::default(), &|_| None, Some(&journal.spec))?)
}

/// Makes the cluster what the spec says, from whatever it is.
pub(super) async fn apply(global: &Global, opened: &Opened, spec: ClusterSpec, go_on: &str) -> Result<Exit> {
    let context = &opened.context;
    adopt_roles(context).await?;
    let plan = plan::plan(&spec, Some(&context.journal()));
    let (managers, workers) = (spec.managers, spec.workers);
    if !plan.create.is_empty() {
        check(context, &spec).await?;
    }
    context.ledger.record(|journal| plan.commit(&spec, journal)).await?;
    finish(global, opened, go_on, &format!("Swarm `{}` has {}", spec.name, describe_counts(managers, workers))).await
}

/// Asks provider and bundle whether they can, before the wish is written down.
async fn check(context: &Context, spec: &ClusterSpec) -> Result<()> {
    phase::agent_file(context)?;
    let request = Journal { spec: spec.clone(), ..Journal::clone(&context.journal()) }.request();
    let checked = context.driver.preflight(&request).await;
    checked.with_context(|| format!("failed to use provider `{}`", spec.provider))?;
    Ok(())
}

/// Walks the phases over what the journal announces by now.
pub(super) async fn finish(global: &Global, opened: &Opened, go_on: &str, done: &str) -> Result<Exit> {
    let result = Box::pin(phase::forward(&opened.context)).await;
    opened.context.progress.clear();
    let printer = global.printer();
    match result {
        Ok(()) => {
            if printer.is_json() {
                printer.json(&opened.context.journal().spec);
            } else if !printer.is_quiet() {
                printer.line(done);
            }
            Ok(Exit::Done)
        }
        Err(error) if error.is_interruption() => {
            printer.warning("interrupted");
            printer.hint(go_on);
            Ok(Exit::Interrupted)
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            let hint = hint_of(&error).unwrap_or_else(|| go_on.to_owned());
            report::error(&error, Some(&hint));
            Ok(Exit::PartlyDone)
        }
    }
}

/// Takes over the roles that nodes have by now: `docker node promote` asks nobody here.
pub(super) async fn adopt_roles(context: &Context) -> Result<()> {
    let nodes = context.swarm()?.nodes().await?;
    context.ledger.note(|journal| {
        for machine in journal.machines.values_mut().filter(|machine| machine.step == Step::Joined) {
            let node = nodes.iter().find(|node| Some(&node.id) == machine.node_id.as_ref());
            machine.role = node.map_or(machine.role, |node| node.role);
        }
    });
    Ok(())
}

/// Changes the count of a role.
pub(super) fn recount(spec: &ClusterSpec, role: Role, change: impl FnOnce(u32) -> u32) -> ClusterSpec {
    let mut spec = spec.clone();
    match role {
        Role::Manager => spec.managers = change(spec.managers),
        Role::Worker => spec.workers = change(spec.workers),
    }
    spec
}
