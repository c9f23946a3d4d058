//! What a cluster shall be: its name, its provider, its roles and counts.
//!
//! A [`ClusterSpec`] is validated once, by [`ClusterSpec::validate`]; whoever holds one later need not check again.

use std::fmt::Write as _;

use driver::{OptionValue, Options};
use model::Role;
use serde::{Deserialize, Serialize};

use crate::ingress::Ingress;

/// The name of a cluster that is given none.
pub const DEFAULT_NAME: &str = "default";
/// How many managers a cluster has unless it says otherwise.
pub const DEFAULT_MANAGERS: u32 = 3;
/// How many workers a cluster has unless it says otherwise.
pub const DEFAULT_WORKERS: u32 = 2;
/// The longest name of a cluster, so that `<cluster>-node-<number>` stays a DNS label everywhere.
const MAX_NAME_LENGTH: usize = 40;
/// The largest cluster: the roster travels in every bootstrap file, and local networks are a /24.
const MAX_MACHINES: u32 = 250;

/// What a cluster shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// Its name, a DNS label.
    pub name: String,
    /// The provider of its machines.
    pub provider: String,
    /// How many managers it has.
    pub managers: u32,
    /// How many workers it has.
    pub workers: u32,
    /// Whether an even number of managers was asked for knowingly.
    #[serde(default)]
    pub allow_even_managers: bool,
    /// What may come in, where the provider has a firewall.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ingress: Ingress,
    /// The provider's own options, defaults filled in.
    #[serde(default)]
    pub options: Options,
}

/// Why a cluster cannot be as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    /// The name is no DNS label.
    #[error("`{name}` is not a name for a cluster")]
    Name {
        /// What was given.
        name: String,
    },
    /// Nobody would hold the swarm's state.
    #[error("a cluster needs at least one manager")]
    NoManagers,
    /// An even number survives no more failures than one manager fewer does.
    #[error("{managers} managers survive no more failures than {} do", .managers - 1)]
    EvenManagers {
        /// What was given.
        managers: u32,
    },
    /// More machines than a cluster may have.
    #[error("{machines} machines are more than the {MAX_MACHINES} that a cluster may have")]
    TooMany {
        /// What was given.
        machines: u64,
    },
}

impl InvalidSpec {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Name { .. } => {
                format!("use at most {MAX_NAME_LENGTH} of a-z, 0-9 and `-`, beginning with a letter, not ending in `-`")
            }
            Self::NoManagers => "ask for --managers 1, or better 3".to_owned(),
            Self::EvenManagers { managers } => format!(
                "use --managers {} or --managers {}, or add --allow-even-managers",
                managers - 1,
                managers.saturating_add(1)
            ),
            Self::TooMany { .. } => "ask for fewer machines".to_owned(),
        }
    }
}

impl ClusterSpec {
    /// Checks every rule that needs nothing but the spec itself.
    pub fn validate(self) -> Result<Self, InvalidSpec> {
        check_name(&self.name)?;
        let machines = u64::from(self.managers) + u64::from(self.workers);
        if machines > u64::from(MAX_MACHINES) {
            return Err(InvalidSpec::TooMany { machines });
        }
        if self.managers == 0 {
            return Err(InvalidSpec::NoManagers);
        }
        if self.managers.is_multiple_of(2) && !self.allow_even_managers {
            return Err(InvalidSpec::EvenManagers { managers: self.managers });
        }
        Ok(self)
    }

    /// How many machines it has in all.
    pub fn machines(&self) -> u32 {
        self.managers + self.workers
    }

    /// How many machines of a role it has.
    pub fn count(&self, role: Role) -> u32 {
        match role {
            Role::Manager => self.managers,
            Role::Worker => self.workers,
        }
    }

    /// The name that the provider knows a machine by.
    pub fn machine_name(&self, number: u32) -> String {
        format!("{}-{}", self.name, hostname(number))
    }

