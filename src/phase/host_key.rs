//! Replaces the host key that a machine came with by one that it makes for itself.
//!
//! Every process on a machine can read its user-data, and with it the key by which the machine was known so far. So the
//! first session has the machine make another one, and ends once a new session has shown it.
//!
//! ```text
//! session by the first key ──> the machine makes its own, beside ──> its public half is in the journal, on disk
//!                                  ──> the machine shows it from now on ──> a session by its own key
//! ```
//! Cut off anywhere, it is done again: a machine that does not show the key in the journal yet still shows the first one.

use std::sync::Arc;
use std::time::Duration;

use ::reach::{Command, ReachError, Session};
use driver::Access;
use tokio::time::Instant;

use super::{Context, PhaseError, Work};

/// Makes the key, unless an earlier session did; prints its public half.
const MAKE: &str = "set -e
cd /etc/ssh
new=ssh_host_ed25519_key.swarmup
if ! [ -s $new ] || ! [ -s $new.pub ]; then
  rm -f $new $new.pub
  ssh-keygen -q -t ed25519 -N '' -C '' -f $new
fi
cat $new.pub";
/// Takes it into use, in place of every other; sessions that are open stay open.
const SHOW: &str = "set -e
cd /etc/ssh
new=ssh_host_ed25519_key.swarmup
for key in ssh_host_*_key; do
  [ $key = ssh_host_ed25519_key ] || rm -f $key $key.pub
done
mv -f $new.pub ssh_host_ed25519_key.pub
mv -f $new ssh_host_ed25519_key
if [ -d /run/systemd/system ]; then
  systemctl reload ssh.service 2>/dev/null || systemctl reload sshd.service
else
  kill -HUP \"$(cat /run/sshd.pid)\"
fi";
/// How long the machine may take to show it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether two OpenSSH public keys are the same, whatever their comments.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let parts = |key: &str| key.split_whitespace().take(2).map(ToOwned::to_owned).collect::<Vec<_>>();
    parts(one) == parts(other)
}

/// Has a machine make and show its own key; the session that was opened by it.
pub(super) async fn replace(
    context: &Context,
    work: &mut Work,
    session: &dyn Session,
) -> Result<Arc<dyn Session>, PhaseError> {
    let own = run(session, MAKE).await?;
    let number = work.number;
    context
        .ledger
        .record(|journal| {
            if let Some(machine) = journal.machines.get_mut(&number) {
                machine.own_host_key = Some(own.clone());
                if let Some(instance) = &mut machine.instance {
                    expect(&mut instance.access, &own);
                }
            }
        })
        .await?;
    run(session, SHOW).await?;
    expect(&mut work.instance.access, &own);

    let deadline = Instant::now() + PATIENCE;
    loop {
        match context.dial(number, &work.instance).await {
            Ok(session) => return Ok(session),
            Err(PhaseError::Reach(error)) if Instant::now() < deadline && may_pass(&error) => {}
            Err(PhaseError::Reach(ReachError::HostKeyChanged { .. })) => return Err(PhaseError::HostKey),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes a key the one that is expected.
pub(super) fn expect(access: &mut Option<Access>, key: &str) {
    if let Some(Access::Ssh(ssh)) = access {
        ssh.host_key = Some(key.to_owned());
    }
}

/// A server that is being reloaded refuses for a moment, or shows what it showed before.
fn may_pass(error: &ReachError) -> bool {
    error.is_transient() || matches!(error, ReachError::HostKeyChanged { .. })
}

async fn run(session: &dyn Session, script: &str) -> Result<String, PhaseError> {
    let command = Command::shell(script).as_root();
    Ok(session.run(&command).await?.expect_success(session.peer(), &command)?.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_without_their_comments() {
        assert!(is_same("ssh-ed25519 AAAA swarmup lab", "ssh-ed25519 AAAA"));
        assert!(!is_same("ssh-ed25519 AAAA", "ssh-ed25519 AAAB"));
        assert!(!is_same("ssh-ed25519 AAAA", "ssh-rsa AAAA"));
    }
}
