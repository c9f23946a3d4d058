//! `swarmup plan`: what `create` would do, and what it would take. Changes nothing.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use clap::Args;
use driver::{ClusterId, Estimate, FirewallRule, Protocol, RuleSource};
use serde::Serialize;

use super::arguments::{DriverFlags, SpecArguments};
use super::{Exit, Global, open};
use crate::cluster::{ClusterSpec, check_name};
use crate::home::Home;
use crate::journal::{Journal, file};
use crate::plan::{PlannedMachine, plan};
use crate::{config, providers};

/// Shows what `create` would do.
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    spec: SpecArguments,
}

#[derive(Debug, Serialize)]
struct Shown {
    spec: ClusterSpec,
    plan: crate::plan::Plan,
    /// What is let in, where there is a firewall to be opened.
    firewall: Vec<FirewallRule>,
    estimate: Estimate,
}

impl Plan {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global, flags: DriverFlags) -> Result<Exit> {
        let file = self.spec.file.as_deref().map(config::read_file).transpose()?.unwrap_or_default();
        let wishes = self.spec.wishes(global.cluster(self.spec.name.as_deref()), flags);
        let name = config::chosen_name(&wishes, &file);
        check_name(&name)?;
        let home = Home::locate()?;
        let journal = file::read(&home.cluster_folder(&name))?;
        let current = journal.as_ref().map(|journal| &journal.spec);
        let spec = config::resolve(&wishes, &file, &|name| std::env::var(name).ok(), current)?;

        let plan = plan(&spec, journal.as_ref());
        let driver = providers::find(&spec.provider)?.driver(&spec.options, &home, &open::dialer())?;
        let id = journal.as_ref().map_or_else(|| ClusterId("not-made-yet".to_owned()), |journal| journal.id.clone());
        let request = Journal::begin(id, spec.clone(), "nobody".to_owned(), jiff::Timestamp::now()).request();
        let estimate = driver
            .estimate(&request)
            .await
            .with_context(|| format!("failed to ask provider `{}` for an estimate", spec.provider))?;
        let capabilities = driver.capabilities();
        let has_firewall = capabilities.has_firewall || capabilities.machines_are_given;
        let firewall = if has_firewall { request.firewall } else { Vec::new() };
        global.printer().value(&Shown { spec, plan, firewall, estimate }, text);
        Ok(Exit::Done)
    }
}

fn text(shown: &Shown) -> String {
    let mut text = String::new();
    let Shown { spec, plan, estimate, .. } = shown;
    let _ = writeln!(text, "Cluster `{}` at provider `{}`", spec.name, spec.provider);
    if plan.is_empty() {
        let _ = writeln!(text, "\nNothing is to be done: it is complete");
        return text;
    }
    for (what, machines) in
        [("Create", &plan.create), ("Finish", &plan.finish), ("Keep", &plan.keep), ("Remove", &plan.remove)]
    {
        if !machines.is_empty() {
            let _ = writeln!(text, "  {what:<7} {}", list(machines));
        }
    }
    let _ = writeln!(text, "\nPhases");
    for phase in &plan.phases {
        let _ = writeln!(text, "  {phase}");
    }
    if !shown.firewall.is_empty() {
        let _ = writeln!(text, "\nFirewall");
        for rule in &shown.firewall {
            let _ = writeln!(text, "  {}", described(rule));
        }
    }
    if !estimate.calls.is_empty() {
        let _ = writeln!(text, "\nCalls to the provider");
        for call in &estimate.calls {
            let _ = writeln!(text, "  {call}");
        }
    }
    let price = estimate.price.as_ref().map_or_else(
        || "nothing".to_owned(),
        |price| format!("{:.4} {} an hour (prices of {})", price.per_hour, price.currency, price.as_of),
    );
    let _ = writeln!(text, "\nMachines answer after about {} s; it costs {price}", estimate.seconds);
    text
}

/// `2377/tcp between the members`.
fn described(rule: &FirewallRule) -> String {
    let protocol = match rule.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Esp => "esp",
    };
    let what = rule.port.map_or_else(|| protocol.to_owned(), |port| format!("{port}/{protocol}"));
    match &rule.source {
        RuleSource::Members => format!("{what} between the members"),
        RuleSource::Operator => format!("{what} from this workstation"),
        RuleSource::Prefix(prefix) => format!("{what} from {prefix}"),
    }
}

fn list(machines: &[PlannedMachine]) -> String {
    machines
        .iter()
        .map(|machine| format!("{} ({})", machine.hostname, machine.role.as_str()))
        .collect::<Vec<_>>()
        .join(", ")
}