    /// What would change from `self` to `other`, one line each; empty where they are the same.
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut compare = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                lines.push(format!("{what}: {ours} -> {theirs}"));
            }
        };
        compare("provider", self.provider.clone(), other.provider.clone());
        compare("managers", self.managers.to_string(), other.managers.to_string());
        compare("workers", self.workers.to_string(), other.workers.to_string());
        let list = |values: &[String]| if values.is_empty() { "(none)".to_owned() } else { values.join(", ") };
        let ports = |ports: &[u16]| list(&ports.iter().map(ToString::to_string).collect::<Vec<_>>());
        compare("ssh-from", list(&self.ingress.ssh_from), list(&other.ingress.ssh_from));
        compare("open", ports(&self.ingress.open), ports(&other.ingress.open));
        compare("encrypted-networks", self.ingress.encrypted.to_string(), other.ingress.encrypted.to_string());
        if self.provider == other.provider {
            let names = self.options.0.keys().chain(other.options.0.keys()).collect::<std::collections::BTreeSet<_>>();
            for name in names {
                compare(name, shown(self.options.0.get(name)), shown(other.options.0.get(name)));
            }
        }
        lines
    }
}

/// The host name of a machine: `node-<number>`.
pub fn hostname(number: u32) -> String {
    format!("node-{number}")
}

/// `3 managers, 2 workers`, in proper English.
pub fn describe_counts(managers: u32, workers: u32) -> String {
    let plural = |count: u32| if count == 1 { "" } else { "s" };
    let mut text = format!("{managers} manager{}", plural(managers));
    let _ = write!(text, ", {workers} worker{}", plural(workers));
    text
}

/// Whether a text may name a cluster.
pub fn check_name(name: &str) -> Result<(), InvalidSpec> {
    let is_inner = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    let is_name = name.len() <= MAX_NAME_LENGTH
        && name.starts_with(|character: char| character.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(is_inner);
    if is_name { Ok(()) } else { Err(InvalidSpec::Name { name: name.to_owned() }) }
}

fn is_default(ingress: &Ingress) -> bool {
    *ingress == Ingress::default()
}

fn shown(value: Option<&OptionValue>) -> String {
    match value {
        None => "(none)".to_owned(),
        Some(OptionValue::One(value)) => value.clone(),
        Some(OptionValue::Many(values)) => values.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(managers: u32, workers: u32) -> ClusterSpec {
        ClusterSpec {
            name: "lab".to_owned(),
            provider: "fake".to_owned(),
            managers,
            workers,
            allow_even_managers: false,
            ingress: Ingress::default(),
            options: Options::default(),
        }
    }

    #[test]
    fn counts_are_checked() {
        let check = |managers, workers, expected: Option<InvalidSpec>| {
            assert_eq!(spec(managers, workers).validate().err(), expected);
        };
        check(1, 0, None);
        check(3, 2, None);
        check(0, 2, Some(InvalidSpec::NoManagers));
        check(2, 2, Some(InvalidSpec::EvenManagers { managers: 2 }));
        check(3, 248, Some(InvalidSpec::TooMany { machines: 251 }));
        check(u32::MAX, u32::MAX, Some(InvalidSpec::TooMany { machines: 2 * u64::from(u32::MAX) }));
    }

    #[test]
    fn an_even_number_of_managers_can_be_insisted_on() {
        let even = ClusterSpec { allow_even_managers: true, ..spec(2, 0) };

        assert!(even.validate().is_ok());
    }

    #[test]
    fn names_are_dns_labels_in_lower_case() {
        let check = |name: &str, expected: bool| assert_eq!(check_name(name).is_ok(), expected, "{name}");
        check("lab", true);
        check("lab-2", true);
        check("", false);
        check("Lab", false);
        check("2lab", false);
        check("lab-", false);
        check("la_b", false);
        check("../lab", false);
        check(&"a".repeat(40), true);
        check(&"a".repeat(41), false);
    }

    #[test]
    fn a_difference_names_what_changes() {
        let mut wider = spec(5, 2);
        wider.options.0.insert("subnet".to_owned(), OptionValue::One("10.9.0.0/24".to_owned()));

        let lines = spec(3, 2).difference(&wider);

        assert_eq!(lines, ["managers: 3 -> 5", "subnet: (none) -> 10.9.0.0/24"]);
    }
}
