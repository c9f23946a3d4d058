//! Programs that are added to containers: made, started with a client on their streams or without, looked at.

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use engine::{Containers, ExecConfig, ExecStream};
use http::StatusCode;
use runtime::{Stream, Streams, TtySize};
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::detach_keys::DetachKeys;
use crate::error::ApiError;
use crate::frames::content_type;
use crate::hijack::{self, Wire};
use crate::path::Named;
use crate::relay::{EndOfInput, Left, ProgramStreams, Relay, send};
use crate::respond::{done, json};
use crate::spec::read_exec;
use crate::version::ApiVersion;
use crate::views::exec::ExecDocument;

/// Since when a terminal has its size from the start.
const CONSOLE_SIZE_SINCE: ApiVersion = ApiVersion::new(1, 42);

/// How a program is started.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct StartBody {
    detach: bool,
    tty: bool,
    console_size: Option<[u16; 2]>,
}

/// `POST /containers/{id}/exec`
pub(in crate::routes) async fn create(
    State(api): State<Api>,
    Extension(version): Extension<ApiVersion>,
    Named(name): Named,
    request: Request,
) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct CreatedDocument {
        id: String,
    }
    let mut config: ExecConfig = read_exec(request).await?;
    if version < CONSOLE_SIZE_SINCE {
        config.console_size = None;
    }
    detach_keys(&config)?;
    let id = api.engine.containers().exec_create(&name, config)?;
    Ok(json(StatusCode::CREATED, &CreatedDocument { id }))
}

/// `GET /exec/{id}/json`
pub(in crate::routes) async fn inspect(State(api): State<Api>, Named(id): Named) -> Result<Response, ApiError> {
    let view = api.engine.containers().exec_inspect(&id)?;
    Ok(json(StatusCode::OK, &ExecDocument::from(view)))
}

/// `POST /exec/{id}/start`: with a client on its streams, or, with `Detach`, without. What was made with streams that
/// nobody is on loses what it writes there.
pub(in crate::routes) async fn start(
    State(api): State<Api>,
    Extension(version): Extension<ApiVersion>,
    Named(id): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let is_upgrade = hijack::is_upgrade(request.headers());
    let body: StartBody = read_exec(request).await?;
    let containers = api.engine.containers().clone();
    let exec = containers.exec_inspect(&id)?;
    let keys = detach_keys(&exec.config)?;
    let size = body.console_size.filter(|_| body.tty && version >= CONSOLE_SIZE_SINCE);
    let size = size.map(|[rows, columns]| TtySize { columns, rows });
    let was_started = exec.is_running || exec.exit_code.is_some();
    if body.detach || was_started {
        return containers.exec_start(&id, size).await.map(|_| done()).map_err(ApiError::from);
    }
    let is_framed = !body.tty;
    // The head goes out before the program begins, as in Docker.
    Ok(hijack::answer(is_upgrade, content_type(is_framed, version), move |mut wire: Wire| async move {
        match containers.exec_start(&id, size).await {
            Ok(program) => converse(wire, relay(program, &exec.config, keys, is_framed), containers, id).await,
            // Clients read the words from the stream, and how it ended from the program.
            Err(error) => {
                let words = format!("{}\r\n", model::with_causes(&error));
                if send(&mut wire.output, Stream::Stdout, words.as_bytes(), is_framed).await.is_ok() {
                    wire.end().await;
                }
            }
        }
    }))
}

fn detach_keys(config: &ExecConfig) -> Result<DetachKeys, ApiError> {
    let keys = &config.detach_keys;
    DetachKeys::parse(keys)
        .map_err(|error| ApiError::invalid(format!("Invalid escape keys ({keys}) provided: {error}")))
}

fn relay(program: ExecStream, config: &ExecConfig, keys: DetachKeys, is_framed: bool) -> Relay {
    Relay {
        program: ProgramStreams::Added(program),
        streams: Streams { stdin: config.attach_stdin, stdout: config.attach_stdout, stderr: config.attach_stderr },
        is_framed,
        detach_keys: config.tty.then_some(keys),
        end_of_input: if config.tty { EndOfInput::Detaches } else { EndOfInput::EndsInput },
    }
}

async fn converse(mut wire: Wire, relay: Relay, containers: Containers, id: String) {
    match relay.run(&mut wire).await {
        Left::Detached => containers.note_exec_detach(&id),
        Left::Ended => {}
        Left::Gone => return tracing::info!(exec = %id, "a client that takes nothing is detached"),
    }
    wire.end().await;
}
