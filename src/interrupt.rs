//! Ctrl-C and SIGTERM: the first asks to stop cleanly, the second to stop now.

use std::future::Future;
use std::io;

use tokio_util::sync::CancellationToken;

use crate::platform::Interrupts;

/// How a command ended.
#[derive(Debug)]
pub enum Outcome<T> {
    /// By itself, interrupted once or not at all.
    Done(T),
    /// The user could not wait: whatever was going on is left to the journal.
    Abandoned,
}

/// Runs a command that watches `stop`: the first signal cancels the token, the second drops the command.
pub async fn run<T>(stop: CancellationToken, command: impl Future<Output = T>) -> io::Result<Outcome<T>> {
    let mut interrupts = Interrupts::listen()?;
    tokio::pin!(command);
    loop {
        tokio::select! {
            done = &mut command => return Ok(Outcome::Done(done)),
            () = interrupts.next() => {
                if stop.is_cancelled() {
                    return Ok(Outcome::Abandoned);
                }
                stop.cancel();
            }
        }
    }
}
