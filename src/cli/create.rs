//! `swarmup create`: from a spec to a swarm; goes on where an earlier one ended.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use driver::{Capabilities, ClusterId, Expiry};
use jiff::SignedDuration;
use model::with_causes;
use rand::rngs::SysRng;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::arguments::{
    AgentArguments, DriverFlags, LeaseArguments, LimitArguments, PatienceArguments, SpecArguments, check_ingress,
};
use super::failure::StateError;
use super::{Exit, Global, hint_of, hold, open, rollback};
use crate::cluster::{ClusterSpec, check_name, describe_counts};
use crate::config::{self, Wishes};
use crate::home::Home;
use crate::journal::{ClusterLock, Journal, Stage, file};
use crate::lease::WatchedProcess;
use crate::output::report;
use crate::phase::{self, Context, PhaseError};
use crate::{plan, platform, providers};

/// Creates a cluster, or finishes one that was begun.
#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    spec: SpecArguments,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    lease: LeaseArguments,
    #[command(flatten)]
    agent: AgentArguments,
    #[command(flatten)]
    patience: PatienceArguments,
    /// Leave what was made where creating fails
    #[arg(long)]
    keep_on_failure: bool,
    /// What Ctrl-C and SIGTERM do to what was made [default: keep; destroy where CI is set]
    #[arg(long, value_enum, value_name = "WHAT")]
    on_interrupt: Option<OnInterrupt>,
}

/// What an interruption does to what was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnInterrupt {
    /// Destroy it.
    Destroy,
    /// Keep it, to go on later.
    Keep,
}

/// What is told of a cluster that stands.
#[derive(Debug, Serialize)]
struct Created<'a> {
    name: &'a str,
    provider: &'a str,
    managers: u32,
    workers: u32,
    was_complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reap_with: Option<u32>,
}

impl Create {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global, flags: DriverFlags, stop: CancellationToken) -> Result<Exit> {
        let file = self.spec.file.as_deref().map(config::read_file).transpose()?.unwrap_or_default();
        let process = self.lease.process()?;
        let wishes = self.spec.wishes(global.cluster(self.spec.name.as_deref()), flags);
        let name = config::chosen_name(&wishes, &file);
        check_name(&name)?;
        let home = Home::locate()?;
        // Whatever is wrong with the wishes is said before anything is made, the folder included.
        settle(&home.cluster_folder(&name), &wishes, &file)?;

