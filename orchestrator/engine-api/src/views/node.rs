//! A node, as `GET /nodes` shows it.

use std::collections::BTreeMap;

use ::node::ManagerReachability;
use model::{EngineDescription, Node, NodeDescription, NodeSpec, Platform, Plugin, Resources, TlsInfo};
use serde::Serialize;

use super::MetaView;

/// Docker's `Node`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NodeDocument {
    #[serde(rename = "ID")]
    id: String,
    #[serde(flatten)]
    meta: MetaView,
    spec: NodeSpec,
    description: DescriptionView,
    status: StatusView,
    #[serde(skip_serializing_if = "Option::is_none")]
    manager_status: Option<ManagerStatusView>,
}

impl NodeDocument {
    /// Shows a node. `reachability` is there where it is a member of raft and the leader has told of it.
    pub(crate) fn new(node: &Node, reachability: Option<ManagerReachability>) -> Self {
        let status = &node.state.status;
        Self {
            id: node.id.to_string(),
            meta: MetaView::from(&node.meta),
            spec: node.spec.clone(),
            description: node.state.description.as_ref().map(DescriptionView::from).unwrap_or_default(),
            status: StatusView {
                state: status.state.as_str(),
                message: status.message.clone(),
                addr: status.addr.clone(),
            },
            manager_status: node.state.member.as_ref().map(|member| ManagerStatusView {
                leader: reachability.is_some_and(|manager| manager.is_leader),
                reachability: match reachability {
                    Some(ManagerReachability { is_reachable: true, .. }) => "reachable",
                    Some(ManagerReachability { is_reachable: false, .. }) => "unreachable",
                    None => "unknown",
                },
                addr: member.addr.to_string(),
            }),
        }
    }
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DescriptionView {
    #[serde(skip_serializing_if = "String::is_empty")]
    hostname: String,
    platform: PlatformView,
    resources: ResourcesView,
    engine: EngineView,
    #[serde(rename = "TLSInfo")]
    tls_info: TlsInfoView,
}

impl From<&NodeDescription> for DescriptionView {
    fn from(description: &NodeDescription) -> Self {
        Self {
            hostname: description.hostname.clone(),
            platform: (&description.platform).into(),
            resources: (&description.resources).into(),
            engine: (&description.engine).into(),
            tls_info: (&description.tls).into(),
        }
    }
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PlatformView {
    #[serde(skip_serializing_if = "String::is_empty")]
    architecture: String,
    #[serde(rename = "OS", skip_serializing_if = "String::is_empty")]
    os: String,
}

impl From<&Platform> for PlatformView {
    fn from(platform: &Platform) -> Self {
        Self { architecture: platform.architecture.clone(), os: platform.os.clone() }
    }
}

#[derive(Debug, Clone, Default, Serialize)]
struct ResourcesView {
    #[serde(rename = "NanoCPUs", skip_serializing_if = "is_zero")]
    nano_cpus: i64,
    #[serde(rename = "MemoryBytes", skip_serializing_if = "is_zero")]
    memory_bytes: i64,
}

impl From<&Resources> for ResourcesView {
    fn from(resources: &Resources) -> Self {
        Self { nano_cpus: resources.nano_cpus, memory_bytes: resources.memory_bytes }
    }
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EngineView {
    #[serde(skip_serializing_if = "String::is_empty")]
    engine_version: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plugins: Vec<Plugin>,
}

impl From<&EngineDescription> for EngineView {
    fn from(engine: &EngineDescription) -> Self {
        Self {
            engine_version: engine.engine_version.clone(),
            labels: engine.labels.clone(),
            plugins: engine.plugins.clone(),
        }
    }
}

/// Docker's `TLSInfo`: roots, and who issued the certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TlsInfoView {
    #[serde(skip_serializing_if = "String::is_empty")]
    trust_root: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cert_issuer_subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cert_issuer_public_key: String,
}

impl From<&TlsInfo> for TlsInfoView {
    fn from(tls: &TlsInfo) -> Self {
        Self {
            trust_root: tls.trust_root.clone(),
            cert_issuer_subject: tls.cert_issuer_subject.clone(),
            cert_issuer_public_key: tls.cert_issuer_public_key.clone(),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatusView {
    state: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    addr: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ManagerStatusView {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    leader: bool,
    reachability: &'static str,
    addr: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::{Availability, Meta, NodeHealth, NodeState, NodeStatus, RaftId, RaftMember, Role, Version};

    use super::*;

    fn bare() -> Node {
        let moment = Timestamp::new(1_700_000_000, 500_000_000).unwrap();
        Node {
            id: "24ifsmvkjbyhk9cjxhvyzqw7p".parse().unwrap(),
            meta: Meta { version: Version(12), created_at: moment, updated_at: moment },
            spec: NodeSpec::default(),
            state: NodeState::default(),
        }
    }

    fn show(node: &Node, reachability: Option<ManagerReachability>) -> String {
        serde_json::to_string(&NodeDocument::new(node, reachability)).unwrap()
    }

    #[test]
    fn a_node_of_which_nothing_is_known_has_empty_parts_and_no_manager_status() {
        assert_eq!(
            show(&bare(), None),
            concat!(
                r#"{"ID":"24ifsmvkjbyhk9cjxhvyzqw7p","Version":{"Index":12},"CreatedAt":"2023-11-14T22:13:20.5Z","#,
                r#""UpdatedAt":"2023-11-14T22:13:20.5Z","Spec":{"Labels":{},"Role":"worker","Availability":"active"},"#,
                r#""Description":{"Platform":{},"Resources":{},"Engine":{},"TLSInfo":{}},"Status":{"State":"unknown"}}"#,
            )
        );
    }

    #[test]
    fn the_leader_is_shown_with_all_that_is_known_of_it() {
        let mut node = bare();
        node.spec = NodeSpec {
            name: String::new(),
            labels: BTreeMap::from([("disk".to_owned(), "<ssd>".to_owned())]),
            role: Role::Manager,
            availability: Availability::Drain,
        };
        node.state.description = Some(NodeDescription {
            hostname: "node-1".to_owned(),
            platform: Platform { architecture: "x86_64".to_owned(), os: "linux".to_owned() },
            resources: Resources { nano_cpus: 2_000_000_000, memory_bytes: 4096 },
            engine: EngineDescription {
                engine_version: "0.1.0".to_owned(),
                labels: BTreeMap::from([("rack".to_owned(), "1".to_owned())]),
                plugins: vec![Plugin { kind: "Network".to_owned(), name: "overlay".to_owned() }],
            },
            tls: TlsInfo {
                trust_root: "PEM\n".to_owned(),
                cert_issuer_subject: "MBM=".to_owned(),
                cert_issuer_public_key: "MFk=".to_owned(),
            },
            prefixes: vec!["10.0.0.0/8".to_owned()],
            log_format: model::LOG_FORMAT,
        });
        node.state.status =
            NodeStatus { state: NodeHealth::Ready, message: "ok".to_owned(), addr: "10.1.2.3".to_owned() };
        node.state.member = Some(RaftMember { raft_id: RaftId(7), addr: "10.1.2.3:2377".parse().unwrap() });

        let shown = show(&node, Some(ManagerReachability { is_leader: true, is_reachable: true }));

        assert_eq!(
            shown,
            concat!(
                r#"{"ID":"24ifsmvkjbyhk9cjxhvyzqw7p","Version":{"Index":12},"CreatedAt":"2023-11-14T22:13:20.5Z","#,
                r#""UpdatedAt":"2023-11-14T22:13:20.5Z","#,
                r#""Spec":{"Labels":{"disk":"<ssd>"},"Role":"manager","Availability":"drain"},"#,
                r#""Description":{"Hostname":"node-1","Platform":{"Architecture":"x86_64","OS":"linux"},"#,
                r#""Resources":{"NanoCPUs":2000000000,"MemoryBytes":4096},"#,
                r#""Engine":{"EngineVersion":"0.1.0","Labels":{"rack":"1"},"#,
                r#""Plugins":[{"Type":"Network","Name":"overlay"}]},"#,
                r#""TLSInfo":{"TrustRoot":"PEM\n","CertIssuerSubject":"MBM=","CertIssuerPublicKey":"MFk="}},"#,
                r#""Status":{"State":"ready","Message":"ok","Addr":"10.1.2.3"},"#,
                r#""ManagerStatus":{"Leader":true,"Reachability":"reachable","Addr":"10.1.2.3:2377"}}"#,
            )
        );
    }

    #[test]
    fn other_managers_omit_the_leader_and_say_how_they_are_reached() {
        let mut node = bare();
        node.state.member = Some(RaftMember { raft_id: RaftId(7), addr: "[fd00::1]:2377".parse().unwrap() });
        let check = |reachability, expected: &str| {
            let shown = show(&node, reachability);
            let expected = format!(r#""ManagerStatus":{{"Reachability":"{expected}","Addr":"[fd00::1]:2377"}}}}"#);
            assert!(shown.ends_with(&expected), "{shown}");
        };
        check(Some(ManagerReachability { is_leader: false, is_reachable: true }), "reachable");
        check(Some(ManagerReachability { is_leader: false, is_reachable: false }), "unreachable");
        check(None, "unknown");
    }
}
