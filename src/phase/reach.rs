//! Opens a session with each machine as soon as it answers, and pins the host key that it shows first; where that is the
//! one of its user-data, it is [replaced](super::host_key).

use std::time::Duration;

use ::reach::ReachError;
use async_trait::async_trait;
use driver::Access;
use tokio::time::Instant;

use super::context::line_name;
use super::{Context, MachinePhase, PhaseError, Work, console, host_key};
use crate::identity::read_first_host_key;

/// How long one may take that was there before.
const GIVEN_TIMEOUT: Duration = Duration::from_secs(20);
/// The first pause between two attempts; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Sessions.
#[derive(Debug)]
pub(super) struct Reach;

#[async_trait]
impl MachinePhase for Reach {
    fn title(&self) -> &'static str {
        "Reach machines"
    }

    async fn apply(&self, context: &Context, work: &mut Work) -> Result<(), PhaseError> {
        context.progress.machine(&line_name(work.number), "waiting for it to answer");
        let is_given = context.driver.capabilities().machines_are_given;
        let timeout = if is_given { GIVEN_TIMEOUT } else { context.boot_timeout() };
        let deadline = Instant::now() + timeout;
        let mut pause = FIRST_PAUSE;
        let first_key = read_first_host_key(context.ledger.folder())?.map(|pair| pair.public);
        let session = loop {
            let error = match context.unless_stopped(context.dial(work.number, &work.instance)).await? {
                Ok(session) => break session,
                Err(PhaseError::Reach(error)) => error,
                Err(error) => return Err(error),
            };
            let is_other_key = matches!(error, ReachError::HostKeyChanged { .. });
            if let Some(first) = key_before(work, first_key.as_deref()).filter(|_| is_other_key) {
                // It was about to show its own key when a command ended.
                host_key::expect(&mut work.instance.access, first);
                continue;
            }
            if !error.is_transient() {
                return Err(PhaseError::Reach(error));
            }
            if Instant::now() >= deadline {
                if is_given {
                    return Err(PhaseError::Reach(error));
                }
                console::show(context, work.number, &work.instance.id).await?;
                return Err(PhaseError::Silent { timeout, source: error });
            }
            context.unless_stopped(tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        let shows_first = first_key.zip(session.host_key()).is_some_and(|(first, key)| host_key::is_same(&first, key));
        let session = if shows_first {
            context.progress.machine(&line_name(work.number), "making a host key of its own");
            context.in_grace(host_key::replace(context, work, &*session)).await??
        } else {
            session
        };
        if let Some(key) = session.host_key() {
            pin(context, work.number, key);
        }
        work.session = Some(session);
        Ok(())
    }
}

/// The key of its user-data, where a machine is expected to show another one: it may not have come to that.
fn key_before<'a>(work: &Work, first_key: Option<&'a str>) -> Option<&'a str> {
    let Some(Access::Ssh(ssh)) = &work.instance.access else { return None };
    let expected = ssh.host_key.as_deref()?;
    first_key.filter(|first| !host_key::is_same(first, expected))
}

/// Keeps the key that a host showed first; the next intent takes it to disk.
fn pin(context: &Context, number: u32, key: &str) {
    context.ledger.note(|journal| {
        let machine = journal.machines.get_mut(&number);
        let access =
            machine.and_then(|machine| machine.instance.as_mut()).and_then(|instance| instance.access.as_mut());
        if let Some(Access::Ssh(ssh)) = access {
            ssh.host_key.get_or_insert_with(|| key.to_owned());
        }
    });
}
