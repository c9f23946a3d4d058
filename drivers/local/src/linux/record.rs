//! What is kept of clusters and machines, as JSON, so that they are found without the journal.

use std::net::IpAddr;

use driver::{Access, ClusterId, Instance, InstanceId, InstanceState};
use links::{KernelError, Prefix, Process};
use serde::{Deserialize, Serialize};

/// What the name of a bridge begins with.
const BRIDGE_KIND: &str = "sb";
/// What the name of a machine's link begins with.
const MACHINE_KIND: &str = "sv";

/// A cluster on this computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClusterRecord {
    /// Its name.
    pub(super) name: String,
    /// The prefix of its machines; its first address is the bridge's.
    pub(super) subnet: String,
    /// Its bridge.
    pub(super) bridge: String,
}

/// A machine on this computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MachineRecord {
    /// Its host name.
    pub(super) hostname: String,
    /// Its number in the cluster.
    pub(super) number: u32,
    /// Its address, which it keeps.
    pub(super) address: IpAddr,
    /// Its first process; absent while it is stopped.
    pub(super) process: Option<ProcessRecord>,
}

/// A process of this computer, from one boot to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessRecord {
    /// Its number.
    pub(super) pid: u32,
    /// When it started, in ticks since boot.
    pub(super) started: u64,
    /// Which boot: after another one, number and ticks mean nothing.
    pub(super) boot: String,
}

impl MachineRecord {
    /// The first process, where it runs.
    pub(super) fn running(&self, boot: &str) -> Result<Option<Process>, KernelError> {
        let Some(record) = self.process.as_ref().filter(|record| record.boot == boot) else { return Ok(None) };
        let process = Process { pid: record.pid, started: record.started };
        Ok(process.is_alive()?.then_some(process))
    }

    /// The machine as the contract shows it.
    pub(super) fn instance(&self, id: InstanceId, name: &str, process: Option<Process>) -> Instance {
        Instance {
            id,
            name: name.to_owned(),
            state: if process.is_some() { InstanceState::Running } else { InstanceState::Stopped },
            arch: Some(std::env::consts::ARCH.to_owned()),
            private_address: Some(self.address),
            public_address: None,
            access: process.map(|process| Access::Namespace { pid: process.pid, started: process.started }),
        }
    }
}

/// The id of a machine tells its cluster and its name.
pub(super) fn instance_id(cluster: &ClusterId, name: &str) -> InstanceId {
    InstanceId(format!("{cluster}/{name}"))
}

/// Cluster and name of a machine; `None` where no machine of ours can have that id.
pub(super) fn parse_instance_id(id: &InstanceId) -> Option<(ClusterId, String)> {
    let (cluster, name) = id.0.split_once('/')?;
    (is_safe(cluster) && is_safe(name)).then(|| (ClusterId(cluster.to_owned()), name.to_owned()))
}

/// Whether a text may become the name of a folder, a table and a control group.
pub(super) fn is_safe(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with('.')
}

/// A name for a cluster's bridge: links have 15 characters at most, so a hash stands for the mark.
pub(super) fn bridge_name(mark: &str, attempt: u32) -> String {
    // FNV-1a: the same in every version, and a clash only costs another attempt.
    let bytes = mark.bytes().chain(attempt.to_le_bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{BRIDGE_KIND}{hash:08x}")
}

/// The name of a machine's link on the host: its cluster's bridge and its place in the prefix tell it apart.
pub(super) fn machine_link_name(bridge: &str, prefix: &Prefix, address: IpAddr) -> String {
    let place = match (prefix.network().address, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => address.to_bits().wrapping_sub(network.to_bits()),
        _ => 0,
    };
    format!("{MACHINE_KIND}{}-{place:x}", bridge.trim_start_matches(BRIDGE_KIND))
}

/// A hardware address of our own making (locally administered) that follows from the IP address.
pub(super) fn hardware_address(address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [0x02, 0x53, a, b, c, d]
        }
        IpAddr::V6(address) => {
            let octets = address.octets();
            [0x02, 0x54, octets[12], octets[13], octets[14], octets[15]]
        }
    }
}

/// The `nth` address of a prefix; IPv4 only, which is all that a cluster has here.
pub(super) fn nth_address(prefix: &Prefix, nth: u32) -> Option<IpAddr> {
    let IpAddr::V4(network) = prefix.network().address else { return None };
    let last = 1_u64.checked_shl(32_u32.checked_sub(prefix.length.into())?)?.checked_sub(1)?;
    // The last one is the broadcast address.
    (u64::from(nth) < last).then(|| IpAddr::V4((network.to_bits() + nth).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_leave_the_folder_are_refused() {
        let parse = |text: &str| parse_instance_id(&InstanceId(text.to_owned()));

        assert_eq!(parse("m4rk/lab-node-1"), Some((ClusterId("m4rk".to_owned()), "lab-node-1".to_owned())));
        for text in ["", "m4rk", "../etc", "m4rk/..", "m4rk/a/b", "/a", "m4rk/", "m4 rk/a"] {
            assert_eq!(parse(text), None, "`{text}` was accepted");
        }
    }

    #[test]
    fn names_of_links_fit_the_kernel() {
        let bridge = bridge_name(&"m".repeat(100), 0);
        let (prefix, address) = ("10.201.0.0/16".parse().unwrap(), "10.201.255.254".parse().unwrap());

        let link = machine_link_name(&bridge, &prefix, address);

        assert_eq!(link.len(), links::route::LINK_NAME_LENGTH);
        assert!(link.ends_with("-fffe"));
        assert_ne!(bridge_name("mark-a", 0), bridge_name("mark-b", 0));
        assert_ne!(bridge_name("mark-a", 0), bridge_name("mark-a", 1));
    }

    #[test]
    fn addresses_stay_inside_the_prefix() {
        let prefix = "10.201.7.0/29".parse().unwrap();

        assert_eq!(nth_address(&prefix, 1), Some("10.201.7.1".parse().unwrap()));
        assert_eq!(nth_address(&prefix, 6), Some("10.201.7.6".parse().unwrap()));
        assert_eq!(nth_address(&prefix, 7), None);
    }

    #[test]
    fn a_process_of_another_boot_does_not_run() {
        let own = Process::of(std::process::id()).unwrap();
        let process = Some(ProcessRecord { pid: own.pid, started: own.started, boot: "before".to_owned() });
        let address = "10.201.7.2".parse().unwrap();
        let machine = MachineRecord { hostname: "node-1".to_owned(), number: 1, address, process };

        assert_eq!(machine.running("after").unwrap(), None);
        assert_eq!(machine.running("before").unwrap(), Some(own));
    }
}
