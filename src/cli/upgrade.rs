//! `swarmup upgrade`: the agent at hand for every node of a cluster, without losing the quorum and without a container
//! that notices.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use driver::InstanceState;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::arguments::AgentArguments;
use super::failure::StateError;
use super::open::{Viewed, find_machine};
use super::{Exit, Global, hint_of, scale};
use crate::cluster::hostname;
use crate::journal::{Journal, Step};
use crate::output::{Printer, report};
use crate::phase::{self, Outcome, OutcomeState, Wish};

/// How many digits of a digest tell agents apart for people.
const SHORT_DIGEST: usize = 12;

/// Upgrades the agents of a cluster.
#[derive(Debug, Args)]
pub(super) struct Upgrade {
    /// The cluster
    name: Option<String>,
    /// Only this node, by host name, name at the provider or id; may be repeated
    #[arg(long = "node", value_name = "NODE", value_delimiter = ',')]
    nodes: Vec<String>,
    /// Install the agent whatever versions it and the nodes have
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    agent: AgentArguments,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    nodes: &'a [Outcome],
    /// The nodes that have not had their turn, or have failed.
    left: Vec<String>,
}

impl Upgrade {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global, stop: CancellationToken) -> Result<Exit> {
        let viewed = Viewed::open(global, self.name.as_deref())?;
        let opened = scale::open(viewed, global, self.agent.agent.clone(), None, stop)?;
        let context = &opened.context;
        // That there is none is said before anything is asked.
        phase::agent_file(context)?;
        let journal = context.journal();
        let wish = Wish { machines: machines(&journal, &self.nodes)?, is_forced: self.force };

        let mut outcomes = Vec::new();
        let result = Box::pin(phase::upgrade(context, &wish, &mut outcomes)).await;
        context.progress.clear();
        let is_done = |name: &String| outcomes.iter().any(|outcome| outcome.hostname == *name);
        let left: Vec<_> = wish.machines.iter().map(|number| hostname(*number)).filter(|name| !is_done(name)).collect();
        let name = journal.spec.name.as_str();
        let printer = global.printer();
        printer.value(&Shown { name, nodes: &outcomes, left }, |shown| told(shown, printer));

        let Err(error) = result else { return Ok(Exit::Done) };
        let go_on = format!("go on with `{}`: it passes over the nodes that have it", self.command(name));
        if error.is_interruption() {
            printer.warning("interrupted");
            printer.hint(&go_on);
            return Ok(Exit::Interrupted);
        }
        let error = anyhow::Error::from(error);
        let hint = hint_of(&error).unwrap_or_else(|| "see `swarmup logs NODE`".to_owned());
        report::error(&error, Some(&format!("{hint}; {go_on}")));
        let has_changed = outcomes.iter().any(|outcome| outcome.state == OutcomeState::Upgraded);
        Ok(if has_changed { Exit::PartlyDone } else { Exit::Failed })
    }

    /// The command that goes on where this one ended.
    fn command(&self, name: &str) -> String {
        let mut command = format!("swarmup upgrade {name}");
        for node in &self.nodes {
            let _ = write!(command, " --node {node}");
        }
        if self.force {
            command.push_str(" --force");
        }
        command
    }
}

/// The machines that are meant: those that are named, else all that are members.
fn machines(journal: &Journal, names: &[String]) -> Result<BTreeSet<u32>> {
    let mut machines = BTreeSet::new();
    for name in names {
        let (number, machine) = find_machine(journal, name)?;
        if machine.step != Step::Joined {
            let message = format!("`{name}` is no member of the swarm, or is being removed");
            return Err(
                StateError::new(message, format!("go on with `swarmup scale {}` first", journal.spec.name)).into()
            );
        }
        machines.insert(number);
    }
    if names.is_empty() {
        let members = journal.machines.iter().filter(|(_, machine)| machine.step == Step::Joined);
        machines.extend(members.map(|(number, _)| *number));
    }
    let is_stopped = |number: &&u32| {
        let instance = journal.machines[*number].instance.as_ref();
        instance.is_some_and(|instance| instance.state == InstanceState::Stopped)
    };
    if let Some(stopped) = machines.iter().find(is_stopped).map(|number| hostname(*number)) {
        let hint = format!("start it with `swarmup node start {stopped}`, or name the others with --node");
        return Err(StateError::new(format!("`{stopped}` is stopped"), hint).into());
    }
    Ok(machines)
}

/// What became of the nodes, for people.
fn told(shown: &Shown<'_>, printer: Printer) -> String {
    if printer.is_quiet() {
        let upgraded = shown.nodes.iter().filter(|node| node.state == OutcomeState::Upgraded);
        return upgraded.fold(String::new(), |text, node| text + &node.hostname + "\n");
    }
    let mut text = String::new();
    for node in shown.nodes {
        let digest = node.sha256.get(..SHORT_DIGEST).unwrap_or_default();
        let agent = format!("{} {digest}", node.version);
        let what = match node.state {
            OutcomeState::Upgraded => format!("upgraded in {:.1} s", node.seconds),
            OutcomeState::Current => "had it already".to_owned(),
        };
        let _ = writeln!(text, "{}: agent {}, {what}", node.hostname, agent.trim_end());
    }
    if shown.left.is_empty() {
        let _ = writeln!(text, "The agents of swarm `{}` are upgraded", shown.name);
    } else {
        let _ = writeln!(text, "Not upgraded: {}", shown.left.join(", "));
    }
    text
}
