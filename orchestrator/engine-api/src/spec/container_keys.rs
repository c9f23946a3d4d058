//! The keys of a container's settings, as Docker writes them.

use super::keys::Vocabulary;

/// The body that makes a container, and the one that changes it.
pub(super) const CONTAINER: Vocabulary = Vocabulary { fields: &FIELDS, free: &FREE, named: &NAMED };

/// The bodies that make and start a program in a container.
pub(super) const EXEC: Vocabulary = Vocabulary { fields: &EXEC_FIELDS, free: &[], named: &[] };

const EXEC_FIELDS: [&str; 12] = [
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Cmd",
    "ConsoleSize",
    "Detach",
    "DetachKeys",
    "Env",
    "Privileged",
    "Tty",
    "User",
    "WorkingDir",
];

/// Fields whose keys are the operator's, with plain values.
const FREE: [&str; 9] =
    ["Annotations", "Config", "DriverOpts", "Labels", "Options", "StorageOpt", "Sysctls", "Tmpfs", "Volumes"];
/// Fields whose keys are ports and networks.
const NAMED: [&str; 3] = ["EndpointsConfig", "ExposedPorts", "PortBindings"];

const FIELDS: [&str; 151] = [
    "Aliases",
    "Annotations",
    "ArgsEscaped",
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "AutoRemove",
    "BindOptions",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeight",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "Capabilities",
    "Cgroup",
    "CgroupParent",
    "CgroupPermissions",
    "CgroupnsMode",
    "ClusterOptions",
    "Cmd",
    "Config",
    "Consistency",
    "ConsoleSize",
    "ContainerIDFile",
    "Count",
    "CpuCount",
    "CpuPercent",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "CreateMountpoint",
    "DeviceCgroupRules",
    "DeviceIDs",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "Domainname",
    "Driver",
    "DriverConfig",
    "DriverOpts",
    "EndpointsConfig",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "ExtraHosts",
    "GroupAdd",
    "GwPriority",
    "Hard",
    "Healthcheck",
    "HostConfig",
    "HostIp",
    "HostPort",
    "Hostname",
    "IOMaximumBandwidth",
    "IOMaximumIOps",
    "IPAMConfig",
    "IPv4Address",
    "IPv6Address",
    "Image",
    "ImageOptions",
    "Init",
    "Interval",
    "IpcMode",
    "Isolation",
    "KernelMemory",
    "KernelMemoryTCP",
    "Labels",
    "LinkLocalIPs",
    "Links",
    "LogConfig",
    "MacAddress",
    "MaskedPaths",
    "MaximumRetryCount",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "Mode",
    "Mounts",
    "Name",
    "NanoCpus",
    "NetworkDisabled",
    "NetworkID",
    "NetworkMode",
    "NetworkingConfig",
    "NoCopy",
    "NonRecursive",
    "OnBuild",
    "OomKillDisable",
    "OomScoreAdj",
    "OpenStdin",
    "Options",
    "Path",
    "PathInContainer",
    "PathOnHost",
    "PidMode",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "Propagation",
    "PublishAllPorts",
    "Rate",
    "ReadOnly",
    "ReadOnlyForceRecursive",
    "ReadOnlyNonRecursive",
    "ReadonlyPaths",
    "ReadonlyRootfs",
    "RestartPolicy",
    "Retries",
    "Runtime",
    "SecurityOpt",
    "Shell",
    "ShmSize",
    "SizeBytes",
    "Soft",
    "Source",
    "StartInterval",
    "StartPeriod",
    "StdinOnce",
    "StopSignal",
    "StopTimeout",
    "StorageOpt",
    "Subpath",
    "Sysctls",
    "Target",
    "Test",
    "Timeout",
    "Tmpfs",
    "TmpfsOptions",
    "Tty",
    "Type",
    "UTSMode",
    "Ulimits",
    "User",
    "UsernsMode",
    "VolumeDriver",
    "VolumeOptions",
    "Volumes",
    "VolumesFrom",
    "Weight",
    "WorkingDir",
];

#[cfg(test)]
mod tests {
    use engine::CreateRequest;
    use serde_json::{Map, Value, json};

    use super::*;

