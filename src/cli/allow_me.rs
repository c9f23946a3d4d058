//! `swarmup allow-me`: lets in the address that this workstation is seen by now, after it has changed.

use anyhow::{Context as _, Result};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::failure::{StateError, UsageError};
use super::open::Viewed;
use super::{Exit, Global};
use crate::ingress::{Ingress, host_prefix};
use crate::journal::{Journal, NetworkRecord};
use crate::operator;

/// Lets this workstation in again after its address has changed.
#[derive(Debug, Args)]
pub(super) struct AllowMe {
    /// The cluster
    name: Option<String>,
    /// Where you come from now, in place of all that was let in [default: the one address that you are seen by]
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    ssh_from: Vec<String>,
}

impl AllowMe {
    /// Runs the command. An address that is found takes the place of the one that was found before, and joins prefixes
    /// that were named; prefixes that are named now take the place of all.
    pub(super) async fn run(self, global: &Global, stop: CancellationToken) -> Result<Exit> {
        let named = Ingress::prefixes(&self.ssh_from);
        let named = named.map_err(|error| UsageError::new(error.to_string(), error.hint()))?;
        let viewed = Viewed::open(global, self.name.as_deref())?;
        let opened = viewed.lock(global, None, None, stop)?;
        let context = &opened.context;
        let journal = context.journal();
        let (name, provider) = (&journal.spec.name, &journal.spec.provider);
        if !context.driver.capabilities().has_firewall {
            let message = format!("provider `{provider}` has no firewall that could keep you out");
            return Err(StateError::new(message, "look at the hosts' own").into());
        }
        let told_by = if named.is_empty() {
            let seen = operator::seen_by(&journal.spec).await?;
            let prefix = host_prefix(seen.address);
            context.ledger.record(|journal| let_in(journal, prefix)).await?;
            Some(seen.services)
        } else {
            context.ledger.record(|journal| journal.spec.ingress.ssh_from = named).await?;
            None
        };
        let network = context.driver.ensure_network(&context.request()).await;
        let network = network.with_context(|| format!("failed to change the firewall of `{name}`"))?;
        context.ledger.record(|journal| journal.network = NetworkRecord::Exists(network)).await?;
        let journal = context.journal();
        let from = journal.let_in().join(", ");
        let printer = global.printer();
        if printer.is_json() {
            printer.json(&serde_json::json!({ "name": name, "from": journal.let_in(), "told_by": told_by }));
        } else if !printer.is_quiet() {
            let told_by = told_by.map(|services| format!(" (told by {services})")).unwrap_or_default();
            printer.line(&format!("Cluster `{name}` lets in {from}{told_by}"));
        }
        Ok(Exit::Done)
    }
}

/// Lets in the one address that was found.
fn let_in(journal: &mut Journal, prefix: String) {
    let named = &mut journal.spec.ingress.ssh_from;
    if named.is_empty() {
        journal.operator = vec![prefix];
    } else if !named.contains(&prefix) {
        named.push(prefix);
    }
}
