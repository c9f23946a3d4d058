//! Arguments that several commands share, and the flags that drivers declare.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command};

use crate::config::Wishes;
use crate::providers::{self, PROVIDERS};

/// What is put before a driver's option to make the argument's id.
const ID_PREFIX: &str = "driver:";
/// The commands that take drivers' options.
const WITH_DRIVER_FLAGS: &[&[&str]] = &[&["create"], &["destroy"], &["plan"], &["scale"], &["node", "add"]];

/// What a cluster shall be, as far as flags say.
#[derive(Debug, Clone, Args)]
pub(super) struct SpecArguments {
    /// Name of the cluster [default: default]
    pub(super) name: Option<String>,
    /// Provider of the machines [default: local]
    #[arg(long, value_name = "PROVIDER", env = "SWARMUP_PROVIDER", long_help = provider_help())]
    provider: Option<String>,
    /// Number of managers [default: 3]
    #[arg(long, value_name = "N", env = "SWARMUP_MANAGERS")]
    managers: Option<u32>,
    /// Number of workers [default: 2]
    #[arg(long, value_name = "N", env = "SWARMUP_WORKERS")]
    workers: Option<u32>,
    /// Accept an even number of managers, which survives no more failures than one fewer
    #[arg(long)]
    allow_even_managers: bool,
    /// Cluster file, such as swarmup.yaml; flags count more
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

impl SpecArguments {
    /// The wishes of the flags. `named` is the cluster that `-c` or the environment names.
    pub(super) fn wishes(&self, named: Option<&str>, flags: DriverFlags) -> Wishes {
        Wishes {
            name: named.map(ToOwned::to_owned),
            provider: self.provider.clone(),
            managers: self.managers,
            workers: self.workers,
            allow_even_managers: self.allow_even_managers.then_some(true),
            options: flags.into_options(),
        }
    }
}

/// The agent of the user's own.
#[derive(Debug, Clone, Args)]
pub(super) struct AgentArguments {
    /// Install this node agent in place of the one built in
    #[arg(long, value_name = "PATH", env = "SWARMUP_AGENT")]
    pub(super) agent: Option<PathBuf>,
}

/// Values of drivers' options, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct DriverFlags(BTreeMap<String, Vec<String>>);

impl DriverFlags {
    /// Takes them from the command that was given.
    pub(super) fn read(matches: &ArgMatches) -> Self {
        let mut deepest = matches;
        while let Some((_, below)) = deepest.subcommand() {
            deepest = below;
        }
        let values = option_names().filter_map(|name| {
            let given = deepest.try_get_many::<String>(&format!("{ID_PREFIX}{name}")).ok()??;
            Some((name.to_owned(), given.cloned().collect()))
        });
        Self(values.collect())
    }

    /// As wishes: under the empty name, for whichever provider is chosen.
    pub(super) fn into_options(self) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
        BTreeMap::from([(String::new(), self.0)])
    }
}

/// Adds the drivers' flags to the commands that take them.
pub(super) fn with_driver_flags(mut command: Command) -> Command {
    for path in WITH_DRIVER_FLAGS {
        command = add_flags(command, path);
    }
    command
}

fn add_flags(command: Command, path: &[&'static str]) -> Command {
    match path.split_first() {
        None => command.args(driver_arguments()),
        Some((first, rest)) => command.mut_subcommand(first, |below| add_flags(below, rest)),
    }
}

/// One argument for each name; drivers that declare the same name share it.
fn driver_arguments() -> Vec<Arg> {
    option_names().map(argument).collect()
}

fn argument(name: &'static str) -> Arg {
    let declared: Vec<_> =
        PROVIDERS.iter().filter_map(|provider| Some((provider.name, provider.option(name)?))).collect();
    let (_, first) = declared[0];
    let is_repeated = declared.iter().any(|(_, option)| option.is_repeated);
    let providers = declared.iter().map(|(provider, _)| *provider).collect::<Vec<_>>().join(", ");
    let mut help = format!("{} ({providers})", first.help.trim_end_matches('.'));
    if let Some(default) = first.default {
        help = format!("{help} [default: {default}]");
    }
    if let Some(variable) = first.env {
        help = format!("{help} [env: {variable}]");
    }
    Arg::new(format!("{ID_PREFIX}{name}"))
        .long(name)
        .value_name(first.value_name)
        .help(help)
        .help_heading("Provider options")
        .action(if is_repeated { ArgAction::Append } else { ArgAction::Set })
}

fn option_names() -> impl Iterator<Item = &'static str> {
    let names: std::collections::BTreeSet<_> =
        PROVIDERS.iter().flat_map(|provider| provider.options.iter().map(|option| option.name)).collect();
    names.into_iter()
}

fn provider_help() -> String {
    let mut help = "Provider of the machines\n".to_owned();
    for provider in PROVIDERS {
        let mark = if provider.name == providers::DEFAULT { " (the default)" } else { "" };
        let _ = write!(help, "\n  {:<8}  {}{mark}", provider.name, provider.about);
    }
    help
}
