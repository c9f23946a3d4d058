//! Arguments that several commands share, and the flags that drivers declare.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use driver::cloud::SWITCH;
use driver::{Capabilities, ClusterRequest, Driver, Estimate, Expiry};
use jiff::SignedDuration;
use model::LeaseTerms;

use super::failure::UsageError;
use crate::cluster::ClusterSpec;
use crate::config::Wishes;
use crate::cost;
use crate::ingress::Ingress;
use crate::journal::Journal;
use crate::lease::{self, Lease, SHORTEST, WatchedProcess};
use crate::phase::Context;
use crate::platform;
use crate::providers::{self, PROVIDERS};

/// What is put before a driver's option to make the argument's id.
const ID_PREFIX: &str = "driver:";
/// The commands that take drivers' options.
const WITH_DRIVER_FLAGS: &[&[&str]] =
    &[&["create"], &["destroy"], &["plan"], &["scale"], &["node", "add"], &["ls"], &["gc"]];

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
    /// Where the operator comes from, for SSH and the API [default: the one address that you are seen by]
    #[arg(long, value_name = "CIDR", env = "SWARMUP_SSH_FROM", value_delimiter = ',')]
    ssh_from: Vec<String>,
    /// Ports that everybody may reach, for published services
    #[arg(long, value_name = "PORT,...", value_delimiter = ',')]
    open: Vec<String>,
    /// Let the members send each other ESP, for encrypted networks
    #[arg(long)]
    encrypted_networks: bool,
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
            ssh_from: Some(self.ssh_from.clone()).filter(|prefixes| !prefixes.is_empty()),
            open: Some(self.open.clone()).filter(|ports| !ports.is_empty()),
            encrypted_networks: self.encrypted_networks.then_some(true),
            options: flags.into_options(),
        }
    }
}

/// How long a cluster may live and what it may cost.
#[derive(Debug, Clone, Args)]
pub(super) struct LimitArguments {
    /// End the cluster this long after its beginning, such as 3h, where the provider or its machines can
    #[arg(long, value_name = "TIME", value_parser = duration, env = "SWARMUP_TTL")]
    pub(super) ttl: Option<SignedDuration>,
    /// Refuse what costs more until --ttl is over, or in an hour without it, in the provider's currency
    #[arg(long, value_name = "AMOUNT", env = "SWARMUP_MAX_COST")]
    pub(super) max_cost: Option<f64>,
}

impl LimitArguments {
    /// Refuses what the provider cannot do, or what would cost too much.
    pub(super) async fn check(&self, driver: &dyn Driver, request: &ClusterRequest, provider: &str) -> Result<()> {
        let capabilities = driver.capabilities();
        self.check_ttl(capabilities, provider)?;
        if self.max_cost.is_some() {
            self.check_cost(&estimate(driver, request, provider).await?, capabilities, provider)?;
        }
        Ok(())
    }

    /// Refuses a time after which nobody would end the cluster.
    pub(super) fn check_ttl(&self, capabilities: Capabilities, provider: &str) -> Result<()> {
        if self.ttl.is_some() && capabilities.expiry == Expiry::Nobody && !capabilities.has_user_data {
            let message = format!("provider `{provider}` does not end machines by itself");
            return Err(UsageError::new(message, "leave --ttl out, and use `swarmup destroy`").into());
        }
        Ok(())
    }

    /// Refuses what would cost more than was said, where anything was said.
    pub(super) fn check_cost(&self, estimate: &Estimate, capabilities: Capabilities, provider: &str) -> Result<()> {
        let Some(most) = self.max_cost else { return Ok(()) };
        if estimate.price.is_none() && capabilities.has_user_data {
            let message = format!("the driver of `{provider}` does not know what these machines cost");
            return Err(UsageError::new(message, "name a usual --size, or leave out --max-cost").into());
        }
        cost::check(estimate.price.as_ref(), self.ttl, most)?;
        Ok(())
    }
}

/// What the provider's driver expects a cluster to take.
pub(super) async fn estimate(driver: &dyn Driver, request: &ClusterRequest, provider: &str) -> Result<Estimate> {
    let estimate = driver.estimate(request).await;
    estimate.with_context(|| format!("failed to ask provider `{provider}` for an estimate"))
}

