//! `swarmup allow-me`: lets in the address that this workstation is seen by now, after it has changed.

use anyhow::{Context as _, Result};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::failure::StateError;
use super::open::Viewed;
use super::{Exit, Global};
use crate::ingress::host_prefix;
use crate::journal::NetworkRecord;
use crate::operator;

/// Lets this workstation in again after its address has changed.
#[derive(Debug, Args)]
pub(super) struct AllowMe {
    /// The cluster
    name: Option<String>,
}

impl AllowMe {
    /// Runs the command. The address takes the place of the one that was found before; prefixes that were named stay,
    /// and it joins them.
    pub(super) async fn run(self, global: &Global, stop: CancellationToken) -> Result<Exit> {
        let viewed = Viewed::open(global, self.name.as_deref())?;
        let opened = viewed.lock(global, None, None, stop)?;
        let context = &opened.context;
        let journal = context.journal();
        let (name, provider) = (&journal.spec.name, &journal.spec.provider);
        if !context.driver.capabilities().has_firewall {
            let message = format!("provider `{provider}` has no firewall that could keep you out");
            return Err(StateError::new(message, "look at the hosts' own").into());
        }
        let seen = operator::seen_by(&journal.spec).await?;
        let prefix = host_prefix(seen.address);
        context
            .ledger
            .record(|journal| {
                let named = &mut journal.spec.ingress.ssh_from;
                if named.is_empty() {
                    journal.operator = vec![prefix.clone()];
                } else if !named.contains(&prefix) {
                    named.push(prefix.clone());
                }
            })
            .await?;
        let network = context.driver.ensure_network(&context.request()).await;
        let network = network.with_context(|| format!("failed to change the firewall of `{name}`"))?;
        context.ledger.record(|journal| journal.network = NetworkRecord::Exists(network)).await?;
        let printer = global.printer();
        if printer.is_json() {
            printer.json(&serde_json::json!({ "name": name, "from": prefix, "told_by": seen.services }));
        } else if !printer.is_quiet() {
            printer.line(&format!("Cluster `{name}` lets in {prefix} (told by {})", seen.services));
        }
        Ok(Exit::Done)
    }
}
