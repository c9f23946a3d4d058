//! `swarmup status`: how a cluster and its nodes fare, by the journal and by the swarm itself.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use model::Role;
use serde::Serialize;

use super::open::Viewed;
use super::{Exit, Global, hint_of};
use crate::cluster::{describe_counts, hostname};
use crate::engine::SwarmNode;
use crate::journal::{Stage, Step};
use crate::output::Table;

/// Shows how a cluster and its nodes fare.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The cluster
    name: Option<String>,
}

/// All that is told of a cluster.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    name: String,
    provider: String,
    state: &'static str,
    managers: u32,
    workers: u32,
    created_at: jiff::Timestamp,
    owner: String,
    /// Whether every machine is a node that is well.
    is_well: bool,
    /// Why the swarm could not be asked, where it could not.
    pub(super) error: Option<String>,
    /// What can be done about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
    pub(super) nodes: Vec<NodeRow>,
}

/// All that is told of a node.
#[derive(Debug, Serialize)]
pub(super) struct NodeRow {
    pub(super) hostname: String,
    id: Option<String>,
    role: Role,
    step: &'static str,
    state: String,
    standing: String,
    availability: String,
    pub(super) address: Option<String>,
    engine_version: String,
}

impl Status {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global) -> Result<Exit> {
        let viewed = Viewed::open(global, self.name.as_deref())?;
        let report = report(&viewed).await;
        let printer = global.printer();
        printer.value(&report, |report| {
            let counts = describe_counts(report.managers, report.workers);
            let mut text = format!(
                "Cluster  {}\nProvider {}\nState    {}, {counts}\n",
                report.name, report.provider, report.state
            );
            if let Some(error) = &report.error {
                let _ = writeln!(text, "Swarm    {error}");
            }
            format!("{text}\n{}", table(&report.nodes))
        });
        if let Some(hint) = &report.hint {
            printer.hint(hint);
        }
        Ok(if report.is_well || report.state != Stage::Ready.as_str() { Exit::Done } else { Exit::Failed })
    }
}

/// What journal and swarm tell of a cluster.
pub(super) async fn report(viewed: &Viewed) -> Report {
    let seen = match viewed.journal.stage {
        Stage::Creating | Stage::Destroying => Ok(Vec::new()),
        Stage::Formed | Stage::Ready => match viewed.swarm() {
            Ok(swarm) => swarm.nodes().await.map_err(anyhow::Error::from),
            Err(error) => Err(error),
        },
    };
    let (seen, error, hint) = match seen {
        Ok(seen) => (seen, None, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}")), hint_of(&error)),
    };
    let journal = &viewed.journal;
    let mut nodes: Vec<NodeRow> = journal
        .machines
        .iter()
        .map(|(number, machine)| {
            let node = seen.iter().find(|node| Some(&node.id) == machine.node_id.as_ref());
            let address = machine.instance.as_ref().and_then(|instance| instance.private_address);
            row(hostname(*number), machine.role, machine.step, address.map(|address| address.to_string()), node)
        })
        .collect();
    // Nodes that joined by hand are members like all others, though no machine of ours.
    let is_ours =
        |node: &SwarmNode| journal.machines.values().any(|machine| machine.node_id.as_ref() == Some(&node.id));
    for node in seen.iter().filter(|node| !is_ours(node)) {
        nodes.push(row(node.hostname.clone(), node.role, Step::Joined, Some(node.address.clone()), Some(node)));
    }
    let is_well = error.is_none() && journal.stage == Stage::Ready && crate::phase::unwell(journal, &seen).is_empty();
    Report {
        name: viewed.name.clone(),
        provider: journal.spec.provider.clone(),
        state: journal.stage.as_str(),
        managers: journal.spec.managers,
        workers: journal.spec.workers,
        created_at: journal.created_at,
        owner: journal.owner.clone(),
        is_well,
        error,
        hint,
        nodes,
    }
}

/// The nodes, as a table.
pub(super) fn table(nodes: &[NodeRow]) -> Table {
    let mut table = Table::new(["NODE", "ID", "ROLE", "STATE", "MANAGER", "AVAILABILITY", "ADDRESS", "ENGINE"]);
    for node in nodes {
        table.row([
            node.hostname.clone(),
            node.id.clone().unwrap_or_default(),
            node.role.as_str().to_owned(),
            node.state.clone(),
            node.standing.clone(),
            node.availability.clone(),
            node.address.clone().unwrap_or_default(),
            node.engine_version.clone(),
        ]);
    }
    table
}

fn row(hostname: String, role: Role, step: Step, address: Option<String>, node: Option<&SwarmNode>) -> NodeRow {
    let availability = node.map(|node| match node.availability {
        model::Availability::Active => "active",
        model::Availability::Pause => "pause",
        model::Availability::Drain => "drain",
    });
    NodeRow {
        hostname,
        id: node.map(|node| node.id.to_string()),
        role: node.map_or(role, |node| node.role),
        step: step.as_str(),
        state: node.map_or_else(|| step.as_str().to_owned(), |node| node.state.clone()),
        standing: node.map(|node| node.standing().to_owned()).unwrap_or_default(),
        availability: availability.unwrap_or_default().to_owned(),
        address,
        engine_version: node.map(|node| node.engine_version.clone()).unwrap_or_default(),
    }
}
