//! `swarmd run`: the agent. Settings -> build -> serve -> drain.
//!
//! ```text
//!  engine ──┐
//!           ├─> node runtime ── SwarmNode ──> Engine API: own socket, docker.sock where nobody holds it,
//!  raft  ───┘        └── certificate of 2376 ────────────> TLS 2376 while there is one
//! ```
//!
//! The first part to end ends the agent; whoever keeps it starts it again.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::ContainerExecutor;
use anyhow::{Context as _, bail};
use engine::{Engine, EngineSettings};
use engine_api::{ApiServer, SocketError, UnixSocket};
use node::{ApiTls, Ending, NodeRuntime, NodeSettings};
use raft::RaftSettings;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sd_notify::NotifyState;
use store::Clock;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::arguments::RunArguments;
use crate::installation::Installation;
use crate::settings::Settings;
use crate::state_lock::StateLock;
use crate::{host, lapse, layout, log, stop_word};

/// How long the agent may take to end what it has begun.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the agent waits for the one before it to end: as long as that one may take, and once more.
const TAKEOVER: Duration = DRAIN.saturating_mul(2);
/// Before a port that somebody else holds is tried again.
const PORT_PAUSE: Duration = Duration::from_secs(1);

/// What the agent consists of, all of it ended by one token.
type Parts = JoinSet<anyhow::Result<()>>;

/// Runs the agent until SIGTERM or SIGINT.
pub(crate) fn run(arguments: RunArguments) -> anyhow::Result<()> {
    match &arguments.log_dir {
        Some(folder) => log::to_file(&folder.join("swarmd.log"), arguments.log_format)?,
        None => log::to_stderr(arguments.log_format)?,
    }
    enter_agent_group();
    ca::install_crypto();
    let settings = settings(arguments)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?
        .block_on(live(settings))
        .inspect_err(|error| error!(error = format!("{error:#}"), "agent ends"))
}

/// Leaves the unit's own control group, which can then be divided between the agent and what it runs.
fn enter_agent_group() {
    match links::cgroup::enter_agent_group() {
        Ok(Some(group)) => debug!(group = %group.display(), "entered the agent's control group"),
        Ok(None) => {}
        Err(error) => warn!(error = &error as &dyn std::error::Error, "the unit's control group stays undivided"),
    }
}

fn settings(arguments: RunArguments) -> anyhow::Result<Settings> {
    let installation = Installation::read(&arguments.data_dir.join("installation.json"))?;
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Settings::new(arguments, installation, machine)
}

async fn live(settings: Settings) -> anyhow::Result<()> {
    // Before signals are listened for: while this waits, SIGTERM ends it.
    let _sole = StateLock::take(&settings.data_dir, TAKEOVER).await?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    info!(node = settings.hostname, version = env!("CARGO_PKG_VERSION"), "agent starts");

    // What was said to an agent before this one.
    if let Err(error) = stop_word::take_away(&settings.run_dir) {
        warn!(%error, "the end of this agent will be taken for good");
    }
    let (cancel, ending) = (CancellationToken::new(), Ending::default());
    let (engine, mut parts) = build(&settings, ending.clone(), &cancel).await?;
    tell_service_manager(NotifyState::Ready);
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        Some(ended) = parts.join_next() => ended.context("a part of the agent panicked").flatten(),
    };
    tell_service_manager(NotifyState::Stopping);
    if stop_word::is_left(&settings.run_dir) {
        ending.stop_for_good();
    }
    cancel.cancel();
    drain(parts).await;
    if host::goes_down().await {
        info!("the host goes down: ending the containers");
        engine.containers().close().await;
        let ended = engine::end_containers(&settings.data_dir, &settings.run_dir).await;
        if let Err(error) = ended {
            warn!(error = &error as &dyn std::error::Error, "containers are left to the host");
        }
    }
    info!("agent ends");
    ended
}

