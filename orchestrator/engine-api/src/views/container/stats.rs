//! What a container uses, as `docker stats` reads it.

use std::collections::BTreeMap;

use engine::ContainerRecord;
use runtime::{BlockTransfer, CpuStats, MemoryStats, Stats};
use serde::Serialize;

use super::{NEVER, time};

/// Docker's `StatsResponse`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StatsDocument {
    name: String,
    id: String,
    read: String,
    preread: String,
    pids_stats: PidsView,
    blkio_stats: BlocksView,
    num_procs: u32,
    storage_stats: StorageView,
    cpu_stats: CpuView,
    precpu_stats: CpuView,
    memory_stats: MemoryView,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, LinkView>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct PidsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

#[derive(Debug, Clone, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "the keys are Docker's")]
struct BlocksView {
    io_service_bytes_recursive: Option<Vec<TransferView>>,
    io_serviced_recursive: Option<Vec<TransferView>>,
    io_queue_recursive: Option<Vec<TransferView>>,
    io_service_time_recursive: Option<Vec<TransferView>>,
    io_wait_time_recursive: Option<Vec<TransferView>>,
    io_merged_recursive: Option<Vec<TransferView>>,
    io_time_recursive: Option<Vec<TransferView>>,
    sectors_recursive: Option<Vec<TransferView>>,
}

#[derive(Debug, Clone, Serialize)]
struct TransferView {
    major: u64,
    minor: u64,
    op: String,
    value: u64,
}

/// Windows' part of the document, empty here.
#[derive(Debug, Clone, Default, Serialize)]
struct StorageView {}

#[derive(Debug, Clone, Default, Serialize)]
struct CpuView {
    cpu_usage: CpuUsageView,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_cpu_usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    online_cpus: Option<u32>,
    throttling_data: ThrottlingView,
}

#[derive(Debug, Clone, Default, Serialize)]
struct CpuUsageView {
    total_usage: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percpu_usage: Vec<u64>,
    usage_in_kernelmode: u64,
    usage_in_usermode: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
struct ThrottlingView {
    periods: u64,
    throttled_periods: u64,
    throttled_time: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
struct MemoryView {
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_usage: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stats: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failcnt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
struct LinkView {
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

impl StatsDocument {
    /// Shows what a container uses, after what it used at the reading before. One that does not run uses nothing, and is
    /// shown so. `memory` is the machine's, in bytes: the bound of what has no other.
    pub(crate) fn new(record: &ContainerRecord, now: Option<&Stats>, before: Option<&Stats>, memory: u64) -> Self {
        // The links of a container that is in the node's network are the node's.
        let is_in_own_network = record.host_config.network_mode != "host";
        let links = now.filter(|_| is_in_own_network).into_iter().flat_map(|stats| &stats.networks);
        Self {
            name: format!("/{}", record.name),
            id: record.id.clone(),
            read: read(now),
            preread: read(before),
            pids_stats: now.map(pids).unwrap_or_default(),
            blkio_stats: now.map(blocks).unwrap_or_default(),
            num_procs: 0,
            storage_stats: StorageView::default(),
            cpu_stats: now.map(|stats| cpu(&stats.cpu)).unwrap_or_default(),
            precpu_stats: before.map(|stats| cpu(&stats.cpu)).unwrap_or_default(),
            memory_stats: now.map(|stats| memory_of(&stats.memory, memory)).unwrap_or_default(),
            networks: links.map(|(name, link)| (name.clone(), LinkView::from(link))).collect(),
        }
    }
}

fn read(stats: Option<&Stats>) -> String {
    stats.map_or_else(|| NEVER.to_owned(), |stats| time(stats.read_at))
}

fn pids(stats: &Stats) -> PidsView {
    PidsView { current: Some(stats.pids.current), limit: stats.pids.limit }
}

fn blocks(stats: &Stats) -> BlocksView {
    let transfers = |transfers: &[BlockTransfer]| {
        let transfer = |transfer: &BlockTransfer| TransferView {
            major: transfer.major,
            minor: transfer.minor,
            op: transfer.operation.clone(),
            value: transfer.value,
        };
        Some(transfers.iter().map(transfer).collect())
    };
    BlocksView {
        io_service_bytes_recursive: transfers(&stats.block_bytes),
        io_serviced_recursive: transfers(&stats.block_operations),
        ..BlocksView::default()
    }
}

fn cpu(stats: &CpuStats) -> CpuView {
    CpuView {
        cpu_usage: CpuUsageView {
            total_usage: stats.total,
            percpu_usage: stats.per_processor.clone(),
            usage_in_kernelmode: stats.kernel,
            usage_in_usermode: stats.user,
        },
        system_cpu_usage: Some(stats.system),
        online_cpus: Some(stats.online),
        throttling_data: ThrottlingView {
            periods: stats.throttling.periods,
            throttled_periods: stats.throttling.throttled_periods,
            throttled_time: stats.throttling.throttled_time,
        },
    }
}

fn memory_of(stats: &MemoryStats, of_machine: u64) -> MemoryView {
    MemoryView {
        usage: Some(stats.usage),
        max_usage: stats.max_usage,
        stats: stats.details.clone(),
        failcnt: Some(stats.failures).filter(|failures| *failures > 0),
        limit: Some(stats.limit.unwrap_or(of_machine)),
    }
}

impl From<&runtime::InterfaceStats> for LinkView {
    fn from(link: &runtime::InterfaceStats) -> Self {
        Self {
            rx_bytes: link.rx_bytes,
            rx_packets: link.rx_packets,
            rx_errors: link.rx_errors,
            rx_dropped: link.rx_dropped,
            tx_bytes: link.tx_bytes,
            tx_packets: link.tx_packets,
            tx_errors: link.tx_errors,
            tx_dropped: link.tx_dropped,
        }
    }
}
