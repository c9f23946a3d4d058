//! Waiting for what goes on after Azure's answer.

use std::time::Duration;

use driver::DriverError;
use serde::Deserialize;
use tokio::time::Instant;

use crate::client::{Answer, Client};
use crate::refusal::{Refusal, RefusalError};

/// The status of an answer about what goes on still.
const ACCEPTED: u16 = 202;

/// How far an operation is.
#[derive(Debug, Default, Deserialize)]
struct Status {
    /// Absent where the status of the answer says it: 202 while it goes on.
    status: Option<String>,
    #[serde(default)]
    error: Option<RefusalError>,
}

impl Client {
    /// Waits until what was begun by a call is done; a failure of it is the caller's to judge.
    ///
    /// Azure is not asked before the time that it names.
    pub(crate) async fn finish(&self, answer: &Answer, action: &str) -> Result<Result<(), Refusal>, DriverError> {
        let Some(url) = &answer.operation else { return Ok(Ok(())) };
        if answer.body["properties"]["provisioningState"] == "Succeeded" {
            return Ok(Ok(()));
        }
        let call = self.follow(url, action)?;
        let limit = self.patience.operation;
        let deadline = Instant::now() + limit;
        let mut pause = self.pause(answer.retry_after);
        loop {
            if Instant::now() + pause > deadline {
                return Err(DriverError::TimedOut { action: action.to_owned(), after: limit });
            }
            tokio::time::sleep(pause).await;
            let answer = match self.ask(&call).await? {
                Ok(answer) => answer,
                Err(refusal) => return Ok(Err(refusal)),
            };
            pause = self.pause(answer.retry_after);
            let code = answer.status;
            let status: Option<Status> = self.read(&call, answer.body)?;
            let status = status.unwrap_or_default();
            match status.status.as_deref() {
                Some("Succeeded") => return Ok(Ok(())),
                Some("Failed" | "Canceled") => return Ok(Err(Refusal::of_error(0, status.error.unwrap_or_default()))),
                None if code != ACCEPTED => return Ok(Ok(())),
                Some(_) | None => {}
            }
        }
    }

    /// The pause before the next look: our own, or longer where Azure asks for it.
    pub(crate) fn pause(&self, asked: Option<Duration>) -> Duration {
        self.patience.pause.max(asked.unwrap_or_default())
    }
}
