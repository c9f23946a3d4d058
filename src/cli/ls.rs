//! `swarmup ls`: all clusters that this workstation knows; with `--cloud`, all that the providers show, whoever made
//! them.

use anyhow::Result;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::arguments::DriverFlags;
use super::{Exit, Global, clouds};
use crate::home::Home;
use crate::journal::file;
use crate::output::Table;
use crate::sighting::Sighting;

/// Lists clusters.
#[derive(Debug, Args)]
pub(super) struct Ls {
    /// Those that the providers show by their marks, also of other people and workstations
    #[arg(long)]
    cloud: bool,
    /// The provider to look at, with --cloud; may be repeated [default: every cloud]
    #[arg(long, value_name = "PROVIDER", requires = "cloud")]
    provider: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    provider: String,
    state: String,
    managers: Option<u32>,
    workers: Option<u32>,
    created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

impl Ls {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global, flags: DriverFlags) -> Result<Exit> {
        let home = Home::locate()?;
        if self.cloud {
            let looked = clouds::look(global, &home, &self.provider, flags).await?;
            let seen: Vec<Sighting> = looked.into_iter().flat_map(|looked| looked.seen).collect();
            let now = Timestamp::now();
            global.printer().list(&seen, Sighting::called, |seen| {
                table(seen.iter().map(|sighting| (sighting, sighting.is_vanishing)), now)
            });
            return Ok(Exit::Done);
        }
        known(global, &home)?;
        Ok(Exit::Done)
    }
}

fn known(global: &Global, home: &Home) -> Result<()> {
    let mut rows = Vec::new();
    for name in home.clusters()? {
        // One damaged journal must not hide the other clusters.
        rows.push(match file::read(&home.cluster_folder(&name)) {
            Ok(Some(journal)) => Row {
                name,
                provider: journal.spec.provider,
                state: journal.stage.as_str().to_owned(),
                managers: Some(journal.spec.managers),
                workers: Some(journal.spec.workers),
                created_at: Some(journal.created_at),
                expires: journal.expires,
            },
            Ok(None) => continue,
            Err(_) => Row {
                name,
                provider: String::new(),
                state: "damaged journal".to_owned(),
                managers: None,
                workers: None,
                created_at: None,
                expires: None,
            },
        });
    }
    global.printer().list(
        &rows,
        |row| &row.name,
        |rows| {
            let mut table = Table::new(["NAME", "PROVIDER", "STATE", "MANAGERS", "WORKERS", "CREATED"]);
            let count = |count: Option<u32>| count.map(|count| count.to_string()).unwrap_or_default();
            for row in rows {
                table.row([
                    row.name.clone(),
                    row.provider.clone(),
                    row.state.clone(),
                    count(row.managers),
                    count(row.workers),
                    row.created_at.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default(),
                ]);
            }
            table
        },
    );
    Ok(())
}

/// The clusters that providers show, and whether each is gone, or going.
pub(super) fn table<'a>(seen: impl Iterator<Item = (&'a Sighting, bool)>, now: Timestamp) -> Table {
    let mut table =
        Table::new(["NAME", "PROVIDER", "OWNER", "AGE", "ENDS IN", "MACHINES", "PER HOUR", "MARK", "STATE"]);
    for (sighting, is_gone) in seen {
        let price = sighting.price.as_ref();
        let state = match (is_gone, sighting.is_vanishing) {
            (true, false) => "destroyed",
            (_, true) => "vanishing",
            (false, false) if sighting.expires.is_some_and(|expires| expires <= now) => "overdue",
            (false, false) => "",
        };
        table.row([
            sighting.name.clone().unwrap_or_default(),
            sighting.place(),
            sighting.owner.clone().unwrap_or_default(),
            sighting.created_at.map(|begun| about(now.duration_since(begun))).unwrap_or_default(),
            sighting.expires.map(|expires| about(expires.duration_since(now))).unwrap_or_default(),
            sighting.machines.len().to_string(),
            price.map(|price| format!("{:.4} {}", price.per_hour, price.currency)).unwrap_or_default(),
            sighting.cluster.to_string(),
            state.to_owned(),
        ]);
    }
    table
}

/// A duration in its largest unit that is not a single one: `95m`, `5h`, `3d`.
fn about(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let seconds = duration.as_secs().unsigned_abs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7200 => (seconds / 60, "m"),
        7200..172_800 => (seconds / 3600, "h"),
        172_800.. => (seconds / 86_400, "d"),
    };
    format!("{sign}{count}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_one_unit() {
        let check = |seconds, expected: &str| assert_eq!(about(SignedDuration::from_secs(seconds)), expected);
        check(0, "0s");
        check(119, "119s");
        check(120, "2m");
        check(5 * 3600, "5h");
        check(-3600, "-60m");
        check(3 * 86_400, "3d");
    }
}
