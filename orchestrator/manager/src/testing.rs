//! Objects for the tests of this crate.

use ca::Authority;
use jiff::Timestamp;
use model::{Cluster, ClusterId, ClusterState, JoinSecrets, Meta, RootCa, SwarmSpec};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A swarm of its own for each seed.
pub(crate) fn cluster(seed: u64) -> Cluster {
    let mut rng = StdRng::seed_from_u64(seed);
    let authority = Authority::generate("swarm-ca", Timestamp::now()).unwrap();
    Cluster {
        id: ClusterId::generate(&mut rng),
        meta: Meta::default(),
        spec: SwarmSpec::default(),
        state: ClusterState {
            root_ca: RootCa { roots: vec![authority.certificate_pem().to_owned()], key: authority.key_pem() },
            join_secrets: JoinSecrets {
                worker: ca::generate_join_secret(&mut rng),
                manager: ca::generate_join_secret(&mut rng),
            },
            gossip_keys: vec![ca::generate_gossip_key(&mut rng, 1)],
            client_ca: None,
            removed_nodes: Vec::new(),
            removed_raft_ids: Vec::new(),
            data_path_port: 4789,
            default_addr_pool: vec!["10.0.0.0/8".to_owned()],
            subnet_size: 24,
        },
    }
}
