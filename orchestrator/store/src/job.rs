//! A transaction in line, whatever it gives back.

use model::SwarmError;
use tokio::sync::oneshot;

use crate::Transaction;

/// Tells the caller of a transaction that has run whether it is committed.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), SwarmError>) + Send>;

/// A transaction that waits for its turn.
pub(crate) trait Job: Send {
    /// Runs it. `None` if it refused, which its caller then knows already.
    fn run(self: Box<Self>, transaction: &mut Transaction) -> Option<Answer>;

    /// Tells the caller that it was not run.
    fn refuse(self: Box<Self>, error: SwarmError);
}

/// A transaction and who waits for its result.
pub(crate) struct Update<T, F> {
    pub(crate) change: F,
    pub(crate) caller: oneshot::Sender<Result<T, SwarmError>>,
}

impl<T, F> Job for Update<T, F>
where
    T: Send + 'static,
    F: FnOnce(&mut Transaction) -> Result<T, SwarmError> + Send,
{
    fn run(self: Box<Self>, transaction: &mut Transaction) -> Option<Answer> {
        let Self { change, caller } = *self;
        match change(transaction) {
            Ok(value) => Some(Box::new(move |committed| answer(caller, committed.map(|()| value)))),
            Err(error) => {
                answer(caller, Err(error));
                None
            }
        }
    }

    fn refuse(self: Box<Self>, error: SwarmError) {
        answer(self.caller, Err(error));
    }
}

/// Tells a caller, who may have gone away.
fn answer<T>(caller: oneshot::Sender<Result<T, SwarmError>>, result: Result<T, SwarmError>) {
    drop(caller.send(result));
}
