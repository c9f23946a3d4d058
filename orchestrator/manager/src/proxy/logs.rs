//! Reading output on any manager: a follower asks the leader, and goes on with the next one behind what it has.
//!
//! Each forwarded reading has a connection of its own: one that nobody reads for a while fills up, and must not be in
//! the way of raft.

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use model::{Caller, LogMessage, LogRequest, SwarmError};
use raft::Peer;
use rpc::{Connector, LogCall, LogClient};
use tokio::time::Instant;
use tracing::debug;

use super::{Access, READ_LIMIT, Try, classify, pause};
use crate::logs::LogMessages;

impl Access {
    /// Reads output of tasks, wherever the leader is. Ends at its end, or with an error where no leader is found for too
    /// long.
    ///
    /// # Errors
    /// There is no such target, too many read already, or there is no leader.
    pub async fn logs(&self, caller: Caller, request: LogRequest) -> Result<LogMessages, SwarmError> {
        let messages = self.open_logs(&caller, &request).await?;
        let progress = LogProgress { access: self.clone(), caller, began: Timestamp::now(), request };
        Ok(stream::unfold(Some((messages, progress)), |reading| async {
            let (mut messages, mut progress) = reading?;
            loop {
                match messages.next().await? {
                    Ok(LogMessage::Lines(lines)) => {
                        let moments = lines.iter().map(|line| (line.task.clone(), line.entry.time));
                        progress.request.seen.extend(moments);
                        return Some((Ok(LogMessage::Lines(lines)), Some((messages, progress))));
                    }
                    Err(error) if error.kind == model::ErrorKind::Unavailable => {
                        debug!(%error, "the leader is gone; going on with the next one");
                        match progress.go_on().await {
                            Ok(next) => messages = next,
                            Err(error) => return Some((Err(error), None)),
                        }
                    }
                    last => return Some((last, None)),
                }
            }
        })
        .boxed())
    }

    async fn open_logs(&self, caller: &Caller, request: &LogRequest) -> Result<LogMessages, SwarmError> {
        let deadline = Instant::now() + READ_LIMIT;
        let mut status = self.0.raft.status();
        loop {
            let leader = self.leader(&mut status, deadline).await?;
            let failure = match self.open_logs_on(&leader, deadline, caller, request).await {
                Try::Answered(outcome) => return outcome,
                Try::Again => SwarmError::no_leader(),
                Try::Uncertain(error) => error,
            };
            if Instant::now() >= deadline {
                return Err(failure);
            }
            pause(deadline, &mut status, &leader).await;
        }
    }

    async fn open_logs_on(
        &self,
        leader: &Peer,
        deadline: Instant,
        caller: &Caller,
        request: &LogRequest,
    ) -> Try<LogMessages> {
        if leader.raft_id == self.0.me {
            return classify(self.0.logs.read_here(request.clone()));
        }
        let connector = Connector::new(self.0.tls.clone());
        let client = LogClient::new(connector.channel(leader.addr, Some(leader.node_id.clone())));
        let call = client.read(LogCall { caller: caller.clone(), request: request.clone() });
        match tokio::time::timeout_at(deadline, call).await {
            Ok(Ok(messages)) => Try::Answered(Ok(messages.map_err(|status| rpc::from_status(&status)).boxed())),
            Ok(Err(status)) if rpc::is_answer(&status) => classify(Err(rpc::from_status(&status))),
            Ok(Err(status)) => Try::Uncertain(rpc::from_status(&status)),
            Err(_elapsed) => Try::Again,
        }
    }
}

/// How far a reader has come.
struct LogProgress {
    access: Access,
    caller: Caller,
    began: Timestamp,
    request: LogRequest,
}

impl LogProgress {
    /// Reads on behind what there was. Of tasks of which nothing came that is what they have written since the beginning,
    /// by this manager's clock.
    async fn go_on(&mut self) -> Result<LogMessages, SwarmError> {
        let selection = &mut self.request.selection;
        if selection.tail.take().is_some() {
            selection.since = selection.since.max(Some(self.began));
        }
        self.access.open_logs(&self.caller, &self.request).await
    }
}
