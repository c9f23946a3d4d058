//! The swarm, as `GET /swarm` and `GET /info` show it. No key and no secret leaves here but the join tokens,
//! which are what the call is for.

use ca::{CertificateError, JoinToken};
use model::{Cluster, SwarmSpec};
use serde::Serialize;

use super::MetaView;
use super::node::TlsInfoView;

/// Docker's `ClusterInfo`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ClusterView {
    #[serde(rename = "ID")]
    id: String,
    #[serde(flatten)]
    meta: MetaView,
    spec: SwarmSpec,
    #[serde(rename = "TLSInfo")]
    tls_info: TlsInfoView,
    root_rotation_in_progress: bool,
    default_addr_pool: Vec<String>,
    subnet_size: u32,
    data_path_port: u16,
}

impl ClusterView {
    /// Shows a swarm.
    ///
    /// # Errors
    /// Its root is no certificate.
    pub(crate) fn new(cluster: &Cluster) -> Result<Self, CertificateError> {
        let mut spec = cluster.spec.clone();
        // None is kept; a key would never be shown, and a certificate without its key could not be sent back.
        spec.ca_config = spec.ca_config.without_root();
        let root_ca = &cluster.state.root_ca;
        Ok(Self {
            id: cluster.id.to_string(),
            meta: MetaView::from(&cluster.meta),
            spec,
            tls_info: TlsInfoView::from(&ca::swarm_tls_info(&root_ca.trusted())?),
            root_rotation_in_progress: root_ca.rotation.is_some(),
            default_addr_pool: cluster.state.default_addr_pool.clone(),
            subnet_size: cluster.state.subnet_size,
            data_path_port: cluster.state.data_path_port,
        })
    }
}

/// Docker's `Swarm`: the cluster and its join tokens.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SwarmDocument {
    #[serde(flatten)]
    cluster: ClusterView,
    join_tokens: JoinTokensView,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct JoinTokensView {
    worker: String,
    manager: String,
}

impl SwarmDocument {
    /// Shows a swarm with its tokens.
    ///
    /// # Errors
    /// Its root is no certificate.
    pub(crate) fn new(cluster: &Cluster) -> Result<Self, CertificateError> {
        let root = cluster.state.root_ca.root().unwrap_or_default();
        let secrets = &cluster.state.join_secrets;
        let join_tokens = JoinTokensView {
            worker: JoinToken::new(root, &secrets.worker)?.to_string(),
            manager: JoinToken::new(root, &secrets.manager)?.to_string(),
        };
        Ok(Self { cluster: ClusterView::new(cluster)?, join_tokens })
    }
}

#[cfg(test)]
mod tests {
    use ca::Authority;
    use jiff::Timestamp;
    use model::{ClusterState, GossipKey, JoinSecrets, Meta, RootCa, Secret, Version};
    use serde_json::Value;

    use super::*;

    fn cluster() -> Cluster {
        let moment = Timestamp::new(1_700_000_000, 0).unwrap();
        let authority = Authority::generate("swarm-ca", moment).unwrap();
        let mut spec = SwarmSpec::default();
        spec.ca_config.signing_ca_cert = "a certificate".to_owned();
        spec.ca_config.signing_ca_key = Secret::new("a key");
        Cluster {
            id: "70ilmkj2f6sp2137c753w2nmt".parse().unwrap(),
            meta: Meta { version: Version(51), created_at: moment, updated_at: moment },
            spec,
            state: ClusterState {
                root_ca: RootCa::new(authority.certificate_pem(), authority.key_pem()),
                join_secrets: JoinSecrets { worker: Secret::new("w".repeat(25)), manager: Secret::new("m".repeat(25)) },
                unlock_key: Some(Secret::new("SWMKEY-1-unlock")),
                gossip_keys: vec![GossipKey { id: 1, key: Secret::new("gossip") }],
                client_ca: Some("client".to_owned()),
                removed_nodes: Vec::new(),
                removed_raft_ids: Vec::new(),
                data_path_port: 4789,
                default_addr_pool: vec!["10.0.0.0/8".to_owned()],
                subnet_size: 24,
            },
        }
    }

    #[test]
    fn a_swarm_is_shown_as_docker_shows_it() {
        let cluster = cluster();
        let shown = serde_json::to_string(&SwarmDocument::new(&cluster).unwrap()).unwrap();

        let spec = concat!(
            r#"{"ID":"70ilmkj2f6sp2137c753w2nmt","Version":{"Index":51},"CreatedAt":"2023-11-14T22:13:20Z","#,
            r#""UpdatedAt":"2023-11-14T22:13:20Z","#,
            r#""Spec":{"Name":"default","Labels":{},"Orchestration":{"TaskHistoryRetentionLimit":5},"#,
            r#""Raft":{"SnapshotInterval":10000,"KeepOldSnapshots":0,"LogEntriesForSlowFollowers":500,"#,
            r#""ElectionTick":10,"HeartbeatTick":1},"Dispatcher":{"HeartbeatPeriod":5000000000},"#,
            r#""CAConfig":{"NodeCertExpiry":7776000000000000},"TaskDefaults":{},"#,
            r#""EncryptionConfig":{"AutoLockManagers":false}},"TLSInfo":{"TrustRoot":"-----BEGIN CERTIFICATE-----\n"#,
        );
        assert!(shown.starts_with(spec), "{shown}");
        let rest = concat!(
            r#","RootRotationInProgress":false,"DefaultAddrPool":["10.0.0.0/8"],"SubnetSize":24,"#,
            r#""DataPathPort":4789,"JoinTokens":{"Worker":"SWMTKN-1-"#,
        );
        assert!(shown.contains(rest), "{shown}");
        assert!(shown.ends_with(&format!(r#"-{}"}}}}"#, "m".repeat(25))), "{shown}");
    }

    #[test]
    fn no_key_and_no_secret_but_the_tokens_is_shown() {
        let cluster = cluster();
        let shown = serde_json::to_string(&ClusterView::new(&cluster).unwrap()).unwrap();

        let key = cluster.state.root_ca.key.expose().lines().nth(1).unwrap().to_owned();
        for hidden in ["a key", "a certificate", "SWMTKN", "SWMKEY", "gossip", "client", &key, &"w".repeat(25)] {
            assert!(!shown.contains(hidden), "{hidden} in {shown}");
        }
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert!(
            shown["TLSInfo"]["CertIssuerSubject"].is_string() && shown["TLSInfo"]["CertIssuerPublicKey"].is_string()
        );
    }
}
