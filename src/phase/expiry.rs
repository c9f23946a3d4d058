//! Moves the end of a cluster: at the provider, and on the machines where they see to it themselves.

use ::reach::Command;
use driver::Expiry;
use futures_util::future::join_all;
use jiff::Timestamp;

use super::{Context, PhaseError};
use crate::template::{EXPIRY_TIMER, expiry_timer};

/// Takes the timer on standard input into use.
const RESTART: &str = "if [ -d /run/systemd/system ]; then
  systemctl daemon-reload && systemctl restart swarmup-expiry.timer
fi";

/// Moves the end of the cluster to a moment, which the journal holds on return. May be repeated; what the provider
/// refuses changes nothing.
pub async fn extend(context: &Context, expires: Timestamp) -> Result<(), PhaseError> {
    let id = context.journal().id.clone();
    context.call("move the end of the cluster", || context.driver.extend(&id, expires)).await?;
    context.ledger.record(|journal| journal.expires = Some(expires)).await?;
    if context.driver.capabilities().expiry != Expiry::Machine {
        return Ok(());
    }
    let journal = context.journal();
    let timer = expiry_timer(&journal.spec.name, expires);
    let machines = journal.machines.iter().filter_map(|(number, machine)| Some((*number, machine.instance.as_ref()?)));
    let each = machines.map(async |(number, instance)| {
        let set = async {
            let session = context.dial(number, instance).await?;
            let command = Command::shell(format!("cat >{EXPIRY_TIMER}\n{RESTART}")).stdin(timer.clone()).as_root();
            session.run(&command).await?.expect_success(session.peer(), &command)?;
            Ok(())
        };
        set.await.map_err(|error: PhaseError| error.of_machine("move the end of", journal.spec.machine_name(number)))
    });
    // Every one is told before any failure is.
    join_all(each).await.into_iter().collect()
}