/// Builds all parts and starts them; the Engine API answers when this returns, and not before the node knows what it is.
async fn build(
    settings: &Settings,
    ending: Ending,
    cancel: &CancellationToken,
) -> anyhow::Result<(Arc<Engine>, Parts)> {
    make_private(&settings.run_dir)?;
    let mut rng = StdRng::from_rng(&mut rand::rng());
    let engine = EngineSettings {
        hostname: settings.hostname.clone(),
        labels: settings.labels.clone(),
        data_dir: settings.data_dir.clone(),
        run_dir: settings.run_dir.clone(),
        lease: settings.lease.as_ref().map(|leased| Duration::from_secs(leased.terms.seconds.into())),
        insecure_registries: settings.insecure_registries.clone(),
    };
    let engine = Arc::new(Engine::open(engine, &mut rng).await.context("failed to open the engine")?);
    let runtime = NodeRuntime::new(NodeSettings {
        executor: Arc::new(ContainerExecutor::new(Arc::clone(&engine))),
        data_dir: settings.data_dir.clone(),
        run_dir: settings.run_dir.clone(),
        hostname: settings.hostname.clone(),
        engine: Arc::clone(&engine),
        clock: Clock::system(),
        rng,
        raft: RaftSettings::default(),
        guard: Some(layout::GUARD_TABLE.to_owned()),
        ending,
    });
    let api = ApiServer::new(runtime.node(), Arc::clone(&engine));
    let (tls, known) = (runtime.api_tls(), runtime.known());
    let own = layout::api_socket(&settings.run_dir);
    let own = UnixSocket::bind(&own).await.context("failed to serve the Engine API")?;

    let mut parts = Parts::new();
    if let Some(leased) = settings.lease.clone() {
        let (lease, stop) = (Arc::clone(engine.lease()), cancel.clone());
        parts.spawn(async move {
            lapse::watch(&lease, leased, stop).await;
            Ok(())
        });
    }
    let stop = cancel.clone();
    parts.spawn(async move { Box::pin(runtime.run(stop)).await.context("the node ends") });
    tokio::select! {
        () = known => {}
        Some(ended) = parts.join_next() => {
            ended.context("the node panicked").flatten()?;
            bail!("the node ended while it was started");
        }
    }
    for socket in [Some(own), docker_socket(&settings.docker_socket).await].into_iter().flatten() {
        let (api, stop) = (api.clone(), cancel.clone());
        parts.spawn(async move { api.serve_unix(socket, stop).await.context("the Engine API ends") });
    }
    parts.spawn(serve_tls(api, tls, cancel.clone()));
    Ok((engine, parts))
}

fn make_private(folder: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).with_context(|| format!("failed to make `{}`", folder.display()))
}

/// The socket that the `docker` CLI looks for, unless a Docker daemon holds it.
async fn docker_socket(path: &Path) -> Option<UnixSocket> {
    match UnixSocket::bind(path).await {
        Ok(socket) => Some(socket),
        Err(SocketError::InUse { path }) => {
            info!(path = %path.display(), "another daemon serves this socket; leaving it alone");
            None
        }
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "the docker CLI needs to be told where the agent listens");
            None
        }
    }
}

/// Serves TLS on 2376 from the moment there is a certificate for it. Until then the port is left to others.
async fn serve_tls(
    api: ApiServer,
    mut certificates: watch::Receiver<Option<ApiTls>>,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let listener = tokio::select! {
        () = cancel.cancelled() => return Ok(()),
        listener = async {
            // The node outlives this; where it does not, the agent is ending.
            if certificates.wait_for(Option::is_some).await.is_err() {
                return std::future::pending().await;
            }
            listen().await
        } => listener,
    };
    api.serve_tls(listener, certificates, cancel).await.context("the Engine API on TLS ends")
}

/// The port 2376, once it is free.
async fn listen() -> TcpListener {
    let mut is_told = false;
    loop {
        let bound = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, model::API_PORT)).await {
            Ok(listener) => Ok(listener),
            // A host without IPv6.
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, model::API_PORT)).await,
        };
        match bound {
            Ok(listener) => return listener,
            Err(error) if !is_told => warn!(%error, port = model::API_PORT, "waiting for the Engine API's port"),
            Err(_) => {}
        }
        is_told = true;
        tokio::time::sleep(PORT_PAUSE).await;
    }
}

/// Waits until all parts have ended, and no longer than [`DRAIN`]; what is left then is cut off.
async fn drain(mut parts: Parts) {
    let all = async {
        while let Some(ended) = parts.join_next().await {
            if let Err(error) = ended.context("a part of the agent panicked").flatten() {
                warn!(error = format!("{error:#}"), "a part of the agent failed while it ended");
            }
        }
    };
    if tokio::time::timeout(DRAIN, all).await.is_err() {
        warn!("not everything ended in time");
        parts.shutdown().await;
    }
}

/// Tells systemd, or a keeper of ours, how far the agent is. Where nobody wants to know, nothing happens.
fn tell_service_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "failed to tell the service manager");
    }
}
