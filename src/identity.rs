//! The swarm's identity, made on the workstation before any machine exists.
//!
//! Two authorities: the swarm's root, whose key the managers take over, and the authority of the API's clients, whose
//! key never leaves the workstation. In the cluster's folder:
//!
//! | file | what | how long |
//! |---|---|---|
//! | `first-host-key` | the host key that user-data hands to machines | until every machine has one of its own |
//! | `identity.json` | root key, node keys, gossip key, join secrets | until the swarm was verified |
//! | `ca.pem` | what the `docker` CLI wants in `DOCKER_CERT_PATH`: the root | until the swarm has another one |
//! | `cert.pem` `key.pem` | what it wants besides | as long as the cluster |
//! | `client-ca.pem` `client-ca-key.pem` | the authority that signs clients | as long as the cluster |

mod first_host_key;
mod roots;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ca::{Authority, CaError, CertificateError, KeyPair, NodeSubject};
use jiff::Timestamp;
use model::{
    BOOTSTRAP_FORMAT, Bootstrap, CONTROL_PORT, ClusterId, DATA_PATH_PORT, GossipKey, Host, JoinSecrets, NodeId, RaftId,
    Role, RootCa, RosterEntry, Secret, Seed, SwarmSpec, base36_digits,
};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

pub use first_host_key::{first_host_key, forget_first_host_key, read_first_host_key};
pub use roots::learn_roots;

use crate::cluster::hostname;
use crate::journal::{JournalError, file};

/// The swarm's secrets, until the managers hold them.
pub const IDENTITY_FILE: &str = "identity.json";
/// What clients trust: the roots of the swarm, as this workstation has learned them last.
pub const CA_FILE: &str = "ca.pem";
/// The client's certificate.
pub const CERTIFICATE_FILE: &str = "cert.pem";
/// The client's key.
pub const KEY_FILE: &str = "key.pem";
/// The authority of the clients.
pub const CLIENT_CA_FILE: &str = "client-ca.pem";
/// The key of the authority of the clients.
pub const CLIENT_CA_KEY_FILE: &str = "client-ca-key.pem";

/// The private half of the cluster's own SSH key, where its machines were given the public half.
pub const SSH_KEY_FILE: &str = "ssh-key";

/// Life of a node's first certificate, as of every later one in Docker; the node replaces it within its first minute.
const NODE_LIFETIME: Duration = Duration::from_hours(24 * 90);
/// Life of the client's certificate. Its authority's key is beside it, so a short one would protect nothing.
const CLIENT_LIFETIME: Duration = Duration::from_hours(24 * 365 * 5);
/// Digits of a bootstrap file's nonce: 128 random bits.
const NONCE_DIGITS: usize = 25;
/// Pool that overlays are cut from, as in Docker.
const DEFAULT_ADDR_POOL: &str = "10.0.0.0/8";
/// Prefix length of an overlay's subnet, as in Docker.
const SUBNET_SIZE: u32 = 24;

/// Why an identity cannot be made, kept or used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Something could not be signed.
    #[error("failed to make the swarm's identity")]
    Sign(#[from] CaError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] JournalError),
    /// What the swarm says are its roots cannot be taken over.
    #[error("the swarm's roots cannot be read")]
    Roots(#[source] CertificateError),
    /// The file with the secrets is missing or damaged, while the swarm still needs them.
    #[error("the swarm's identity in `{IDENTITY_FILE}` cannot be understood: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// There is no node of that number.
    #[error("the swarm's identity has no `{}`", hostname(*number))]
    NoSuchMember {
        /// The number.
        number: u32,
    },
}

/// All that the managers and nodes of a new swarm are given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    cluster_id: ClusterId,
    created_at: Timestamp,
    root_certificate: String,
    root_key: Secret,
    client_ca_certificate: String,
    client_ca_key: Secret,
    client_certificate: String,
    client_key: Secret,
    gossip_key: GossipKey,
    join_secrets: JoinSecrets,
    members: BTreeMap<u32, Member>,
}

/// What one node is given.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Member {
    node_id: NodeId,
    role: Role,
    raft_id: Option<RaftId>,
    nonce: String,
    key: Secret,
    request: String,
}

