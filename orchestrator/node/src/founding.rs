//! The first node of a swarm made by hand: everything that the workstation makes for a swarm of its own.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ca::{Authority, KeyPair, NodeSubject, UnlockKey};
use jiff::Timestamp;
use model::{
    ClusterId, DATA_PATH_PORT, JoinSecrets, NodeId, RaftId, Role, RootCa, RosterEntry, Seed, SwarmError, SwarmSpec,
    parse_cidr, validate_swarm_spec,
};
use rand::rngs::StdRng;
use rpc::Identity;

use crate::InitRequest;
use crate::disk::{NewNode, NodeFile};
use crate::genesis::GenesisFile;

/// Docker's default pool of overlays.
const DEFAULT_POOL: &str = "10.0.0.0/8";
/// Docker's default prefix length of an overlay.
const DEFAULT_SUBNET_SIZE: u32 = 24;
/// The longest prefix that leaves room for a few endpoints.
const LONGEST_SUBNET: u32 = 29;

/// Where a node listens and is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) listen: SocketAddr,
    pub(crate) advertise: SocketAddr,
    pub(crate) data_path: Option<IpAddr>,
}

/// A founded swarm, before anything of it is on disk.
#[derive(Debug)]
pub(crate) struct Founding {
    pub(crate) node: NodeFile,
    pub(crate) identity: Identity,
    pub(crate) genesis: GenesisFile,
}

/// Checks what was asked for, as far as it does not concern addresses.
pub(crate) fn check(request: &InitRequest) -> Result<(), SwarmError> {
    let not_offered =
        |what: &str| Err(SwarmError::new(model::ErrorKind::Unimplemented, format!("{what} is not supported")));
    validate_swarm_spec(&request.spec)?;
    if !request.spec.ca_config.external_cas.is_empty() {
        return not_offered("an external certificate authority");
    }
    if request.data_path_port != 0 && !(1024..=49151).contains(&request.data_path_port) {
        return Err(SwarmError::invalid(format!(
            "VXLAN UDP port number is not in valid range (1024-49151): {}",
            request.data_path_port
        )));
    }
    for pool in &request.default_addr_pool {
        let (_, length) =
            parse_cidr(pool).ok_or_else(|| SwarmError::invalid(format!("invalid CIDR address: {pool}")))?;
        if u32::from(length) > subnet_size(request) {
            return Err(SwarmError::invalid(format!("default address pool {pool} is smaller than one subnet")));
        }
    }
    if subnet_size(request) > LONGEST_SUBNET {
        return Err(SwarmError::invalid(format!("subnet size must be at most {LONGEST_SUBNET}")));
    }
    Ok(())
}

/// Makes a swarm of one manager.
pub(crate) fn found(
    request: InitRequest,
    addresses: Addresses,
    hostname: &str,
    now: Timestamp,
    rng: &mut StdRng,
) -> Result<Founding, SwarmError> {
    let internal = |error: ca::CaError| SwarmError::internal(error.to_string());
    let authority = match manager::given_root(&request.spec.ca_config, now)? {
        Some(given) => given,
        None => Authority::generate("swarm-ca", now).map_err(internal)?,
    };
    let (cluster_id, node_id, raft_id) = (ClusterId::generate(rng), NodeId::generate(rng), RaftId::generate(rng));
    let key = KeyPair::generate().map_err(internal)?;
    let subject = NodeSubject {
        node_id: node_id.clone(),
        role: Role::Manager,
        cluster_id: cluster_id.clone(),
        addresses: vec![addresses.advertise.ip()],
    };
    let certificate =
        authority.issue_node(key.csr_pem(), &subject, certificate_life(&request.spec), now).map_err(internal)?;
    let root = authority.certificate_pem().to_owned();
    let entry = RosterEntry {
        node_id: node_id.clone(),
        hostname: hostname.to_owned(),
        role: Role::Manager,
        raft_id: Some(raft_id),
        addr: addresses.advertise,
    };
    let subnet_size = subnet_size(&request);
    let pools = request.default_addr_pool;
    let ca_config = request.spec.ca_config.without_root();
    let mut spec = SwarmSpec { name: "default".to_owned(), ca_config, ..request.spec };
    spec.encryption_config.auto_lock_managers |= request.auto_lock_managers;
    let unlock_key = spec.encryption_config.auto_lock_managers.then(|| UnlockKey::generate(rng).to_secret());
    let seed = Seed {
        spec,
        created_at: now,
        root_ca: RootCa::new(root.as_str(), authority.key_pem()),
        join_secrets: JoinSecrets { worker: ca::generate_join_secret(rng), manager: ca::generate_join_secret(rng) },
        unlock_key,
        client_ca: None,
        data_path_port: u16::try_from(request.data_path_port).ok().filter(|port| *port != 0).unwrap_or(DATA_PATH_PORT),
        default_addr_pool: if pools.is_empty() { vec![DEFAULT_POOL.to_owned()] } else { pools },
        subnet_size,
    };
    let genesis = GenesisFile {
        cluster_id: cluster_id.clone(),
        gossip_key: ca::generate_gossip_key(rng, 1),
        roster: vec![entry],
        seed: Some(seed),
        availability: request.availability,
    };
    let node = NewNode {
        node_id,
        cluster_id,
        roots: vec![root],
        listen: addresses.listen,
        advertise: addresses.advertise,
        data_path: addresses.data_path,
        managers: genesis.managers(),
        remotes: Vec::new(),
        raft_id: Some(raft_id),
        is_first_key: false,
        nonce: None,
    };
    let identity = Identity { certificate_pem: certificate, key: key.key_pem() };
    Ok(Founding { node: node.into(), identity, genesis })
}

fn subnet_size(request: &InitRequest) -> u32 {
    if request.subnet_size == 0 { DEFAULT_SUBNET_SIZE } else { request.subnet_size }
}

fn certificate_life(spec: &SwarmSpec) -> Duration {
    let expiry = u64::try_from(spec.ca_config.node_cert_expiry).unwrap_or_default();
    if expiry == 0 { Duration::from_hours(90 * 24) } else { Duration::from_nanos(expiry) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_checked_before_anything_is_made() {
        let check = |request: InitRequest, expected: Result<(), &str>| {
            let outcome = check(&request).map_err(|error| error.message);
            assert_eq!(outcome, expected.map_err(ToOwned::to_owned));
        };
        let request = InitRequest::default;

        check(request(), Ok(()));
        check(InitRequest { data_path_port: 5789, ..request() }, Ok(()));
        check(
            InitRequest { data_path_port: 80, ..request() },
            Err("VXLAN UDP port number is not in valid range (1024-49151): 80"),
        );
        check(
            InitRequest { default_addr_pool: vec!["10.20.0.0".to_owned()], ..request() },
            Err("invalid CIDR address: 10.20.0.0"),
        );
        check(
            InitRequest { default_addr_pool: vec!["10.20.0.0/28".to_owned()], ..request() },
            Err("default address pool 10.20.0.0/28 is smaller than one subnet"),
        );
        check(InitRequest { subnet_size: 30, ..request() }, Err("subnet size must be at most 29"));
        check(InitRequest { force_new_cluster: true, ..request() }, Ok(()));
    }
}
