//! `swarmup plan`: what `create` would do, and what it would take. Changes nothing.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use driver::{ClusterId, Estimate, Expiry, FirewallRule, Protocol, RuleSource};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::arguments::{DriverFlags, LimitArguments, SpecArguments, check_ingress, estimate};
use super::{Exit, Global, open};
use crate::cluster::{ClusterSpec, check_name};
use crate::home::Home;
use crate::ingress::host_prefix;
use crate::journal::{Journal, file};
use crate::plan::{PlannedMachine, plan};
use crate::{config, cost, operator, providers};

/// Shows what `create` would do.
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    spec: SpecArguments,
    #[command(flatten)]
    limits: LimitArguments,
}

#[derive(Debug, Serialize)]
struct Shown {
    spec: ClusterSpec,
    plan: crate::plan::Plan,
    /// What is let in, where there is a firewall to be opened.
    firewall: Vec<FirewallRule>,
    /// Who told where the operator comes from, where it was asked.
    told_by: Option<String>,
    estimate: Estimate,
    /// How long it shall live.
    ttl: Option<SignedDuration>,
    /// Who ends it then.
    expiry: Expiry,
    /// Whether its machines cost money.
    is_cloud: bool,
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
        check_ingress(&spec, &*driver)?;
        let mut imagined = Journal::begin(id, spec.clone(), "nobody".to_owned(), Timestamp::now());
        imagined.operator = journal.as_ref().map(|journal| journal.operator.clone()).unwrap_or_default();
        imagined.expires = self.limits.ttl.map(|ttl| imagined.created_at.saturating_add(ttl)).transpose()?;
        let capabilities = driver.capabilities();
        let seen = operator::seen_if_unknown(&imagined, capabilities).await?;
        imagined.operator.extend(seen.iter().map(|seen| host_prefix(seen.address)));
        let told_by = seen.map(|seen| seen.services);
        let request = imagined.request();
        self.limits.check_ttl(capabilities, &spec.provider)?;
        let estimate = estimate(&*driver, &request, &spec.provider).await?;
        self.limits.check_cost(&estimate, capabilities, &spec.provider)?;
        let has_firewall = capabilities.has_firewall || capabilities.machines_are_given;
        let firewall = if has_firewall { request.firewall } else { Vec::new() };
        let (ttl, expiry) = (self.limits.ttl, capabilities.expiry);
        global.printer().value(
            &Shown { spec, plan, firewall, told_by, estimate, ttl, expiry, is_cloud: capabilities.has_user_data },
            text,
        );
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
        if let Some(services) = &shown.told_by {
            let _ = writeln!(text, "  (your address was told by {services})");
        }
    }
    section(&mut text, "Resources", &estimate.resources);
    section(&mut text, "Calls to the provider", &estimate.calls);
    section(&mut text, "Calls that wait for one another", &estimate.path);
    let price = match &estimate.price {
        Some(price) => cost::described(price, shown.ttl),
        None if shown.is_cloud => "what the driver does not know".to_owned(),
        None => "nothing".to_owned(),
    };
    let _ = writeln!(text, "\nMachines answer after about {:.1} s; it costs {price}", estimate.seconds);
    if shown.ttl.is_some() {
        let _ = writeln!(text, "{}", ended_by(shown.expiry));
    }
    text
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "\n{title}");
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
}

fn ended_by(expiry: Expiry) -> &'static str {
    match expiry {
        Expiry::Provider => "The provider ends it then",
        Expiry::Machine => "Its machines end themselves then; root on a machine can prevent that",
        Expiry::Nobody => "Nobody ends it then: it costs on until somebody runs `swarmup gc` or `swarmup destroy`",
    }
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
