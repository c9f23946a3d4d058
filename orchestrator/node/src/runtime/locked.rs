//! A manager whose keys are locked: it waits for the unlock key, and runs nothing until it has it.

use model::with_causes;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Command, DiskError, MemberEnd, NodeRuntime, Waiting};
use crate::keyring::{Found, Keyring};
use crate::words;

impl NodeRuntime {
    /// The keys of the member that is on disk, if there is one, and who has unlocked them.
    pub(super) async fn find_keys(
        &mut self,
        cancel: &CancellationToken,
    ) -> Result<Option<(Keyring, Option<Waiting>)>, DiskError> {
        let Some(node) = self.disk.node()? else {
            return Ok(None);
        };
        let locked = match Keyring::find(self.disk.clone(), self.parts.fork_rng())? {
            Found::Open(keyring) => return Ok(Some((keyring, None))),
            Found::Locked(locked) => locked,
        };
        warn!("the keys of this manager are locked: it takes no part in the swarm before `docker swarm unlock`");
        // So that it can be unlocked from where its operator is. A manager that runs has a certificate of its own.
        match self.disk.api_tls() {
            Ok(tls) => drop(self.parts.api_tls.send_replace(tls)),
            Err(error) => error!(error = with_causes(&error), "2376 is not served before the node is unlocked"),
        }
        self.parts.shared.show_locked(&node);
        loop {
            let command = tokio::select! {
                () = cancel.cancelled() => return Ok(None),
                command = self.commands.recv() => command,
            };
            match command {
                None => return Ok(None),
                Some(Command::Unlock { key, answer }) => {
                    if let Some(keyring) = locked.unlock(&key, self.parts.fork_rng()) {
                        info!("the keys of this manager are unlocked");
                        return Ok(Some((keyring, Some(Waiting::Unlock(answer)))));
                    }
                    warn!("refused an unlock key that does not fit");
                    answer.give(Err(words::wrong_unlock_key()));
                }
                Some(Command::Leave { force: true, answer }) => {
                    self.parts.api_tls.send_replace(None);
                    self.ended(MemberEnd::Left(answer)).await;
                    return Ok(None);
                }
                Some(Command::Leave { force: false, answer }) => answer.give(Err(words::leaving_locked())),
                Some(other) => other.refuse(words::already_member()),
            }
        }
    }
}
