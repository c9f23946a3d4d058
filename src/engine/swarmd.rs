//! The bundled orchestrator: `swarmd` on every host, the Docker Engine API as its operator's interface.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use model::{API_PORT, Availability, Bootstrap, CONTROL_PORT, NodeId, Role, Secret};
use reach::{Command, ServiceError, Session, Upload};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::api::{Client, refusal};
use super::membership::{Membership, membership};
use super::{Engine, EngineError, Host, JoinTicket, ManagerStanding, Settling, Staged, Swarm, SwarmNode, upgrade};
use crate::bundle::{self, Agent};
use crate::journal::{Journal, Machine, Step};
use crate::template;

/// How often a change is tried again that somebody else's change overtook.
const MAX_OVERTAKEN: u32 = 5;
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
        Ok(Box::new(SwarmdSwarm { client: Client::new(folder, api)?, inside }))
    }
}

/// The swarm that the agents form.
#[derive(Debug)]
struct SwarmdSwarm {
    client: Client,
    /// The managers' addresses as the other members reach them.
    inside: Vec<IpAddr>,
}

/// Docker's node, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeView {
    #[serde(rename = "ID")]
    id: NodeId,
    spec: NodeSpecView,
    #[serde(default)]
    description: Value,
    #[serde(default)]
    status: StatusView,
    manager_status: Option<ManagerView>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeSpecView {
    role: Role,
    availability: Availability,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct StatusView {
    state: String,
    addr: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManagerView {
    #[serde(default)]
    leader: bool,
    #[serde(default)]
    reachability: String,
}

/// Docker's swarm, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SwarmView {
    #[serde(rename = "ID")]
    id: String,
    join_tokens: TokensView,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TokensView {
    worker: Secret,
    manager: Secret,
}

impl From<NodeView> for SwarmNode {
    fn from(view: NodeView) -> Self {
        let text = |pointer: &str| view.description.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
        Self {
            hostname: text("/Hostname"),
            engine_version: text("/Engine/EngineVersion"),
            id: view.id,
            role: view.spec.role,
            availability: view.spec.availability,
            state: view.status.state,
            address: view.status.addr,
            manager: view
                .manager_status
                .map(|manager| ManagerStanding { is_leader: manager.leader, reachability: manager.reachability }),
        }
    }
}

#[async_trait]
impl Swarm for SwarmdSwarm {
    async fn id(&self) -> Result<String, EngineError> {
        Ok(self.client.swarm::<SwarmView>().await?.1.id)
    }

    async fn nodes(&self) -> Result<Vec<SwarmNode>, EngineError> {
        let views = self.client.read::<Vec<NodeView>>("/nodes").await?;
        Ok(views.into_iter().map(SwarmNode::from).collect())
    }

    async fn ticket(&self, role: Role) -> Result<JoinTicket, EngineError> {
        let tokens = self.client.swarm::<SwarmView>().await?.1.join_tokens;
        let token = match role {
            Role::Manager => tokens.manager,
            Role::Worker => tokens.worker,
        };
        let managers = self.inside.iter().map(|address| SocketAddr::new(*address, CONTROL_PORT)).collect();
        Ok(JoinTicket { token, managers })
    }

    async fn set_role(&self, node: &NodeId, role: Role) -> Result<(), EngineError> {
        for _ in 0..MAX_OVERTAKEN {
            let view = self.client.read::<Value>(&format!("/nodes/{node}")).await?;
            let mut spec = view["Spec"].clone();
            if spec["Role"] == role.as_str() {
                return Ok(());
            }
            spec["Role"] = Value::from(role.as_str());
            let path = format!("/nodes/{node}/update?version={}", view["Version"]["Index"]);
            match self.client.change(Method::POST, &path, Some(&spec)).await {
                Err(error) if error.is_out_of_sequence() => {}
                done => return done,
            }
        }
        Err(EngineError::Refused { status: 500, message: format!("node {node} is being changed by somebody else") })
    }

    async fn remove(&self, node: &NodeId) -> Result<(), EngineError> {
        match self.client.change(Method::DELETE, &format!("/nodes/{node}?force=1"), None::<&()>).await {
            Err(error) if error.is_not_found() => Ok(()),
            done => done,
        }
    }

    async fn renew_lease(&self) -> Result<(), EngineError> {
        self.client.tell_all("/swarm/lease").await
    }

    async fn endpoint(&self) -> Result<SocketAddr, EngineError> {
        self.client.endpoint().await
    }

    async fn lacking(&self, manager: SocketAddr, blobs: &BTreeSet<String>) -> Result<BTreeSet<String>, EngineError> {
        self.client.lacking(manager, blobs).await
    }

    async fn load(
        &self,
        manager: SocketAddr,
        archive: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Vec<String>, EngineError> {
        self.client.load(manager, archive).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_as_docker_writes_it() {
        let view: NodeView = serde_json::from_str(
            r#"{"ID":"0123456789abcdefghijklmno","Spec":{"Labels":{},"Role":"manager","Availability":"active"},
                "Description":{"Hostname":"node-1","Engine":{"EngineVersion":"0.1.0"}},
                "Status":{"State":"ready","Addr":"192.0.2.1"},
                "ManagerStatus":{"Leader":true,"Reachability":"reachable","Addr":"192.0.2.1:2377"}}"#,
        )
        .unwrap();

        let node = SwarmNode::from(view);

        assert_eq!((node.hostname.as_str(), node.engine_version.as_str()), ("node-1", "0.1.0"));
        assert!(node.is_well());
        assert_eq!(node.standing(), "Leader");
    }

    #[test]
    fn a_worker_without_a_session_yet_reads_too() {
        let view: NodeView = serde_json::from_str(
            r#"{"ID":"0123456789abcdefghijklmno","Spec":{"Role":"worker","Availability":"drain"},
                "Status":{"State":"unknown"}}"#,
        )
        .unwrap();

        let node = SwarmNode::from(view);

        assert!(!node.is_well());
        assert_eq!(node.hostname, "");
    }
}
