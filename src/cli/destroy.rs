//! `swarmup destroy`: from whatever there is of a cluster to nothing.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use driver::{ClusterId, Options};
use tokio_util::sync::CancellationToken;

use super::arguments::DriverFlags;
use super::failure::{StateError, UsageError};
use super::open::{self, Opened, Viewed};
use super::{Exit, Global, rollback};
use crate::cluster::{ClusterSpec, check_name};
use crate::config::{self, Wishes};
use crate::home::Home;
use crate::journal::{ClusterLock, Journal, JournalError, Stage, file};
use crate::output::{Printer, report};
use crate::phase::{self, Context, Unreachable, Until};
use crate::providers;

/// Destroys a cluster and all that belongs to it.
#[derive(Debug, Args)]
pub(super) struct Destroy {
    /// The cluster
    name: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Where the journal is lost or damaged: destroy what carries the cluster's name at this provider
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// With =false: return once nothing is charged any more, and leave the rest to another `destroy`
    #[arg(
        long,
        action = clap::ArgAction::Set,
        value_name = "BOOL",
        default_value_t = true,
        default_missing_value = "true",
        hide_default_value = true,
        num_args = 0..=1,
        require_equals = true
    )]
    wait: bool,
    /// Leave hosts as they are that do not answer
    #[arg(long)]
    leave_unreachable: bool,
}

impl Destroy {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global, flags: DriverFlags, stop: CancellationToken) -> Result<Exit> {
        let opened = match (Viewed::open(global, self.name.as_deref()), &self.provider) {
            (Ok(viewed), _) => {
                let journal = &viewed.journal;
                let what = format!("{} machines of provider `{}`", journal.machines.len(), journal.spec.provider);
                self.ask(global, &viewed.name, &what)?;
                viewed.lock(global, None, None, stop)?
            }
            (Err(error), Some(provider)) => {
                let is_known_by_marks_only = error.downcast_ref().is_some_and(|error| {
                    matches!(error, crate::home::HomeError::NoSuchCluster { .. } | crate::home::HomeError::NoCluster)
                }) || matches!(error.downcast_ref(), Some(JournalError::Damaged { .. }));
                if !is_known_by_marks_only {
                    return Err(error);
                }
                self.recover(global, provider, flags, stop).await?
            }
            (Err(error), None) => return Err(error),
        };
        let unreachable = if self.leave_unreachable { Unreachable::IsLeft } else { Unreachable::Fails };
        // Only clouds charge, and take their time.
        let is_cloud = opened.context.driver.capabilities().has_user_data;
        let until = if self.wait || !is_cloud { Until::Gone } else { Until::Free };
        finish(global, opened, unreachable, until).await
    }

    fn ask(&self, global: &Global, name: &str, what: &str) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        if !Printer::can_ask() {
            let message = format!("destroying cluster `{name}` needs a yes, and nobody can be asked");
            return Err(UsageError::new(message, "add --yes").into());
        }
        let question = format!("Destroy cluster `{name}` with {what}?");
        if global.printer().confirm(&question) { Ok(()) } else { bail!("cluster `{name}` was not destroyed") }
    }

    /// A cluster whose journal is of no use: its marks at the provider tell what there is. Where the provider itself is
    /// known by options only, as given hosts are, the options must name it.
    async fn recover(
        &self,
        global: &Global,
        provider: &str,
        flags: DriverFlags,
        stop: CancellationToken,
    ) -> Result<Opened> {
        let Some(name) = global.cluster(self.name.as_deref()) else {
            return Err(UsageError::new("no cluster was named", "name it: `swarmup destroy NAME`").into());
        };
        check_name(name)?;
        let home = Home::locate()?;
        let known = providers::find(provider)?;
        let wishes = Wishes { options: flags.into_options(), ..Wishes::default() };
        let options = config::given_options(known, &wishes, &|name| std::env::var(name).ok())?;
        let driver = known.driver(&options, &home, &open::dialer())?;
        let found = driver.find(None).await.context("failed to ask the provider for clusters")?;
        let mut ids: Vec<ClusterId> = found
            .into_iter()
            .filter(|resource| resource.cluster_name.as_deref() == Some(name))
            .map(|resource| resource.cluster)
            .collect();
        ids.sort();
        ids.dedup();
        let id = match ids.as_slice() {
            [] => {
                let message = format!("provider `{provider}` shows nothing that carries the name `{name}`");
                return Err(StateError::new(message, "look for it at another provider").into());
            }
            [id] => id.clone(),
            several => {
                let marks = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                bail!("provider `{provider}` shows several clusters of the name `{name}`: {marks}");
            }
        };
        self.ask(global, name, &format!("all that carries its name at provider `{provider}`"))?;

        let folder = home.create_cluster_folder(name)?;
        let lock = ClusterLock::take(&folder, name)?;
        if file::read(&folder).is_err() {
            let aside = file::set_aside(&folder)?;
            global.printer().warning(&format!("the damaged journal was set aside as `{}`", aside.display()));
        }
        let journal = recovered(id, name, provider, options);
        let context = open::assemble(&home, folder, journal, global, None, stop)?;
        Ok(Opened { context: Arc::new(context), lock })
    }
}

