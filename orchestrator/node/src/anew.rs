//! Going on with this manager alone: `docker swarm init --force-new-cluster` on a manager.
//!
//! ```text
//! checked while all runs ──> member stopped ──> log read through ──> node.json: "begins anew", fresh raft id, addresses
//!                                                                    └─ from here on it is carried out, whatever crashes
//!   started again: the log's new beginning ──> leads ──> the swarm shows it ──> node.json: begun
//! ```
//!
//! Of the request only addresses count, and those that it leaves out stay: the swarm and its settings go on as they are.

use std::net::SocketAddr;

use model::{CONTROL_PORT, ManagerPeer, RaftId, Role, SwarmError, with_causes};
use raft::{KeySeal, RestingLog};
use rand::rngs::StdRng;

use crate::address::{LocalAddress, advertise_addr, data_path_addr, listen_addr};
use crate::disk::{Disk, NodeFile};
use crate::founding::{self, Addresses};
use crate::record::blocking;
use crate::{InitRequest, words};

/// Checks whether a member may begin anew; gives the addresses that it will have.
pub(crate) fn check(
    request: &InitRequest,
    role: Role,
    node: &NodeFile,
    locals: &[LocalAddress],
) -> Result<Addresses, SwarmError> {
    if role == Role::Worker {
        return Err(words::worker());
    }
    founding::check(request)?;
    let listen = match given(request.listen_addr.as_deref()) {
        Some(text) => listen_addr(Some(text), locals)?,
        None => node.listen,
    };
    let data_path = match request.data_path_addr.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => data_path_addr(Some(text), locals)?,
        None => node.data_path,
    };
    Ok(Addresses { listen, advertise: advertise(request, node, listen, locals)?, data_path })
}

/// The listen address that was asked for. The command line always sends one: its default asks for nothing.
fn given(listen: Option<&str>) -> Option<&str> {
    let default = SocketAddr::from(([0, 0, 0, 0], CONTROL_PORT)).to_string();
    listen.filter(|text| !text.is_empty() && **text != default)
}

/// The address that the others shall use: the one given; else the present one, as long as this host has it.
fn advertise(
    request: &InitRequest,
    node: &NodeFile,
    listen: SocketAddr,
    locals: &[LocalAddress],
) -> Result<SocketAddr, SwarmError> {
    if let Some(text) = request.advertise_addr.as_deref().filter(|text| !text.is_empty()) {
        return advertise_addr(Some(text), listen, locals);
    }
    let is_ours = locals.iter().any(|local| local.addr == node.advertise.ip());
    if listen == node.listen && (is_ours || !listen.ip().is_unspecified()) {
        return Ok(node.advertise);
    }
    if listen.ip().is_unspecified() && is_ours {
        return Ok(SocketAddr::new(node.advertise.ip(), listen.port()));
    }
    advertise_addr(None, listen, locals)
}

/// Decides for the new beginning on disk; the member must have stopped. The next start carries it out.
pub(crate) async fn decide(
    disk: &Disk,
    seal: Option<KeySeal>,
    addresses: Addresses,
    mut rng: StdRng,
) -> Result<(), SwarmError> {
    let (dir, raft_id) = (disk.raft_dir(), RaftId::generate(&mut rng));
    let read =
        tokio::task::spawn_blocking(move || RestingLog::open(&dir, seal.as_ref(), &mut rng).map(|log| log.is_empty()))
            .await;
    let is_empty = read
        .map_err(|error| SwarmError::internal(error.to_string()))?
        .map_err(|error| SwarmError::internal(with_causes(&error)))?;
    if is_empty {
        return Err(words::nothing_to_begin_with());
    }
    let disk = disk.clone();
    let is_kept = blocking(move || {
        let Some(mut node) = disk.node()? else { return Ok(false) };
        node.raft_id = Some(raft_id);
        node.listen = addresses.listen;
        node.advertise = addresses.advertise;
        node.data_path = addresses.data_path;
        // The former managers do not lead this swarm any more: its agent turns to this node alone.
        node.managers = vec![ManagerPeer { node_id: node.node_id.clone(), addr: addresses.advertise }];
        node.remotes = Vec::new();
        node.begins_anew = true;
        disk.keep_node(&node)?;
        Ok(true)
    })
    .await?;
    if is_kept { Ok(()) } else { Err(words::not_in_swarm()) }
}

#[cfg(test)]
mod tests;