    /// A request with every field, so that each is in the vocabulary.
    const WHOLE: &str = r#"{
            "Hostname": "h", "Domainname": "d", "User": "u", "AttachStdin": true, "AttachStdout": true,
            "AttachStderr": true, "ExposedPorts": {"80/tcp": {}}, "Tty": true, "OpenStdin": true, "StdinOnce": true,
            "Env": ["A=b"], "Cmd": ["c"], "Healthcheck": {
                "Test": ["CMD"], "Interval": 1, "Timeout": 1, "StartPeriod": 1, "StartInterval": 1, "Retries": 1
            },
            "ArgsEscaped": true, "Image": "i", "Volumes": {"/cmd": {}}, "WorkingDir": "/", "Entrypoint": ["e"],
            "NetworkDisabled": true, "MacAddress": "m", "OnBuild": ["o"], "Labels": {"user": "x"}, "StopSignal": "s",
            "StopTimeout": 1, "Shell": ["s"],
            "HostConfig": {
                "Binds": ["b"], "ContainerIDFile": "f", "LogConfig": {"Type": "t", "Config": {"mode": "x"}},
                "NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostIp": "i", "HostPort": "p"}]},
                "RestartPolicy": {"Name": "n", "MaximumRetryCount": 1}, "AutoRemove": true, "VolumeDriver": "v",
                "VolumesFrom": ["v"], "ConsoleSize": [1, 2], "Annotations": {"env": "x"}, "CapAdd": ["a"],
                "CapDrop": ["a"], "CgroupnsMode": "m", "Dns": ["d"], "DnsOptions": ["d"], "DnsSearch": ["d"],
                "ExtraHosts": ["e"], "GroupAdd": ["g"], "IpcMode": "i", "Cgroup": "c", "Links": ["l"],
                "OomScoreAdj": 1, "PidMode": "p", "Privileged": true, "PublishAllPorts": true,
                "ReadonlyRootfs": true, "SecurityOpt": ["s"], "StorageOpt": {"size": "1"}, "Tmpfs": {"/init": "x"},
                "UTSMode": "u", "UsernsMode": "u", "ShmSize": 1, "Sysctls": {"a": "b"}, "Runtime": "r",
                "Isolation": "i", "CpuShares": 1, "Memory": 1, "NanoCpus": 1, "CgroupParent": "p", "BlkioWeight": 1,
                "BlkioWeightDevice": [{"Path": "p", "Weight": 1}], "BlkioDeviceReadBps": [{"Path": "p", "Rate": 1}],
                "BlkioDeviceWriteBps": [{"Path": "p", "Rate": 1}], "BlkioDeviceReadIOps": [{"Path": "p", "Rate": 1}],
                "BlkioDeviceWriteIOps": [{"Path": "p", "Rate": 1}], "CpuPeriod": 1, "CpuQuota": 1,
                "CpuRealtimePeriod": 1, "CpuRealtimeRuntime": 1, "CpusetCpus": "0", "CpusetMems": "0",
                "Devices": [{"PathOnHost": "a", "PathInContainer": "b", "CgroupPermissions": "r"}],
                "DeviceCgroupRules": ["c"],
                "DeviceRequests": [{
                    "Driver": "d", "Count": 1, "DeviceIDs": ["i"], "Capabilities": [["c"]], "Options": {"name": "x"}
                }],
                "KernelMemory": 1, "KernelMemoryTCP": 1, "MemoryReservation": 1, "MemorySwap": 1,
                "MemorySwappiness": 1, "OomKillDisable": true, "PidsLimit": 1,
                "Ulimits": [{"Name": "n", "Hard": 1, "Soft": 1}], "CpuCount": 1, "CpuPercent": 1,
                "IOMaximumIOps": 1, "IOMaximumBandwidth": 1,
                "Mounts": [{
                    "Type": "t", "Source": "s", "Target": "t", "ReadOnly": true, "Consistency": "c",
                    "BindOptions": {
                        "Propagation": "p", "NonRecursive": true, "CreateMountpoint": true,
                        "ReadOnlyNonRecursive": true, "ReadOnlyForceRecursive": true
                    },
                    "VolumeOptions": {
                        "NoCopy": true, "Labels": {"A": "b"}, "Subpath": "s",
                        "DriverConfig": {"Name": "n", "Options": {"type": "x"}}
                    },
                    "ImageOptions": {"Subpath": "s"},
                    "TmpfsOptions": {"SizeBytes": 1, "Mode": 1, "Options": [["exec"]]}
                }],
                "MaskedPaths": ["m"], "ReadonlyPaths": ["r"], "Init": true
            }
        }"#;

    fn whole() -> Value {
        serde_json::from_str(WHOLE).unwrap()
    }

    /// Writes every key that is not the operator's in small letters.
    fn in_small_letters(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let small = |(key, value): (&String, &Value)| {
                    if FREE.contains(&key.as_str()) {
                        return (key.to_lowercase(), value.clone());
                    }
                    let value = match value {
                        Value::Object(members) if NAMED.contains(&key.as_str()) => {
                            let named = members.iter().map(|(key, value)| (key.clone(), in_small_letters(value)));
                            Value::Object(named.collect())
                        }
                        value @ (Value::Null
                        | Value::Bool(_)
                        | Value::Number(_)
                        | Value::String(_)
                        | Value::Array(_)
                        | Value::Object(_)) => in_small_letters(value),
                    };
                    (key.to_lowercase(), value)
                };
                Value::Object(members.iter().map(small).collect::<Map<_, _>>())
            }
            Value::Array(values) => Value::Array(values.iter().map(in_small_letters).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    #[test]
    fn every_field_of_a_container_is_read_in_any_case() {
        let read: CreateRequest = serde_json::from_value(whole()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), whole(), "every field is in the document");

        let small = CONTAINER.in_any_case(in_small_letters(&whole()));

        assert_eq!(serde_json::from_value::<CreateRequest>(small).unwrap(), read);
    }

    #[test]
    fn names_of_networks_stay_as_they_are_and_their_settings_are_read_in_any_case() {
        let sent = json!({"networkingconfig": {"endpointsconfig": {"env": {"ipamconfig": {"ipv4address": "a"}}}}});

        let read = CONTAINER.in_any_case(sent);

        assert_eq!(
            read,
            json!({"NetworkingConfig": {"EndpointsConfig": {"env": {"IPAMConfig": {"IPv4Address": "a"}}}}})
        );
    }
}
