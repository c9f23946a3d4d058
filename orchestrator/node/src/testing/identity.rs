//! The identity of a swarm as the workstation makes it: a bootstrap file for each host.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ca::{Authority, KeyPair, NodeSubject};
use jiff::Timestamp;
use model::{
    BOOTSTRAP_FORMAT, Bootstrap, CONTROL_PORT, ClusterId, Host, JoinSecrets, NodeId, RaftId, Role, RootCa, RosterEntry,
    Seed, SwarmSpec,
};
use rand::rngs::StdRng;

/// The identity of a swarm.
#[derive(Debug)]
pub struct SwarmIdentity {
    /// One file a host, in the order of the addresses.
    pub bootstraps: Vec<Bootstrap>,
    /// The authority of the API's clients.
    pub client_authority: Authority,
}

impl SwarmIdentity {
    /// The identity of a swarm on hosts `node-1`, `node-2`, … of which the first `managers` are managers.
    ///
    /// # Panics
    /// Where the authorities cannot sign, which is a bug.
    pub fn generate(addrs: &[IpAddr], managers: usize) -> Self {
        Self::generate_with(addrs, managers, SwarmSpec::default())
    }

    /// The same, of a swarm with settings of its own. They are taken as they are, also where an operator could not
    /// make them so.
    ///
    /// # Panics
    /// Where the authorities cannot sign, which is a bug.
    pub fn generate_with(addrs: &[IpAddr], managers: usize, spec: SwarmSpec) -> Self {
        let mut rng: StdRng = rand::make_rng();
        let now = Timestamp::now();
        let authority = Authority::generate("swarm-ca", now).expect("an authority can be made");
        let client_authority = Authority::generate("client-ca", now).expect("an authority can be made");
        let cluster_id = ClusterId::generate(&mut rng);
        let roster: Vec<RosterEntry> = addrs
            .iter()
            .enumerate()
            .map(|(index, addr)| RosterEntry {
                node_id: NodeId::generate(&mut rng),
                hostname: format!("node-{}", index + 1),
                role: if index < managers { Role::Manager } else { Role::Worker },
                raft_id: (index < managers).then(|| RaftId::generate(&mut rng)),
                addr: SocketAddr::new(*addr, CONTROL_PORT),
            })
            .collect();
        let seed = Seed {
            spec,
            created_at: now,
            root_ca: RootCa::new(authority.certificate_pem(), authority.key_pem()),
            join_secrets: JoinSecrets {
                worker: ca::generate_join_secret(&mut rng),
                manager: ca::generate_join_secret(&mut rng),
            },
            unlock_key: None,
            client_ca: Some(client_authority.certificate_pem().to_owned()),
            data_path_port: 4789,
            default_addr_pool: vec!["10.0.0.0/8".to_owned()],
            subnet_size: 24,
        };
        let gossip_key = ca::generate_gossip_key(&mut rng, 1);
        let bootstrap = |(index, entry): (usize, &RosterEntry)| {
            let key = KeyPair::generate().expect("a key can be made");
            let subject = NodeSubject {
                node_id: entry.node_id.clone(),
                role: entry.role,
                cluster_id: cluster_id.clone(),
                addresses: vec![entry.addr.ip()],
            };
            let certificate = authority
                .issue_node(key.csr_pem(), &subject, Duration::from_hours(24), now)
                .expect("the authority signs its own nodes");
            Bootstrap {
                format: BOOTSTRAP_FORMAT,
                nonce: format!("nonce-{index}-{cluster_id}"),
                host: Host { hostname: entry.hostname.clone(), advertise_addr: entry.addr },
                cluster_id: cluster_id.clone(),
                node_id: entry.node_id.clone(),
                role: entry.role,
                certificate,
                key: key.key_pem(),
                roots: vec![authority.certificate_pem().to_owned()],
                gossip_key: gossip_key.clone(),
                roster: roster.clone(),
                seed: (entry.role == Role::Manager).then(|| seed.clone()),
            }
        };
        let bootstraps = roster.iter().enumerate().map(bootstrap).collect();
        Self { bootstraps, client_authority }
    }
}
