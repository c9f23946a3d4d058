//! The keys of what clients send in any case, as Go reads them: the Python SDK writes `replicated`.
//!
//! A key that is written exactly wins over one that differs in case. Keys of the operator's own (labels, options) stay
//! as they are.

use serde_json::{Map, Value};

/// The fields of a kind of document, at whatever depth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vocabulary {
    /// All of them, as they are written.
    pub(super) fields: &'static [&'static str],
    /// Those whose keys are the operator's, and all below them.
    pub(super) free: &'static [&'static str],
    /// Those whose keys are the operator's, and what stands below each is not.
    pub(super) named: &'static [&'static str],
}

/// A service's spec.
pub(super) const SERVICE: Vocabulary = Vocabulary { fields: &FIELDS, free: &FREE, named: &[] };

/// The fields of a spec.
const FIELDS: [&str; 129] = [
    "Aliases",
    "AppArmor",
    "Architecture",
    "Args",
    "BindOptions",
    "CapabilityAdd",
    "CapabilityDrop",
    "ClusterOptions",
    "Command",
    "Condition",
    "ConfigID",
    "ConfigName",
    "Configs",
    "Consistency",
    "Constraints",
    "ContainerSpec",
    "CreateMountpoint",
    "CredentialSpec",
    "DNSConfig",
    "Delay",
    "Dir",
    "DiscreteResourceSpec",
    "DriverConfig",
    "DriverOpts",
    "EndpointSpec",
    "Env",
    "FailureAction",
    "File",
    "ForceUpdate",
    "GID",
    "GenericResources",
    "Global",
    "GlobalJob",
    "Groups",
    "Hard",
    "Healthcheck",
    "Hostname",
    "Hosts",
    "Image",
    "ImageOptions",
    "Init",
    "Interval",
    "Isolation",
    "Kind",
    "Labels",
    "Limits",
    "LogDriver",
    "MaxAttempts",
    "MaxConcurrent",
    "MaxFailureRatio",
    "MaxReplicas",
    "MemoryBytes",
    "MemorySwappiness",
    "Mode",
    "Monitor",
    "Mounts",
    "Name",
    "NamedResourceSpec",
    "Nameservers",
    "NanoCPUs",
    "NetworkAttachmentSpec",
    "Networks",
    "NoCopy",
    "NoNewPrivileges",
    "NonRecursive",
    "OS",
    "OomScoreAdj",
    "OpenStdin",
    "Options",
    "Order",
    "Parallelism",
    "Pids",
    "Placement",
    "Platforms",
    "PluginSpec",
    "Ports",
    "Preferences",
    "Privileges",
    "Profile",
    "Propagation",
    "Protocol",
    "PublishMode",
    "PublishedPort",
    "ReadOnly",
    "ReadOnlyForceRecursive",
    "ReadOnlyNonRecursive",
    "Replicas",
    "Replicated",
    "ReplicatedJob",
    "Reservations",
    "Resources",
    "RestartPolicy",
    "Retries",
    "RollbackConfig",
    "Runtime",
    "SELinuxContext",
    "Search",
    "Seccomp",
    "SecretID",
    "SecretName",
    "Secrets",
    "SizeBytes",
    "Soft",
    "Source",
    "Spread",
    "SpreadDescriptor",
    "StartInterval",
    "StartPeriod",
    "StopGracePeriod",
    "StopSignal",
    "Subpath",
    "SwapBytes",
    "Sysctls",
    "TTY",
    "Target",
    "TargetPort",
    "TaskTemplate",
    "Test",
    "Timeout",
    "TmpfsOptions",
    "TotalCompletions",
    "Type",
    "UID",
    "Ulimits",
    "UpdateConfig",
    "User",
    "Value",
    "VolumeOptions",
    "Window",
];
/// Fields whose keys are the operator's.
const FREE: [&str; 4] = ["DriverOpts", "Labels", "Options", "Sysctls"];

impl Vocabulary {
    /// A document with every field under the name that it has in the vocabulary.
    pub(super) fn in_any_case(&self, value: Value) -> Value {
        match value {
            Value::Object(members) => Value::Object(self.members(members)),
            Value::Array(values) => Value::Array(values.into_iter().map(|value| self.in_any_case(value)).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
        }
    }

    fn members(&self, members: Map<String, Value>) -> Map<String, Value> {
        let (exact, inexact): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|(key, _)| self.field(key).is_none_or(|it| it == key));
        let mut named = Map::new();
        for (key, value) in exact {
            let value = self.value_of(&key, value);
            named.insert(key, value);
        }
        for (key, value) in inexact {
            let key = self.field(&key).map_or(key.as_str(), |field| field);
            if !named.contains_key(key) {
                named.insert(key.to_owned(), self.value_of(key, value));
            }
        }
        named
    }

    fn value_of(&self, key: &str, value: Value) -> Value {
        if self.free.contains(&key) {
            return value;
        }
        match value {
            Value::Object(members) if self.named.contains(&key) => {
                members.into_iter().map(|(name, value)| (name, self.in_any_case(value))).collect()
            }
            value @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => self.in_any_case(value),
        }
    }

    fn field(&self, key: &str) -> Option<&'static str> {
        self.fields.iter().find(|field| field.eq_ignore_ascii_case(key)).copied()
    }
}