/// Takes the cluster down and tells how that went.
pub(super) async fn finish(global: &Global, opened: Opened, unreachable: Unreachable, until: Until) -> Result<Exit> {
    let Opened { context, lock } = opened;
    let name = context.journal().spec.name.clone();
    context.ledger.record(|journal| journal.stage = Stage::Destroying).await?;
    let result = Box::pin(phase::backward(&context, unreachable, until)).await;
    context.progress.clear();
    match result {
        Ok(()) if until == Until::Free => {
            leave_it(global, &name);
            Ok(Exit::Done)
        }
        Ok(()) => Ok(conclude(global, &context, lock, &name)),
        Err(error) if error.is_interruption() => {
            global.printer().warning("interrupted");
            global.printer().hint(&format!("go on with `swarmup destroy {name}`"));
            Ok(Exit::Interrupted)
        }
        Err(error) => {
            let again = format!("run `swarmup destroy {name}` again");
            let mut hint = match error.hint() {
                Some(hint) if error.is_transient() => format!("{hint}; then {again}"),
                Some(hint) => hint,
                None => again,
            };
            // A given host may be left; a provider's machine would go on costing money.
            if error.is_transient() && context.driver.capabilities().machines_are_given {
                hint.push_str(", or leave a host that is lost as it is with --leave-unreachable");
            }
            report::error(&anyhow::Error::from(error), Some(&hint));
            Ok(Exit::PartlyDone)
        }
    }
}

/// Tells that the provider is at it.
fn leave_it(global: &Global, name: &str) {
    let printer = global.printer();
    if printer.is_json() {
        printer.json(&serde_json::json!({ "name": name, "destroyed": false, "charged": false }));
    } else if !printer.is_quiet() {
        printer.line(&format!("Nothing of cluster `{name}` is charged any more"));
        printer.remark(&format!("Have the rest removed, and be told so, with: swarmup destroy {name}"));
    }
}

fn conclude(global: &Global, context: &Context, lock: ClusterLock, name: &str) -> Exit {
    if !rollback::forget(context, lock) {
        return Exit::PartlyDone;
    }
    let printer = global.printer();
    if printer.is_json() {
        printer.json(&serde_json::json!({ "name": name, "destroyed": true }));
    } else if printer.is_quiet() {
        printer.line(name);
    } else {
        printer.line(&format!("Cluster `{name}` is destroyed"));
    }
    Exit::Done
}

/// A journal that knows nothing but the mark.
fn recovered(id: ClusterId, name: &str, provider: &str, options: Options) -> Journal {
    let spec = ClusterSpec {
        name: name.to_owned(),
        provider: provider.to_owned(),
        managers: 1,
        workers: 0,
        allow_even_managers: false,
        ingress: crate::ingress::Ingress::default(),
        options,
    };
    Journal::begin(id, spec, "unknown".to_owned(), jiff::Timestamp::now())
}
