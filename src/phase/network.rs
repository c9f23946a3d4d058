//! Makes the swarm's identity, then the network and firewall that the machines share.
//!
//! The first write of the journal happens here: network and machines are announced before anything is made.

use std::path::Path;

use async_trait::async_trait;
use model::Role;
use rand::rngs::SysRng;

use super::preflight::makes_machines;
use super::{Context, Phase, PhaseError};
use crate::identity::{Identity, IdentityError, save_ssh_key};
use crate::journal::{Journal, NetworkRecord, Stage, Step};

/// Network and firewall.
#[derive(Debug)]
pub(super) struct Network;

#[async_trait]
impl Phase for Network {
    fn title(&self) -> &'static str {
        "Create network"
    }

    fn is_needed(&self, context: &Context) -> bool {
        makes_machines(&context.journal())
    }

    async fn apply(&self, context: &Context) -> Result<(), PhaseError> {
        let identity = identity_of_new_swarm(context).await?;
        context
            .ledger
            .record(|journal| {
                if journal.network == NetworkRecord::Absent {
                    journal.network = NetworkRecord::Intended;
                }
                if let Some(identity) = &identity {
                    adopt(journal, identity);
                }
            })
            .await?;

        let folder = context.ledger.folder().to_owned();
        let needs_ssh_key = !context.driver.capabilities().machines_are_given;
        let name = context.journal().spec.name.clone();
        let to_save = identity.clone();
        let saved = tokio::task::spawn_blocking(move || save(&folder, to_save.as_ref(), needs_ssh_key, &name));
        let request = context.request();
        let made = context.call("create the network", || context.driver.ensure_network(&request));
        let (saved, made) = tokio::join!(saved, made);
        saved??;
        let network = made?;
        if let Some(identity) = identity {
            context.set_identity(identity);
        }
        context.ledger.note(|journal| journal.network = NetworkRecord::Exists(network));
        Ok(())
    }

    fn undo_title(&self) -> Option<&'static str> {
        Some("Remove network")
    }

    async fn undo(&self, context: &Context) -> Result<(), PhaseError> {
        let id = context.journal().id.clone();
        context.call("remove the network", || context.driver.remove_network(&id)).await?;
        context.ledger.note(|journal| journal.network = NetworkRecord::Absent);
        Ok(())
    }

    fn is_free_after(&self, context: &Context) -> bool {
        context.driver.capabilities().removes_machines_with_network
    }
}

/// The identity of a swarm that is not formed yet: the one on disk, else a new one. A formed swarm has its own.
async fn identity_of_new_swarm(context: &Context) -> Result<Option<Identity>, PhaseError> {
    let journal = context.journal();
    if journal.stage != Stage::Creating {
        return Ok(None);
    }
    let folder = context.ledger.folder().to_owned();
    let identity = tokio::task::spawn_blocking(move || load_or_generate(&folder, &journal)).await??;
    Ok(Some(identity))
}

fn load_or_generate(folder: &Path, journal: &Journal) -> Result<Identity, IdentityError> {
    if let Some(identity) = Identity::load(folder)? {
        return Ok(identity);
    }
    // A node may have been given its part of an identity: a second one would make a second swarm.
    if journal.machines.values().any(|machine| machine.step > Step::Creating) {
        return Err(IdentityError::Damaged { reason: "it is missing".to_owned() });
    }
    let cluster_id = journal
        .id
        .0
        .parse::<model::ClusterId>()
        .map_err(|error| IdentityError::Damaged { reason: error.to_string() })?;
    let members: Vec<(u32, Role)> = journal.machines.iter().map(|(number, machine)| (*number, machine.role)).collect();
    let mut rng = rand::rand_core::UnwrapErr(SysRng);
    Identity::generate(cluster_id, &members, &mut rng, jiff::Timestamp::now())
}

fn adopt(journal: &mut Journal, identity: &Identity) {
    for (number, machine) in &mut journal.machines {
        machine.node_id = identity.node_id(*number).cloned();
    }
}

fn save(folder: &Path, identity: Option<&Identity>, needs_ssh_key: bool, name: &str) -> Result<(), IdentityError> {
    if let Some(identity) = identity {
        identity.save(folder)?;
        if needs_ssh_key {
            save_ssh_key(folder, name)?;
        }
    }
    Ok(())
}