#[cfg(test)]
mod tests {
    use model::ServiceSpec;
    use serde_json::json;

    use super::*;

    /// Writes every key that is not the operator's in small letters.
    fn in_small_letters(value: &Value) -> Value {
        match value {
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(key, value)| {
                        let value = if FREE.contains(&key.as_str()) { value.clone() } else { in_small_letters(value) };
                        (key.to_lowercase(), value)
                    })
                    .collect(),
            ),
            Value::Array(values) => Value::Array(values.iter().map(in_small_letters).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    #[test]
    fn every_field_is_read_in_any_case() {
        let spec = json!({
            "Name": "web", "Labels": {"Name": "b", "name": "c"},
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": "a", "Labels": {"A": "b"}, "Command": ["a"], "Args": ["b"], "Hostname": "h", "Env": ["A=b"],
                    "Dir": "/d", "User": "u", "Groups": ["g"],
                    "Privileges": {
                        "CredentialSpec": null, "SELinuxContext": null,
                        "Seccomp": {"Mode": "custom", "Profile": "e30="}, "NoNewPrivileges": true,
                    },
                    "Init": true, "StopSignal": "TERM", "TTY": true, "OpenStdin": true, "ReadOnly": true,
                    "Mounts": [{
                        "Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": true, "Consistency": "x",
                        "BindOptions": {
                            "Propagation": "shared", "NonRecursive": true, "CreateMountpoint": true,
                            "ReadOnlyNonRecursive": true, "ReadOnlyForceRecursive": true,
                        },
                        "VolumeOptions": {
                            "NoCopy": true, "Labels": {"A": "b"}, "Subpath": "p",
                            "DriverConfig": {"Name": "local", "Options": {"Type": "x"}},
                        },
                        "ImageOptions": {"Subpath": "p"},
                        "TmpfsOptions": {"SizeBytes": 1, "Mode": 1, "Options": [["exec"]]},
                    }],
                    "StopGracePeriod": 1,
                    "Healthcheck": {
                        "Test": ["CMD", "a"], "Interval": 1, "Timeout": 1, "StartPeriod": 1, "StartInterval": 1,
                        "Retries": 1,
                    },
                    "Hosts": ["1.1.1.1 a"], "DNSConfig": {"Nameservers": ["a"], "Search": ["a"], "Options": ["o"]},
                    "Secrets": [{
                        "File": {"Name": "n", "UID": "0", "GID": "0", "Mode": 1}, "SecretID": "i", "SecretName": "n",
                    }],
                    "Configs": [{"ConfigID": "i", "ConfigName": "n"}], "Isolation": "default",
                    "Sysctls": {"net.core.somaxconn": "1"}, "CapabilityAdd": ["A"], "CapabilityDrop": ["B"],
                    "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}], "OomScoreAdj": 1,
                },
                "Resources": {
                    "Limits": {"NanoCPUs": 1, "MemoryBytes": 1, "Pids": 1},
                    "Reservations": {"NanoCPUs": 1, "MemoryBytes": 1, "GenericResources": [
                        {"NamedResourceSpec": {"Kind": "k", "Value": "v"}},
                        {"DiscreteResourceSpec": {"Kind": "k", "Value": 1}},
                    ]},
                    "SwapBytes": 1, "MemorySwappiness": 1,
                },
                "RestartPolicy": {"Condition": "any", "Delay": 1, "MaxAttempts": 1, "Window": 1},
                "Placement": {
                    "Constraints": ["c"], "Preferences": [{"Spread": {"SpreadDescriptor": "s"}}], "MaxReplicas": 1,
                    "Platforms": [{"Architecture": "a", "OS": "o"}],
                },
                "Networks": [{"Target": "n", "Aliases": ["a"], "DriverOpts": {"A": "b"}}],
                "LogDriver": {"Name": "n", "Options": {"A": "b"}}, "ForceUpdate": 1, "Runtime": "container",
            },
            "Mode": {
                "Replicated": {"Replicas": 1}, "Global": {},
                "ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}, "GlobalJob": {},
            },
            "UpdateConfig": {
                "Parallelism": 1, "Delay": 1, "FailureAction": "pause", "Monitor": 1, "MaxFailureRatio": 0.5,
                "Order": "stop-first",
            },
            "RollbackConfig": {"Parallelism": 1, "MaxFailureRatio": 0, "Order": ""},
            "EndpointSpec": {
                "Mode": "vip",
                "Ports": [{
                    "Name": "p", "Protocol": "tcp", "TargetPort": 80, "PublishedPort": 80, "PublishMode": "host",
                }],
            },
        });
        let read: ServiceSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), spec, "every field is in the document");

        let other = serde_json::from_value::<ServiceSpec>(SERVICE.in_any_case(in_small_letters(&spec))).unwrap();

        assert_eq!(other, read);
    }

    #[test]
    fn a_key_that_is_exact_wins_and_the_operators_keys_stay() {
        let read = SERVICE
            .in_any_case(json!({"name": "a", "Name": "b", "labels": {"name": "c", "TTY": "d"}, "colour": {"x": 1}}));

        assert_eq!(read, json!({"Name": "b", "Labels": {"name": "c", "TTY": "d"}, "colour": {"x": 1}}));
    }
}
