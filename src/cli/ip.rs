//! `swarmup ip`: the addresses of nodes.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::open::Viewed;
use super::{Exit, Global};
use crate::cluster::hostname;
use crate::output::Table;

/// Shows the addresses of nodes.
#[derive(Debug, Args)]
pub(super) struct Ip {
    /// The node; all where absent
    node: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    hostname: String,
    /// By which the other members reach it.
    private_address: String,
    /// By which the operator reaches it.
    address: String,
}

impl Ip {
    /// Runs the command.
    pub(super) fn run(self, global: &Global) -> Result<Exit> {
        let viewed = Viewed::open(global, None)?;
        let only = self.node.as_deref().map(|node| viewed.machine(node)).transpose()?.map(|(number, _)| number);
        let machines = viewed.journal.machines.iter().filter(|(number, _)| only.is_none_or(|only| only == **number));
        let mut rows = Vec::new();
        for (number, machine) in machines {
            let Some(instance) = &machine.instance else { continue };
            let text =
                |address: Option<std::net::IpAddr>| address.map(|address| address.to_string()).unwrap_or_default();
            rows.push(Row {
                hostname: hostname(*number),
                private_address: text(instance.private_address),
                address: text(instance.public_address.or(instance.private_address)),
            });
        }
        let printer = global.printer();
        match rows.as_slice() {
            [row] if only.is_some() => printer.value(row, |row| row.address.clone()),
            rows => printer.list(
                rows,
                |row| &row.address,
                |rows| {
                    let mut table = Table::new(["NODE", "ADDRESS", "PRIVATE ADDRESS"]);
                    for row in rows {
                        table.row([row.hostname.clone(), row.address.clone(), row.private_address.clone()]);
                    }
                    table
                },
            ),
        }
        Ok(Exit::Done)
    }
}