impl Identity {
    /// Draws the identity of a new swarm whose members are given by number.
    pub fn generate(
        cluster_id: ClusterId,
        members: &[(u32, Role)],
        rng: &mut impl CryptoRng,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let root = Authority::generate("swarm-ca", now)?;
        let clients = Authority::generate("swarmup client authority", now)?;
        let client = KeyPair::generate()?;
        let client_certificate = clients.issue_client(client.csr_pem(), "swarmup", CLIENT_LIFETIME, now)?;
        let members = members
            .iter()
            .map(|(number, role)| Ok((*number, Member::generate(*role, rng)?)))
            .collect::<Result<_, IdentityError>>()?;
        Ok(Self {
            cluster_id,
            created_at: now,
            root_certificate: root.certificate_pem().to_owned(),
            root_key: root.key_pem(),
            client_ca_certificate: clients.certificate_pem().to_owned(),
            client_ca_key: clients.key_pem(),
            client_certificate,
            client_key: client.key_pem(),
            gossip_key: ca::generate_gossip_key(rng, 1),
            join_secrets: JoinSecrets { worker: ca::generate_join_secret(rng), manager: ca::generate_join_secret(rng) },
            members,
        })
    }

    /// The node that a machine becomes.
    pub fn node_id(&self, number: u32) -> Option<&NodeId> {
        Some(&self.members.get(&number)?.node_id)
    }

    /// The bootstrap file of one machine, now that every member's address is known.
    pub fn bootstrap(
        &self,
        number: u32,
        addresses: &BTreeMap<u32, IpAddr>,
        now: Timestamp,
    ) -> Result<Bootstrap, IdentityError> {
        let member = self.members.get(&number).ok_or(IdentityError::NoSuchMember { number })?;
        let address = *addresses.get(&number).ok_or(IdentityError::NoSuchMember { number })?;
        let root = Authority::from_pem(&self.root_certificate, &self.root_key)?;
        let subject = NodeSubject {
            node_id: member.node_id.clone(),
            role: member.role,
            cluster_id: self.cluster_id.clone(),
            addresses: vec![address],
        };
        let certificate = root.issue_node(&member.request, &subject, NODE_LIFETIME, now)?;
        Ok(Bootstrap {
            format: BOOTSTRAP_FORMAT,
            nonce: member.nonce.clone(),
            host: Host { hostname: hostname(number), advertise_addr: SocketAddr::new(address, CONTROL_PORT) },
            cluster_id: self.cluster_id.clone(),
            node_id: member.node_id.clone(),
            role: member.role,
            certificate,
            key: member.key.clone(),
            roots: vec![self.root_certificate.clone()],
            gossip_key: self.gossip_key.clone(),
            roster: self.roster(addresses)?,
            seed: (member.role == Role::Manager).then(|| self.seed()),
        })
    }

    /// Writes the secrets and the client's files; all durable on return.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        let bytes = serde_json::to_vec_pretty(self).expect("an identity has string and number keys only");
        let files = [
            (IDENTITY_FILE, bytes.as_slice()),
            (CA_FILE, self.root_certificate.as_bytes()),
            (CERTIFICATE_FILE, self.client_certificate.as_bytes()),
            (KEY_FILE, self.client_key.expose().as_bytes()),
            (CLIENT_CA_FILE, self.client_ca_certificate.as_bytes()),
            (CLIENT_CA_KEY_FILE, self.client_ca_key.expose().as_bytes()),
        ];
        Ok(file::replace_all(folder, &files.map(|(name, bytes)| (Path::new(name), bytes)))?)
    }

    /// Reads the secrets of a swarm that is still on its way up; nothing where none were made yet.
    pub fn load(folder: &Path) -> Result<Option<Self>, IdentityError> {
        let path = folder.join(IDENTITY_FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(JournalError::Disk { action: "read", path, source }.into()),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| IdentityError::Damaged { reason: error.to_string() })
    }

    /// Removes the secrets from the workstation: the managers hold them now. What `docker` needs stays.
    pub fn retire(folder: &Path) -> Result<(), IdentityError> {
        let path = folder.join(IDENTITY_FILE);
        let disk = |source| JournalError::Disk { action: "remove", path: path.clone(), source };
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(crate::platform::sync_dir(folder).map_err(disk)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(disk(error).into()),
        }
    }

    fn roster(&self, addresses: &BTreeMap<u32, IpAddr>) -> Result<Vec<RosterEntry>, IdentityError> {
        let entry = |(number, member): (&u32, &Member)| {
            let address = *addresses.get(number).ok_or(IdentityError::NoSuchMember { number: *number })?;
            Ok(RosterEntry {
                node_id: member.node_id.clone(),
                hostname: hostname(*number),
                role: member.role,
                raft_id: member.raft_id,
                addr: SocketAddr::new(address, CONTROL_PORT),
            })
        };
        self.members.iter().map(entry).collect()
    }

    fn seed(&self) -> Seed {
        Seed {
            spec: SwarmSpec::default(),
            created_at: self.created_at,
            root_ca: RootCa::new(self.root_certificate.as_str(), self.root_key.clone()),
            join_secrets: self.join_secrets.clone(),
            unlock_key: None,
            client_ca: Some(self.client_ca_certificate.clone()),
            data_path_port: DATA_PATH_PORT,
            default_addr_pool: vec![DEFAULT_ADDR_POOL.to_owned()],
            subnet_size: SUBNET_SIZE,
        }
    }
}

