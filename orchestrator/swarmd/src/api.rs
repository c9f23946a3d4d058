//! `swarmd api`: one request to the agent's Engine API over its unix socket, for hosts without curl.

use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use model::NodeId;
use serde::Deserialize;
use tokio::net::UnixStream;

use crate::answer;
use crate::arguments::ApiArguments;
use crate::layout;

/// A request or an answer larger than this is not one of the calls made here.
const LARGEST_BODY: usize = 16 << 20;
/// How long an agent may take to say which node it is.
const IDENTITY_PATIENCE: Duration = Duration::from_secs(2);

/// What `GET /info` says of the swarm, as far as it is needed here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    swarm: SwarmInfo,
}

/// See [`Info`].
#[derive(Debug, Deserialize)]
struct SwarmInfo {
    #[serde(rename = "NodeID")]
    node_id: String,
}

/// Sends the request and prints the answer's body; exit code 1 where the status says that it failed.
pub(crate) fn run(arguments: &ApiArguments) -> anyhow::Result<ExitCode> {
    let method: Method = arguments.method.parse().context("failed to read the method")?;
    let body = if method == Method::POST || method == Method::PUT { read_body()? } else { Bytes::new() };
    let socket = layout::api_socket(&arguments.run_dir);
    let (status, answer) = runtime()?.block_on(send(&socket, method, &arguments.path, body))?;
    answer::bytes(&answer)?;
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the agent on this host is this node already. Where it does not answer, it is not.
pub(crate) fn is_node(node_id: &NodeId) -> bool {
    let socket = layout::api_socket(Path::new(layout::RUN_DIR));
    let Ok(runtime) = runtime() else { return false };
    let answer = runtime.block_on(async {
        tokio::time::timeout(IDENTITY_PATIENCE, send(&socket, Method::GET, "/info", Bytes::new())).await
    });
    let Ok(Ok((StatusCode::OK, body))) = answer else { return false };
    serde_json::from_slice::<Info>(&body).is_ok_and(|info| info.swarm.node_id == node_id.to_string())
}

fn read_body() -> anyhow::Result<Bytes> {
    let mut body = Vec::new();
    let limit = LARGEST_BODY as u64 + 1;
    io::stdin().lock().take(limit).read_to_end(&mut body).context("failed to read the body from standard input")?;
    anyhow::ensure!(body.len() <= LARGEST_BODY, "the body is larger than {LARGEST_BODY} bytes");
    Ok(body.into())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")
}

async fn send(socket: &Path, method: Method, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("failed to reach the agent at `{}`", socket.display()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("failed to speak to the agent")?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "swarmd")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .with_context(|| format!("`{path}` is not a path"))?;
    let exchange = async {
        let answer = sender.send_request(request).await.context("failed to send the request")?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST_BODY).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("failed to read the answer: {error}"))?;
        Ok((status, body.to_bytes()))
    };
    // The connection ends when the exchange has dropped its sender, or with an error that the exchange reports.
    tokio::pin!(exchange);
    tokio::pin!(connection);
    tokio::select! {
        outcome = &mut exchange => outcome,
        _ = &mut connection => exchange.await,
    }
}
