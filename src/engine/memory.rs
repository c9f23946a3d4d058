//! What stands in for the orchestrator on machines that exist in memory only.
//!
//! There is nothing to install and nothing that could answer: the journal is all there is, so the journal answers.
//! Every node says in its engine's version that it exists in memory only.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use model::{API_PORT, Availability, Bootstrap, NodeId, Role};
use rand::rngs::SysRng;
use reach::Session;

use super::{Engine, EngineError, Host, JoinTicket, ManagerStanding, Settling, Staged, Swarm, SwarmNode};
use crate::cluster::hostname;
use crate::journal::{Journal, Step};

/// What every node's engine calls itself.
const VERSION: &str = "in memory only";

/// The engine of machines that exist in memory only.
#[derive(Debug)]
pub struct Memory;

#[async_trait]
impl Engine for Memory {
    fn check_agent(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn agent_file(&self) -> Result<Option<PathBuf>, EngineError> {
        Ok(None)
    }

    async fn deliver(&self, _host: &Host<'_>) -> Result<(), EngineError> {
        Ok(())
    }

    async fn install(&self, _host: &Host<'_>, _bootstrap: Option<Bootstrap>) -> Result<(), EngineError> {
        Ok(())
    }

    async fn membership(&self, host: &Host<'_>) -> Result<Option<NodeId>, EngineError> {
        Ok(host.known_as.cloned())
    }

    async fn join(&self, _host: &Host<'_>, _ticket: &JoinTicket) -> Result<NodeId, EngineError> {
        Ok(NodeId::generate(&mut rand::rand_core::UnwrapErr(SysRng)))
    }

    async fn uninstall(&self, _session: &dyn Session, _mark: &str) -> Result<(), EngineError> {
        Ok(())
    }

    async fn start(&self, _session: &dyn Session) -> Result<(), EngineError> {
        Ok(())
    }

    async fn stop(&self, _session: &dyn Session) -> Result<(), EngineError> {
        Ok(())
    }

    async fn stage(&self, _host: &Host<'_>) -> Result<Staged, EngineError> {
        Ok(Staged { version: VERSION.to_owned(), sha256: String::new(), is_running: true })
    }

    async fn switch(&self, _host: &Host<'_>) -> Result<(), EngineError> {
        Ok(())
    }

    async fn unstage(&self, _host: &Host<'_>) -> Result<(), EngineError> {
        Ok(())
    }

    async fn settling(&self, _host: &Host<'_>, _role: Role) -> Result<Settling, EngineError> {
        Ok(Settling::Done)
    }

    fn log_command(&self, _lines: u32, _follow: bool) -> String {
        "true".to_owned()
    }

    fn swarm(&self, journal: &Journal, _folder: &Path) -> Result<Box<dyn Swarm>, EngineError> {
        Ok(Box::new(MemorySwarm { journal: journal.clone() }))
    }
}

/// The swarm that the journal tells of.
#[derive(Debug)]
struct MemorySwarm {
    journal: Journal,
}

#[async_trait]
impl Swarm for MemorySwarm {
    async fn id(&self) -> Result<String, EngineError> {
        Ok(self.journal.id.to_string())
    }

    async fn nodes(&self) -> Result<Vec<SwarmNode>, EngineError> {
        let mut nodes = Vec::new();
        let mut has_leader = false;
        for (number, machine) in &self.journal.machines {
            let (Some(id), Some(instance)) = (&machine.node_id, &machine.instance) else { continue };
            if machine.step == Step::Leaving {
                continue;
            }
            let runs = instance.state == driver::InstanceState::Running;
            let is_leader = runs && machine.role == Role::Manager && !has_leader;
            has_leader |= is_leader;
            let reachability = if runs { "reachable" } else { "unreachable" };
            nodes.push(SwarmNode {
                id: id.clone(),
                hostname: hostname(*number),
                role: machine.role,
                availability: Availability::Active,
                state: if runs { "ready" } else { "down" }.to_owned(),
                address: instance.private_address.map(|address| address.to_string()).unwrap_or_default(),
                manager: (machine.role == Role::Manager)
                    .then(|| ManagerStanding { is_leader, reachability: reachability.to_owned() }),
                engine_version: VERSION.to_owned(),
            });
        }
        Ok(nodes)
    }

    async fn ticket(&self, _role: Role) -> Result<JoinTicket, EngineError> {
        Ok(JoinTicket { token: model::Secret::default(), managers: Vec::new() })
    }

    async fn set_role(&self, _node: &NodeId, _role: Role) -> Result<(), EngineError> {
        Ok(())
    }

    async fn drain(&self, _node: &NodeId) -> Result<(), EngineError> {
        Ok(())
    }

    async fn tasks_left(&self, _node: &NodeId) -> Result<usize, EngineError> {
        Ok(0)
    }

    async fn remove(&self, _node: &NodeId) -> Result<(), EngineError> {
        Ok(())
    }

    async fn renew_lease(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn endpoint(&self) -> Result<SocketAddr, EngineError> {
        let mut managers = self.journal.machines.values().filter(|machine| machine.role == Role::Manager);
        let address = managers.find_map(|machine| machine.instance.as_ref()?.private_address);
        address.map(|address| SocketAddr::new(address, API_PORT)).ok_or(EngineError::NoManager { source: None })
    }

    async fn lacking(&self, _: SocketAddr, _: &BTreeSet<String>) -> Result<BTreeSet<String>, EngineError> {
        Err(no_images())
    }

    async fn load(&self, _: SocketAddr, _: BoxStream<'static, io::Result<Bytes>>) -> Result<Vec<String>, EngineError> {
        Err(no_images())
    }
}

fn no_images() -> EngineError {
    let message = "the machines of this cluster exist in memory only: they keep no images".to_owned();
    EngineError::Refused { status: 501, message }
}
