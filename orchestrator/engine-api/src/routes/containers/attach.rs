//! `POST /containers/{id}/attach` and `GET /containers/{id}/attach/ws`: a client on the streams of a container's program.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use engine::{ContainerError, ContainerStatus, Containers};
use http::{HeaderMap, StatusCode};
use runtime::{LogQuery, LogReader, Stream, Streams};

use crate::api::Api;
use crate::detach_keys::DetachKeys;
use crate::error::ApiError;
use crate::frames::content_type;
use crate::hijack::{self, ClientGone, Wire, WireOutput};
use crate::path::Named;
use crate::query::Query;
use crate::relay::{EndOfInput, Left, ProgramStreams, Relay, send};
use crate::version::ApiVersion;
use crate::web_socket;

/// How long the next line of a log is waited for: four times what its writer waits for the disk before it drops lines.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// `POST /containers/{id}/attach`
pub(in crate::routes) async fn attach(
    State(api): State<Api>,
    Extension(version): Extension<ApiVersion>,
    Named(name): Named,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let conversation = Conversation::begin(&api, &name, &query, true).await?;
    let content_type = content_type(conversation.is_framed, version);
    Ok(hijack::answer(hijack::is_upgrade(&headers), content_type, move |wire| conversation.run(wire)))
}

/// `GET /containers/{id}/attach/ws`: the same over a WebSocket, whose messages have no heads of streams.
pub(in crate::routes) async fn attach_web_socket(
    State(api): State<Api>,
    Named(name): Named,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let conversation = Conversation::begin(&api, &name, &query, false).await?;
    let accepted = web_socket::accepted(&headers)?;
    Ok(hijack::answer_web_socket(accepted, async move |wire| conversation.run(web_socket::over(wire).await).await))
}

/// A client that is about to be connected.
struct Conversation {
    /// What was written before and comes first.
    log: Option<LogReader>,
    /// What of that the client sees.
    shown: Streams,
    /// Whether pieces of output say which stream they are of.
    is_framed: bool,
    /// The program's streams, where the client is to have them.
    relay: Option<Relay>,
    containers: Containers,
    id: String,
}

/// Whether the container could not be made ready; else it may not be attached to at all.
fn cannot_begin(error: &ContainerError) -> bool {
    match error {
        ContainerError::Image(_)
        | ContainerError::Volume(_)
        | ContainerError::Network(_)
        | ContainerError::LocalNetwork(_)
        | ContainerError::Resolver(_)
        | ContainerError::Runtime(_)
        | ContainerError::File(_)
        | ContainerError::Invalid(_) => true,
        ContainerError::NoSuchContainer(_)
        | ContainerError::Ambiguous(_)
        | ContainerError::NameTaken { .. }
        | ContainerError::Conflict(_)
        | ContainerError::NoSuchExec(_)
        | ContainerError::Closed => false,
    }
}

/// Docker attaches nobody to what stands still.
fn refuse_at_rest(status: ContainerStatus, name: &str) -> Result<(), ApiError> {
    let conflict = |words: String| ApiError::new(StatusCode::CONFLICT, words);
    match status {
        ContainerStatus::Paused => {
            Err(conflict(format!("container {name} is paused, unpause the container before attach")))
        }
        ContainerStatus::Restarting => {
            Err(conflict(format!("container {name} is restarting, wait until the container is running")))
        }
        ContainerStatus::Created
        | ContainerStatus::Running
        | ContainerStatus::Removing
        | ContainerStatus::Exited
        | ContainerStatus::Dead => Ok(()),
    }
}

impl Conversation {
    /// What was written before comes first where `logs` asks for it; then the client is connected where `stream` does.
    async fn begin(api: &Api, name: &str, query: &Query, may_frame: bool) -> Result<Self, ApiError> {
        let keys = query.text("detachKeys");
        let detach_keys = DetachKeys::parse(keys)
            .map_err(|error| ApiError::invalid(format!("Invalid detach keys ({keys}) provided: {error}")))?;
        let containers = api.engine.containers().clone();
        let view = containers.find(name)?;
        let (id, config) = (view.record.id.clone(), &view.record.config);
        refuse_at_rest(view.state.status, name)?;
        let shown = Streams { stdin: false, stdout: query.boolean("stdout"), stderr: query.boolean("stderr") };
        let streams = Streams { stdin: query.boolean("stdin") && config.open_stdin, ..shown };
        let connects = query.boolean("stream") && streams != Streams::NONE;
        let connected = match (connects, query.boolean("logs")) {
            (true, true) => {
                let connected = containers.attach_behind_log(&id, streams).await;
                connected.map(|(attachment, log)| (Some(attachment), log))
            }
            (true, false) => containers.attach(&id, streams).await.map(|attachment| (Some(attachment), None)),
            (false, true) => containers.logs(&id, LogQuery::default()).map(|log| (None, log)),
            (false, false) => Ok((None, None)),
        };
        let (attachment, log) = match connected {
            // Clients connect before they start a container, and are told there why it cannot begin.
            Err(error) if !view.state.status.has_process() && cannot_begin(&error) => (None, None),
            connected => connected?,
        };
        let is_framed = may_frame && !config.tty;
        let keeps_output = config.stdin_once && !config.tty;
        let relay = attachment.map(|attachment| Relay {
            program: ProgramStreams::First(attachment),
            streams,
            is_framed,
            detach_keys: config.tty.then_some(detach_keys),
            end_of_input: if keeps_output { EndOfInput::EndsInput } else { EndOfInput::Detaches },
        });
        Ok(Self { log, shown, is_framed, relay, containers, id })
    }

    async fn run(self, mut wire: Wire) {
        if let Some(log) = self.log
            && replay(log, &mut wire.output, self.shown, self.is_framed).await.is_err()
        {
            return;
        }
        if let Some(relay) = self.relay {
            match relay.run(&mut wire).await {
                Left::Detached => self.containers.note_detach(&self.id),
                Left::Ended => {}
                Left::Gone => return tracing::info!(container = %self.id, "a client that takes nothing is detached"),
            }
        }
        wire.end().await;
    }
}

/// Shows what was written before. Lines that the disk does not take are given up after a while, for meanwhile the
/// program waits.
async fn replay(
    mut log: LogReader,
    client: &mut WireOutput,
    shown: Streams,
    is_framed: bool,
) -> Result<(), ClientGone> {
    while let Ok(Some(entry)) = tokio::time::timeout(LOG_PATIENCE, log.next()).await {
        match entry {
            Ok(entry) => {
                let is_wanted = match entry.stream {
                    Stream::Stdout => shown.stdout,
                    Stream::Stderr => shown.stderr,
                };
                if is_wanted {
                    send(client, entry.stream, entry.text.as_bytes(), is_framed).await?;
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a log cannot be shown to its end");
                return Ok(());
            }
        }
    }
    Ok(())
}