        let folder = home.create_cluster_folder(&name)?;
        let lock = ClusterLock::take(&folder, &name)?;
        let (spec, mut journal) = settle(&folder, &wishes, &file)?;
        let is_new = journal.is_none();
        if let Some(journal) = &mut journal {
            check_resumable(journal, &spec)?;
            goes_with(journal, process)?;
            if journal.stage == Stage::Ready {
                let driver = providers::find(&spec.provider)?.driver(&spec.options, &home, &open::dialer())?;
                if journal.lease.is_some() {
                    file::write(&folder, journal)?;
                    hold::start(&folder, &name)?;
                }
                announce(global, journal, driver.capabilities(), true);
                return Ok(Exit::Done);
            }
        }
        let journal = journal.unwrap_or_else(|| begin(&spec, self.limits.ttl));
        let agent = self.agent.agent.clone();
        let assembled = match open::assemble(&home, folder.clone(), journal, global, agent, stop) {
            Ok(context) => self.check(&context, process.filter(|_| is_new)).await.map(|()| context),
            Err(error) => Err(error),
        };
        let context = match assembled {
            Ok(context) => context,
            Err(error) => {
                if file::read(&folder)?.is_none() {
                    home.remove_cluster_folder(&name)?;
                }
                return Err(error);
            }
        };
        self.patience.tell(&context);
        self.bring_up(Arc::new(context), global, lock).await
    }

    /// Refuses what this provider cannot do for the cluster, or what would cost too much; then somebody holds the lease
    /// of one that goes with a process. `process` is that of a new one.
    async fn check(&self, context: &Context, process: Option<WatchedProcess>) -> Result<()> {
        let journal = context.journal();
        check_ingress(&journal.spec, &*context.driver)?;
        self.limits.check(&*context.driver, &journal.request(), &journal.spec.provider).await?;
        if let Some(process) = process {
            let lease = self.lease.lease(process, &*context.driver, &journal)?;
            context.ledger.note(|journal| journal.lease = Some(lease));
        } else if journal.lease.is_some() {
            // The holder must not find a process of which the journal told before.
            context.ledger.record(|_| {}).await?;
        }
        if context.journal().lease.is_some() {
            hold::start(context.ledger.folder(), &journal.spec.name)?;
        }
        Ok(())
    }

    async fn bring_up(self, context: Arc<Context>, global: &Global, lock: ClusterLock) -> Result<Exit> {
        let Err(error) = Box::pin(phase::forward(&context)).await else {
            renew_lease(&context, global).await;
            announce(global, &context.journal(), context.driver.capabilities(), false);
            return Ok(Exit::Done);
        };
        context.progress.clear();
        let name = context.journal().spec.name.clone();
        let printer = global.printer();
        if error.is_interruption() {
            if self.on_interrupt() == OnInterrupt::Destroy {
                printer.warning("interrupted; destroying what was made");
                rollback::run(&context, lock).await;
            } else {
                rollback::forget_where_nothing_was_made(&context, lock);
                printer.warning("interrupted");
                printer.hint(&format!("go on with `swarmup create {name}`, or undo it with `swarmup destroy {name}`"));
            }
            return Ok(Exit::Interrupted);
        }

        let error = anyhow::Error::from(error);
        let hint = hint_of(&error);
        if self.keep_on_failure && rollback::is_begun(&context) {
            report::error(&error, hint.as_deref());
            printer.warning(&format!(
                "what was made is kept; go on with `swarmup create {name}`, or undo it with `swarmup destroy {name}`"
            ));
            return Ok(Exit::PartlyDone);
        }
        report::error(&error, hint.as_deref());
        Ok(if rollback::run(&context, lock).await { Exit::Failed } else { Exit::PartlyDone })
    }

    fn on_interrupt(&self) -> OnInterrupt {
        let is_ci = std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false");
        self.on_interrupt.unwrap_or(if is_ci { OnInterrupt::Destroy } else { OnInterrupt::Keep })
    }
}

/// The spec that the wishes come to, beside what there is already.
fn settle(folder: &Path, wishes: &Wishes, file: &Wishes) -> Result<(ClusterSpec, Option<Journal>)> {
    let journal = file::read(folder)?;
    let current = journal.as_ref().map(|journal| &journal.spec);
    let spec = config::resolve(wishes, file, &|name| std::env::var(name).ok(), current)?;
    Ok((spec, journal))
}

/// Refuses to make something else of a cluster that exists.
fn check_resumable(journal: &Journal, wanted: &ClusterSpec) -> Result<()> {
    let name = &wanted.name;
    if journal.stage == Stage::Destroying {
        let hint = format!("finish that with `swarmup destroy {name}`");
        return Err(StateError::new(format!("cluster `{name}` is being destroyed"), hint).into());
    }
    let difference = journal.spec.difference(wanted);
    if difference.is_empty() {
        return Ok(());
    }
    let message = format!("cluster `{name}` exists and is another one ({})", difference.join("; "));
    let hint = if journal.stage == Stage::Ready {
        format!("change its size with `swarmup scale {name}`, or take another name")
    } else {
        format!("finish it with `swarmup create {name}`, undo it with `swarmup destroy {name}`, or take another name")
    };
    Err(StateError::new(message, hint).into())
}

