//! What a request is about: the path of a resource id, read without regard to case.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::answer::Refusal;

/// The version of the resources' and groups' API.
const RESOURCES: &str = "2024-11-01";
const SUBSCRIPTIONS: &str = "2022-12-01";
const AUTHORIZATION: &str = "2022-04-01";
const COMPUTE: &str = "2025-04-01";
const NETWORK: &str = "2025-05-01";
const IDENTITY: &str = "2023-01-31";
/// Disks have versions of their own.
const DISKS: &str = "2024-03-02";

/// A type of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Machine,
    Disk,
    Interface,
    Address,
    SecurityGroup,
    Network,
    ApplicationGroup,
    Identity,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Machine,
        Self::Disk,
        Self::Interface,
        Self::Address,
        Self::SecurityGroup,
        Self::Network,
        Self::ApplicationGroup,
        Self::Identity,
    ];

    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Self::Machine | Self::Disk => "Microsoft.Compute",
            Self::Interface | Self::Address | Self::SecurityGroup | Self::Network | Self::ApplicationGroup => {
                "Microsoft.Network"
            }
            Self::Identity => "Microsoft.ManagedIdentity",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Machine => "virtualMachines",
            Self::Disk => "disks",
            Self::Interface => "networkInterfaces",
            Self::Address => "publicIPAddresses",
            Self::SecurityGroup => "networkSecurityGroups",
            Self::Network => "virtualNetworks",
            Self::ApplicationGroup => "applicationSecurityGroups",
            Self::Identity => "userAssignedIdentities",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Machine => COMPUTE,
            Self::Disk => DISKS,
            Self::Interface | Self::Address | Self::SecurityGroup | Self::Network | Self::ApplicationGroup => NETWORK,
            Self::Identity => IDENTITY,
        }
    }

    fn find(namespace: &str, name: &str) -> Option<Self> {
        let is_meant =
            |kind: &Self| kind.namespace().eq_ignore_ascii_case(namespace) && kind.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(is_meant)
    }
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Token {
        tenant: String,
    },
    Blob {
        id: String,
    },
    Subscriptions,
    Subscription,
    Resources {
        group: Option<String>,
    },
    Groups,
    Group {
        name: String,
    },
    Operation {
        namespace: String,
        id: String,
    },
    OperationResult {
        id: String,
    },
    Usages {
        namespace: String,
        location: String,
    },
    Permissions,
    Items {
        group: String,
        kind: Kind,
    },
    Item {
        group: String,
        kind: Kind,
        name: String,
    },
    Subnet {
        group: String,
        network: String,
        name: String,
    },
    /// A role that is assigned at the scope of a group.
    Assignment {
        group: String,
        name: String,
    },
    Action {
        group: String,
        kind: Kind,
        name: String,
        action: String,
    },
    Unknown,
}

/// A path, and the subscription that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) subscription: Option<String>,
    pub(crate) target: Target,
}

impl Route {
    pub(crate) fn read(path: &str) -> Self {
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let lower: Vec<String> = parts.iter().map(|part| part.to_lowercase()).collect();
        let words: Vec<&str> = lower.iter().map(String::as_str).collect();
        let own = |index: usize| parts[index].clone();
        let subscription = (words.first() == Some(&"subscriptions")).then(|| parts.get(1).cloned()).flatten();
        let target = match words.as_slice() {
            [_, "oauth2", "v2.0", "token"] => Target::Token { tenant: own(0) },
            ["blob", _] => Target::Blob { id: own(1) },
            ["subscriptions"] => Target::Subscriptions,
            ["subscriptions", _] => Target::Subscription,
            ["subscriptions", _, "resources"] => Target::Resources { group: None },
            ["subscriptions", _, "resourcegroups"] => Target::Groups,
            ["subscriptions", _, "operationresults", _] => Target::OperationResult { id: own(3) },
            ["subscriptions", _, "providers", "microsoft.authorization", "permissions"] => Target::Permissions,
            ["subscriptions", _, "providers", _, "locations", _, "usages"] => {
                Target::Usages { namespace: own(3), location: own(5) }
            }
            ["subscriptions", _, "providers", _, "locations", _, "operations", _] => {
                Target::Operation { namespace: own(3), id: own(7) }
            }
            ["subscriptions", _, "resourcegroups", _] => Target::Group { name: own(3) },
            ["subscriptions", _, "resourcegroups", _, "resources"] => Target::Resources { group: Some(own(3)) },
            ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.authorization", "roleassignments", _] => {
                Target::Assignment { group: own(3), name: own(7) }
            }
            ["subscriptions", _, "resourcegroups", _, "providers", namespace, kind, rest @ ..] => {
                match (Kind::find(namespace, kind), rest) {
                    (Some(kind), []) => Target::Items { group: own(3), kind },
                    (Some(kind), [_]) => Target::Item { group: own(3), kind, name: own(7) },
                    (Some(Kind::Network), [_, "subnets", _]) => {
                        Target::Subnet { group: own(3), network: own(7), name: own(9) }
                    }
                    (Some(kind), [_, _]) => Target::Action { group: own(3), kind, name: own(7), action: own(8) },
                    _ => Target::Unknown,
                }
            }
            _ => Target::Unknown,
        };
        Self { subscription, target }
    }
}

