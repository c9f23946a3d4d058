//! The bundled orchestrator: `swarmd` on every host, the Docker Engine API as its operator's interface.

mod swarm;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use model::{API_PORT, Bootstrap, CONTROL_PORT, NodeId, Role, Secret};
use reach::{Command, ServiceError, Session, Upload};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::swarm::SwarmdSwarm;
use super::api::{Client, refusal};
use super::membership::{Membership, membership};
use super::{Engine, EngineError, Host, JoinTicket, Settling, Staged, Swarm, upgrade};
use crate::bundle::{self, Agent};
use crate::journal::{Journal, Machine, Step};
use crate::template;

/// How long a node may take to join that was told to by a command before this one (Docker's own limit is 20 s).
const JOINING: Duration = Duration::from_secs(25);
/// How often it is asked meanwhile.
const JOINING_PAUSE: Duration = Duration::from_millis(100);

/// The bundled orchestrator.
#[derive(Debug)]
pub struct Swarmd {
    /// The agent given by `--agent`, in place of the built-in ones.
    file: Option<PathBuf>,
    /// Where agents are unpacked.
    cache: PathBuf,
    /// The agents that were sent already, by architecture: packed once for all hosts.
    agents: Mutex<BTreeMap<String, Agent>>,
}

impl Swarmd {
    /// The orchestrator, with an agent of the user's own where one is given.
    pub fn new(file: Option<PathBuf>, cache: PathBuf) -> Self {
        Self { file, cache, agents: Mutex::default() }
    }

    /// The agent for an architecture; hosts that ask at the same moment share it.
    pub(super) async fn agent(&self, arch: &str) -> Result<Agent, EngineError> {
        let mut agents = self.agents.lock().await;
        if let Some(agent) = agents.get(arch) {
            return Ok(agent.clone());
        }
        let (name, file) = (arch.to_owned(), self.file.clone());
        let agent = tokio::task::spawn_blocking(move || bundle::agent(&name, file.as_deref()))
            .await
            .expect("packing an agent does not panic")?;
        agents.insert(arch.to_owned(), agent.clone());
        Ok(agent)
    }

    /// The architecture of a host; it is asked where the provider does not know.
    pub(super) async fn arch(&self, host: &Host<'_>) -> Result<String, EngineError> {
        if let Some(arch) = host.arch {
            return Ok(arch.to_owned());
        }
        let question = Command::argv(["uname", "-m"]);
        Ok(host.session.run(&question).await?.expect_success(host.session.peer(), &question)?.text())
    }

    /// One call of the node's own API, over its root-only socket.
    pub(super) async fn call(
        &self,
        host: &Host<'_>,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Vec<u8>, EngineError> {
        let command = Command::argv([template::AGENT_BINARY, "api", method, path]).stdin(body.to_owned()).as_root();
        let output = host.session.run(&command).await?;
        if output.is_success() {
            return Ok(output.stdout.into());
        }
        if output.stdout.is_empty() {
            output.expect_success(host.session.peer(), &command)?;
            return Ok(Vec::new());
        }
        Err(EngineError::Refused { status: 500, message: refusal(&output.stdout) })
    }
}

/// Docker's `POST /swarm/join`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct JoinBody {
    listen_addr: String,
    advertise_addr: String,
    remote_addrs: Vec<String>,
    join_token: Secret,
}

#[async_trait]
impl Engine for Swarmd {
    fn check_agent(&self) -> Result<(), EngineError> {
        Ok(bundle::check(self.file.as_deref())?)
    }

    fn agent_file(&self) -> Result<Option<PathBuf>, EngineError> {
        Ok(Some(bundle::agent_file(std::env::consts::ARCH, self.file.as_deref(), &self.cache)?))
    }

    async fn deliver(&self, host: &Host<'_>) -> Result<(), EngineError> {
        if host.has_agent {
            return Ok(());
        }
        let agent = self.agent(&self.arch(host).await?).await?;
        let upload = Upload::gzip(template::AGENT_BINARY, 0o755, agent.gzip, agent.sha256);
        host.session.upload(&upload).await?;
        Ok(())
    }