/// With what a cluster goes.
#[derive(Debug, Clone, Args)]
pub(super) struct LeaseArguments {
    /// Let the cluster go once this process of the workstation has ended (`$$` is the shell itself)
    #[arg(long, value_name = "PID")]
    pub(super) reap_with: Option<u32>,
    /// How long its nodes wait for word of that process before they end themselves
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2m", requires = "reap_with")]
    pub(super) reap_after: SignedDuration,
}

impl LeaseArguments {
    /// The process that the cluster is to go with, if any is named.
    pub(super) fn process(&self) -> Result<Option<WatchedProcess>> {
        let Some(pid) = self.reap_with else { return Ok(None) };
        if !platform::CAN_WATCH_PROCESSES {
            let message = "swarmup does not see on this workstation whether a process lives".to_owned();
            return Err(UsageError::new(message, "leave --reap-with out, and use --ttl").into());
        }
        if self.reap_after < SHORTEST {
            let message = format!("--reap-after {:#} is too short for nodes to hear of one another", self.reap_after);
            return Err(UsageError::new(message, "use 10s or more").into());
        }
        let process = WatchedProcess::find(pid).ok_or_else(|| {
            let message = format!("there is no process {pid} for the cluster to go with");
            UsageError::new(message, "name one that runs, such as this shell with --reap-with $$")
        })?;
        Ok(Some(process))
    }

    /// The lease of a new cluster that goes with this process.
    pub(super) fn lease(&self, process: WatchedProcess, driver: &dyn Driver, journal: &Journal) -> Result<Lease> {
        let provider = &journal.spec.provider;
        let on_lapse = lease::on_lapse(driver, &journal.request().mark()).ok_or_else(|| {
            let message = format!("machines of provider `{provider}` would go on costing money after --reap-with");
            let hint =
                "let them delete themselves (see the provider's options in `swarmup create --help`), or use --ttl";
            UsageError::new(message, hint)
        })?;
        let seconds = u32::try_from(self.reap_after.as_secs()).unwrap_or(u32::MAX);
        Ok(Lease { process, terms: LeaseTerms { seconds, on_lapse } })
    }
}

/// Refuses what only a firewall of the provider's could do, where it has none.
pub(super) fn check_ingress(spec: &ClusterSpec, driver: &dyn Driver) -> Result<()> {
    if spec.ingress == Ingress::default() || driver.capabilities().has_firewall {
        return Ok(());
    }
    let message = format!("provider `{}` has no firewall to let anybody in by", spec.provider);
    Err(UsageError::new(message, "leave out --ssh-from, --open and --encrypted-networks").into())
}

/// A time such as `90m`, `3h` or `2d`, as one argument.
pub(super) fn duration(text: &str) -> Result<SignedDuration, String> {
    let span: jiff::Span = text.parse().map_err(|_| "it is not a time such as 90m, 3h or 2d".to_owned())?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    if duration.is_positive() { Ok(duration) } else { Err("it must be longer than nothing".to_owned()) }
}

/// The agent of the user's own.
#[derive(Debug, Clone, Args)]
pub(super) struct AgentArguments {
    /// Install this node agent in place of the one built in
    #[arg(long, value_name = "PATH", env = "SWARMUP_AGENT")]
    pub(super) agent: Option<PathBuf>,
}

/// How patient a command that makes machines is with them.
#[derive(Debug, Clone, Args)]
pub(super) struct PatienceArguments {
    /// How long a new machine may take to boot and answer [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = duration, env = "SWARMUP_BOOT_TIMEOUT")]
    boot_timeout: Option<SignedDuration>,
}

impl PatienceArguments {
    /// Has the command know.
    pub(super) fn tell(&self, context: &Context) {
        if let Some(timeout) = self.boot_timeout {
            context.expect_boot_within(timeout.unsigned_abs());
        }
    }
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
    let argument = Arg::new(format!("{ID_PREFIX}{name}"))
        .long(name)
        .value_name(first.value_name)
        .help(help)
        .help_heading("Provider options")
        .action(if is_repeated { ArgAction::Append } else { ArgAction::Set });
    // A switch is on by its name alone.
    if first.value_name == SWITCH {
        return argument.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    argument
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_people_write_it() {
        let check = |text: &str, seconds: Option<i64>| {
            assert_eq!(duration(text).ok(), seconds.map(SignedDuration::from_secs), "{text}");
        };
        check("90m", Some(5400));
        check("3h", Some(10_800));
        check("1h 30m", Some(5400));
        check("2d", Some(172_800));
        check("0h", None);
        check("-1h", None);
        check("3", None);
        check("soon", None);
    }
}