/// Gives the nodes of a cluster that goes with a process their first word of it: until then they would wait longer. From
/// here on the holder renews it.
async fn renew_lease(context: &Context, global: &Global) {
    if context.journal().lease.is_none() {
        return;
    }
    let renewed: Result<(), PhaseError> = async { Ok(context.swarm()?.renew_lease().await?) }.await;
    if let Err(error) = renewed {
        global.printer().warning(&format!("the lease could not be renewed yet: {}", with_causes(&error)));
    }
}

/// Lets a cluster that was begun before go with the process that is named now.
fn goes_with(journal: &mut Journal, process: Option<WatchedProcess>) -> Result<()> {
    let name = &journal.spec.name;
    match (&mut journal.lease, process) {
        (None, None) => Ok(()),
        (Some(lease), Some(process)) => {
            lease.process = process;
            Ok(())
        }
        (Some(lease), None) if lease.process.lives() => Ok(()),
        (Some(lease), None) => {
            let message = format!("process {}, which cluster `{name}` goes with, has ended", lease.process.pid);
            let hint = format!("name another one with --reap-with, or run `swarmup destroy {name}`");
            Err(StateError::new(message, hint).into())
        }
        (None, Some(_)) => {
            let message = format!("cluster `{name}` was begun without --reap-with");
            let hint = format!("leave it out, or begin anew after `swarmup destroy {name}`");
            Err(StateError::new(message, hint).into())
        }
    }
}

/// The journal of a cluster of which nothing exists yet, with its machines announced.
fn begin(spec: &ClusterSpec, ttl: Option<SignedDuration>) -> Journal {
    let id = model::ClusterId::generate(&mut rand::rand_core::UnwrapErr(SysRng));
    let mut journal = Journal::begin(ClusterId(id.to_string()), spec.clone(), owner(), jiff::Timestamp::now());
    journal.expires = ttl.map(|ttl| journal.created_at.saturating_add(ttl).unwrap_or(jiff::Timestamp::MAX));
    plan::plan(spec, Some(&journal)).commit(spec, &mut journal);
    journal
}

/// `user@workstation`, as far as either is known.
fn owner() -> String {
    let user = platform::caller_name().unwrap_or_else(|| "unknown".to_owned());
    let host = platform::host_name().unwrap_or_else(|| "unknown".to_owned());
    format!("{user}@{host}")
}

fn announce(global: &Global, journal: &Journal, capabilities: Capabilities, was_complete: bool) {
    let printer = global.printer();
    let spec = &journal.spec;
    let created = Created {
        name: &spec.name,
        provider: &spec.provider,
        managers: spec.managers,
        workers: spec.workers,
        was_complete,
        expires: journal.expires,
        reap_with: journal.lease.map(|lease| lease.process.pid),
    };
    if printer.is_quiet() && !printer.is_json() {
        printer.line(&spec.name);
        return;
    }
    printer.value(&created, |created| {
        let state = if created.was_complete { "complete already" } else { "ready" };
        let counts = describe_counts(created.managers, created.workers);
        format!("Swarm `{}` is {state}: {counts}", created.name)
    });
    if let Some(expires) = journal.expires {
        let moment = expires.strftime("%Y-%m-%d %H:%M UTC");
        let name = &spec.name;
        printer.remark(&match capabilities.expiry {
            Expiry::Provider | Expiry::Machine if !capabilities.has_movable_expiry => format!("It ends at {moment}"),
            Expiry::Provider | Expiry::Machine => {
                format!("It ends at {moment}; move that with: swarmup extend {name} --by 1h")
            }
            Expiry::Nobody => {
                format!(
                    "It should end at {moment}, and nobody ends it then: run `swarmup destroy {name}` or `swarmup gc`"
                )
            }
        });
    }
    if let Some(lease) = journal.lease {
        printer.remark(&format!(
            "It goes with process {}, and {:#} after this workstation is gone",
            lease.process.pid,
            SignedDuration::from_secs(lease.terms.seconds.into())
        ));
    }
    printer.remark(&format!("Use it with: eval \"$(swarmup env {})\"", spec.name));
}