impl Target {
    /// The kind as faults and the log name it.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Token { .. } => "token".to_owned(),
            Self::Blob { .. } => "blob".to_owned(),
            Self::Subscriptions | Self::Subscription => "subscriptions".to_owned(),
            Self::Resources { .. } => "resources".to_owned(),
            Self::Groups | Self::Group { .. } => "resourceGroups".to_owned(),
            Self::Operation { .. } | Self::OperationResult { .. } => "operations".to_owned(),
            Self::Usages { .. } => "usages".to_owned(),
            Self::Permissions => "permissions".to_owned(),
            Self::Items { kind, .. } | Self::Item { kind, .. } => kind.name().to_owned(),
            Self::Subnet { .. } => "subnets".to_owned(),
            Self::Assignment { .. } => "roleAssignments".to_owned(),
            Self::Action { kind, action, .. } => format!("{}/{action}", kind.name()),
            Self::Unknown => "unknown".to_owned(),
        }
    }

    /// Refuses a version that the type does not have, and parameters that it does not take. The real one overlooks
    /// some unknown parameters; a misspelt one would then do nothing, which a test must see.
    pub(crate) fn check_query(&self, method: &str, query: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let (wanted, also): (&str, &[&str]) = match (self, method) {
            (Self::Token { .. } | Self::Blob { .. } | Self::Unknown, _) => return Ok(()),
            (Self::Subscriptions | Self::Subscription, _) => (SUBSCRIPTIONS, &[]),
            (Self::Permissions | Self::Assignment { .. }, _) => (AUTHORIZATION, &[]),
            (Self::Resources { .. }, _) => (RESOURCES, &["$filter", "$expand", "$skiptoken"]),
            (Self::Groups, _) => (RESOURCES, &["$filter", "$skiptoken"]),
            (Self::Group { .. }, "DELETE") => (RESOURCES, &["forceDeletionTypes"]),
            (Self::Group { .. } | Self::OperationResult { .. }, _) => (RESOURCES, &[]),
            (Self::Operation { namespace, .. } | Self::Usages { namespace, .. }, _) => {
                (if namespace.eq_ignore_ascii_case("Microsoft.Compute") { COMPUTE } else { NETWORK }, &[])
            }
            (Self::Item { kind: Kind::Machine, .. }, "DELETE") => (COMPUTE, &["forceDeletion"]),
            (Self::Items { kind, .. }, _) => (kind.version(), &["$skiptoken"]),
            (Self::Item { kind, .. } | Self::Action { kind, .. }, _) => (kind.version(), &[]),
            (Self::Subnet { .. }, _) => (NETWORK, &[]),
        };
        match query.get("api-version") {
            None => {
                let message = "The api-version query parameter (?api-version=) is required for all requests.";
                return Err(Refusal::new(400, "MissingApiVersionParameter", message));
            }
            Some(given) if given != wanted => {
                let message = format!("The api-version '{given}' is invalid. The supported versions are '{wanted}'.");
                return Err(Refusal::new(400, "InvalidApiVersionParameter", message));
            }
            Some(_) => {}
        }
        let unknown = query.keys().find(|name| *name != "api-version" && !also.contains(&name.as_str()));
        match unknown {
            Some(name) => Err(Refusal::new(
                400,
                "InvalidQueryParameter",
                format!("The query parameter '{name}' is not known here."),
            )),
            None => Ok(()),
        }
    }
}