impl Member {
    fn generate(role: Role, rng: &mut impl CryptoRng) -> Result<Self, IdentityError> {
        let pair = KeyPair::generate()?;
        let mut nonce = [0_u8; 16];
        rng.fill_bytes(&mut nonce);
        Ok(Self {
            node_id: NodeId::generate(rng),
            role,
            raft_id: (role == Role::Manager).then(|| RaftId::generate(rng)),
            nonce: base36_digits(&nonce, NONCE_DIGITS),
            key: pair.key_pem(),
            request: pair.csr_pem().to_owned(),
        })
    }
}

/// Makes the cluster's own SSH key, unless it has one.
pub fn save_ssh_key(folder: &Path, cluster: &str) -> Result<(), IdentityError> {
    let path = folder.join(SSH_KEY_FILE);
    if path.exists() {
        return Ok(());
    }
    let pair = reach::SshKeyPair::generate(&format!("swarmup {cluster}"));
    // The public half first: a private one without it would never be completed.
    file::replace(&path.with_extension("pub"), format!("{}\n", pair.public.trim_end()).as_bytes())?;
    Ok(file::replace(&path, pair.private.expose().as_bytes())?)
}

/// The public half of the cluster's own SSH key, where it has one.
pub fn read_ssh_public_key(folder: &Path) -> Result<Option<String>, IdentityError> {
    let path = folder.join(SSH_KEY_FILE).with_extension("pub");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(JournalError::Disk { action: "read", path, source }.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn identity() -> Identity {
        let mut rng = StdRng::seed_from_u64(1);
        let id = ClusterId::generate(&mut rng);
        let members = [(1, Role::Manager), (2, Role::Worker)];
        Identity::generate(id, &members, &mut rng, Timestamp::now()).unwrap()
    }

    fn addresses() -> BTreeMap<u32, IpAddr> {
        (1..=2_u8).map(|number| (u32::from(number), IpAddr::from(Ipv4Addr::new(192, 0, 2, number)))).collect()
    }

    #[test]
    fn a_manager_gets_the_seed_and_a_worker_does_not() {
        let identity = identity();

        let manager = identity.bootstrap(1, &addresses(), Timestamp::now()).unwrap();
        let worker = identity.bootstrap(2, &addresses(), Timestamp::now()).unwrap();

        assert!(manager.seed.is_some());
        assert!(worker.seed.is_none());
        assert_eq!(manager.roster, worker.roster);
        assert_ne!(manager.nonce, worker.nonce);
    }

    #[test]
    fn a_node_is_certified_by_the_root_for_its_role() {
        let bootstrap = identity().bootstrap(2, &addresses(), Timestamp::now()).unwrap();

        let certificate = ca::CertificateInfo::from_pem(&bootstrap.certificate).unwrap();

        assert_eq!((certificate.node_id, certificate.role), (bootstrap.node_id, Role::Worker));
        assert_eq!(certificate.cluster_id, bootstrap.cluster_id);
    }

    #[test]
    fn without_every_address_there_is_no_bootstrap_file() {
        let mut addresses = addresses();
        addresses.remove(&2);

        let error = identity().bootstrap(1, &addresses, Timestamp::now()).unwrap_err();

        assert_eq!(error.to_string(), "the swarm's identity has no `node-2`");
    }

    #[test]
    fn retiring_leaves_what_docker_needs_and_none_of_the_swarms_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let identity = identity();
        identity.save(folder.path()).unwrap();

        Identity::retire(folder.path()).unwrap();
        Identity::retire(folder.path()).unwrap();

        let mut left = Vec::new();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let content = std::fs::read_to_string(&path).unwrap();
            assert!(!content.contains(identity.root_key.expose()), "{}", path.display());
            left.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
        left.sort();
        assert_eq!(left, ["ca.pem", "cert.pem", "client-ca-key.pem", "client-ca.pem", "key.pem"]);
    }

    #[test]
    fn an_identity_reads_back_and_a_truncated_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Identity::load(folder.path()).unwrap().is_none());
        identity().save(folder.path()).unwrap();
        assert_eq!(Identity::load(folder.path()).unwrap().unwrap().node_id(1), identity().node_id(1));
        let path = folder.path().join(IDENTITY_FILE);
        let bytes = std::fs::read(&path).unwrap();

        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();

        assert!(matches!(Identity::load(folder.path()), Err(IdentityError::Damaged { .. })));
    }
}
