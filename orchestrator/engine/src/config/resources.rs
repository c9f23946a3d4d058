//! What a container may use: the part of Docker's `HostConfig` that `docker update` changes.

use std::collections::BTreeMap;

use model::Ulimit;
use serde::{Deserialize, Serialize};

/// What a container may use. Zero is no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerResources {
    /// Weight of its processors against others, 1024 being usual.
    pub cpu_shares: i64,
    /// Memory (bytes).
    pub memory: i64,
    /// Processors × 10⁹.
    pub nano_cpus: i64,
    /// The control group above its own; refused where it is not empty.
    pub cgroup_parent: String,
    /// Weight of its input and output, 10 to 1000.
    pub blkio_weight: u16,
    /// The same for single devices.
    pub blkio_weight_device: Option<Vec<BlkioWeightDevice>>,
    /// Bytes a second that are read from a device.
    pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
    /// Bytes a second that are written to a device.
    pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
    /// Reads a second from a device.
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
    /// Writes a second to a device.
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
    /// The period of `cpu_quota` (µs).
    pub cpu_period: i64,
    /// Processor time in each period (µs).
    pub cpu_quota: i64,
    /// The period of real-time scheduling (µs).
    pub cpu_realtime_period: i64,
    /// Real-time processor time in each period (µs).
    pub cpu_realtime_runtime: i64,
    /// Which processors: `0-2,7`.
    pub cpuset_cpus: String,
    /// Which memory nodes.
    pub cpuset_mems: String,
    /// Devices of the host that it sees.
    pub devices: Option<Vec<DeviceMapping>>,
    /// Rules of further devices: `c 10:200 rwm`.
    pub device_cgroup_rules: Option<Vec<String>>,
    /// Devices that a driver is to find; refused.
    pub device_requests: Option<Vec<DeviceRequest>>,
    /// The kernel's own memory. Kept and shown.
    #[serde(skip_serializing_if = "is_zero")]
    pub kernel_memory: i64,
    /// The kernel's memory for TCP. Kept and shown.
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "is_zero")]
    pub kernel_memory_tcp: i64,
    /// Memory that is left alone while the host has some (bytes).
    pub memory_reservation: i64,
    /// Memory and swap together (bytes); -1 is no limit; 0 is twice the memory.
    pub memory_swap: i64,
    /// How gladly the kernel swaps it out (0 to 100, or -1).
    pub memory_swappiness: Option<i64>,
    /// Whether the kernel leaves it alone when its memory has run out.
    pub oom_kill_disable: Option<bool>,
    /// Processes; 0 and -1 are no limit.
    pub pids_limit: Option<i64>,
    /// Limits of its processes.
    pub ulimits: Option<Vec<Ulimit>>,
    /// Windows' number of processors. Kept and shown.
    pub cpu_count: i64,
    /// Windows' share of processors. Kept and shown.
    pub cpu_percent: i64,
    /// Windows' input and output. Kept and shown.
    #[serde(rename = "IOMaximumIOps")]
    pub io_maximum_iops: u64,
    /// Windows' bytes a second. Kept and shown.
    #[serde(rename = "IOMaximumBandwidth")]
    pub io_maximum_bandwidth: u64,
}

/// The weight of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BlkioWeightDevice {
    /// Its path.
    pub path: String,
    /// Its weight.
    pub weight: u16,
}

/// The bound of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThrottleDevice {
    /// Its path.
    pub path: String,
    /// Per second.
    pub rate: u64,
}

/// A device of the host that a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceMapping {
    /// Its path, or that of a folder of devices.
    pub path_on_host: String,
    /// Where the container sees it; at the same path where empty.
    pub path_in_container: String,
    /// `r`, `w` and `m`; all where empty.
    pub cgroup_permissions: String,
}

/// Devices that a driver is to find.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceRequest {
    /// The driver.
    pub driver: String,
    /// How many; -1 is all.
    pub count: i64,
    /// Which.
    #[serde(rename = "DeviceIDs")]
    pub device_ids: Option<Vec<String>>,
    /// What they must be able to: any of these sets.
    pub capabilities: Option<Vec<Vec<String>>>,
    /// Options of the driver.
    pub options: Option<BTreeMap<String, String>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}
