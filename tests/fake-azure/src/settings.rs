//! How the fake behaves where the real one takes time or has limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How the fake behaves. The default answers at once, so that tests are fast.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address at which it is reached.
    pub address: IpAddr,
    /// Where the metadata service of machines listens, by plain HTTP, if there is one. A machine is known by the private
    /// address that it asks from.
    pub metadata: Option<SocketAddr>,
    /// The port; 0 for any that is free.
    pub port: u16,
    /// The subscription that exists.
    pub subscription: String,
    /// The tenant that the authority serves.
    pub tenant: String,
    /// The application that may sign in.
    pub client: String,
    /// Its secret.
    pub secret: String,
    /// How long a token is good for.
    pub token_lifetime: Duration,
    /// How long every answer takes.
    pub latency: Duration,
    /// How long it takes until the directory shows a new identity to whoever looks its principal up.
    pub replication: Duration,
    /// How long a network or a security group is being made.
    pub network_provisioning: Duration,
    /// How long it takes until a new machine's interface and address can be seen.
    pub addresses_after: Duration,
    /// How long a machine boots; its provisioning ends with it.
    pub boot: Duration,
    /// How long a machine is being deleted, started or deallocated.
    pub machine_change: Duration,
    /// How long a resource group is being deleted.
    pub group_deletion: Duration,
    /// What `Retry-After` says beside an operation; whoever asks earlier is refused.
    pub retry_after_seconds: u64,
    /// For how long an interface stays reserved for its machine after the machine was deleted.
    pub interface_reserved: Duration,
    /// How many entries a page of a list has.
    pub page: usize,
    /// How many cores of machines the region grants.
    pub cores: u32,
    /// How many public addresses the region grants.
    pub addresses: u32,
    /// How many calls are let through: as Azure publishes it, or without limit.
    pub rates: Option<Rates>,
    /// How many calls each bucket has left when the fake starts; it is full where nothing is said.
    pub calls_left: Option<f64>,
    /// Whether no two interfaces get the same private address, whatever their networks: as a lab needs it whose machines
    /// are all on one link.
    pub is_one_link: bool,
    /// A file to which every request is written as it is answered, one JSON object a line.
    pub log_file: Option<PathBuf>,
}

/// Token buckets for calls, one each for reads, writes and deletes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Reads: how many at once, and how many come back each second.
    pub reads: (f64, f64),
    /// Writes, likewise.
    pub writes: (f64, f64),
    /// Deletes, likewise.
    pub deletes: (f64, f64),
}

impl Rates {
    /// What Azure Resource Manager grants a principal in a subscription and region since 2024 ("Understand how Azure
    /// Resource Manager throttles requests").
    pub const PUBLISHED: Self = Self { reads: (250.0, 25.0), writes: (200.0, 10.0), deletes: (200.0, 10.0) };

    /// The buckets by their names.
    pub fn by_name(&self) -> [(&'static str, (f64, f64)); 3] {
        [(READS, self.reads), (WRITES, self.writes), (DELETES, self.deletes)]
    }
}

const READS: &str = "reads";
const WRITES: &str = "writes";
const DELETES: &str = "deletes";

/// The name of the bucket that a method takes from.
pub(crate) fn bucket(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" => READS,
        "DELETE" => DELETES,
        _ => WRITES,
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            metadata: None,
            port: 0,
            subscription: "0b1f6471-1bf0-4dda-aec3-111122223333".to_owned(),
            tenant: "72f988bf-86f1-41af-91ab-2d7cd011db47".to_owned(),
            client: "6d0f3f5e-1c1b-4c7e-8a46-9d3a5b0f8a11".to_owned(),
            secret: "not-a-secret-of-anybody".to_owned(),
            token_lifetime: Duration::from_secs(3599),
            latency: Duration::ZERO,
            replication: Duration::from_mins(2),
            network_provisioning: Duration::from_millis(10),
            addresses_after: Duration::from_millis(10),
            boot: Duration::from_millis(30),
            machine_change: Duration::from_millis(10),
            group_deletion: Duration::from_millis(20),
            retry_after_seconds: 0,
            interface_reserved: Duration::ZERO,
            page: 100,
            cores: 100,
            addresses: 100,
            rates: None,
            calls_left: None,
            is_one_link: false,
            log_file: None,
        }
    }
}