    async fn install(&self, host: &Host<'_>, bootstrap: Option<Bootstrap>) -> Result<(), EngineError> {
        reach::service::install(host.session, &upgrade::request(host, bootstrap)).await?;
        Ok(())
    }

    async fn membership(&self, host: &Host<'_>) -> Result<Option<NodeId>, EngineError> {
        let deadline = Instant::now() + JOINING;
        loop {
            match membership(&self.call(host, "GET", "/info", "").await?)? {
                Membership::Of(id) => return Ok(Some(id)),
                Membership::Joining if Instant::now() < deadline => tokio::time::sleep(JOINING_PAUSE).await,
                Membership::Joining | Membership::None => return Ok(None),
            }
        }
    }

    async fn join(&self, host: &Host<'_>, ticket: &JoinTicket) -> Result<NodeId, EngineError> {
        let body = JoinBody {
            listen_addr: format!("0.0.0.0:{CONTROL_PORT}"),
            advertise_addr: SocketAddr::new(host.address, CONTROL_PORT).to_string(),
            remote_addrs: ticket.managers.iter().map(ToString::to_string).collect(),
            join_token: ticket.token.clone(),
        };
        let body = serde_json::to_string(&body).expect("a request has string keys only");
        self.call(host, "POST", "/swarm/join", &body).await?;
        let id = self.membership(host).await?;
        id.ok_or_else(|| EngineError::Refused {
            status: 503,
            message: format!("{} joined, but is in no swarm now", host.hostname),
        })
    }

    async fn uninstall(&self, session: &dyn Session, mark: &str) -> Result<(), EngineError> {
        match reach::service::remove(session, mark).await {
            Ok(_) | Err(ServiceError::NotInstalled { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn start(&self, session: &dyn Session) -> Result<(), EngineError> {
        reach::service::start(session).await?;
        Ok(())
    }

    async fn stop(&self, session: &dyn Session) -> Result<(), EngineError> {
        reach::service::stop(session).await?;
        Ok(())
    }

    async fn stage(&self, host: &Host<'_>) -> Result<Staged, EngineError> {
        self.stage_on(host).await
    }

    async fn switch(&self, host: &Host<'_>) -> Result<(), EngineError> {
        reach::service::succeed(host.session, &upgrade::request(host, None)).await?;
        Ok(())
    }

    async fn unstage(&self, host: &Host<'_>) -> Result<(), EngineError> {
        upgrade::unstage(host.session).await
    }

    async fn settling(&self, host: &Host<'_>, role: Role) -> Result<Settling, EngineError> {
        self.settling_on(host, role).await
    }

    fn log_command(&self, lines: u32, follow: bool) -> String {
        let (journal_follow, tail_follow) = if follow { (" --follow", " -F") } else { ("", "") };
        format!(
            "if [ -d /run/systemd/system ] && [ -e /etc/systemd/system/swarmd.service ]; then \
             exec journalctl --unit=swarmd --output=cat --no-pager --lines={lines}{journal_follow}; \
             else exec tail -n {lines}{tail_follow} /var/log/swarmd/swarmd.log; fi"
        )
    }

    fn swarm(&self, journal: &Journal, folder: &Path) -> Result<Box<dyn Swarm>, EngineError> {
        let is_manager = |machine: &Machine| machine.role == Role::Manager && machine.step != Step::Leaving;
        let managers = journal.machines.values().filter(|machine| is_manager(machine));
        let instances = managers.filter_map(|machine| machine.instance.as_ref());
        let reached = |instance: &driver::Instance| instance.public_address.or(instance.private_address);
        let api = instances.clone().filter_map(reached).map(|address| SocketAddr::new(address, API_PORT)).collect();
        let inside = instances.filter_map(|instance| instance.private_address).collect();
        Ok(Box::new(SwarmdSwarm::new(Client::new(folder, api)?, inside)))
    }
}
