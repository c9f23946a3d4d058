//! The networks that containers of a node are in, as the node's kernel holds them: bridges, the node's own and others.
//!
//! ```text
//! Host ── whose all of it is, the ports that are given
//! Bridge ── reserve ──> Endpoint: address, ports of the host (bound, so that nobody else has them)
//!    ├── connect ──> a pair of links: one in the bridge, `eth0` in the container's network namespace
//!    ├── release ──> both gone, the address and the ports free
//!    └── rules: one table of the packet filter a bridge, replaced as a whole
//! ```
//! The kernel and the endpoints that whoever runs containers keeps are all the state there is: [`Bridge::adopt`] puts
//! together what an earlier process left. Nothing here needs a process of ours to be alive: links and rules stay.
//!
//! Everything blocks for milliseconds, so that callers in async code use `spawn_blocking`.
//! `orchestrator/design/bridge.md` has the rules.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod bridge;
mod endpoint;
mod error;
mod forwarding;
mod host;
mod link;
mod pool;
mod ports;
mod removal;
mod rules;
mod settings;

pub use bridge::{Bridge, EndpointRequest};
pub use endpoint::{Endpoint, HardwareAddress, InvalidHardwareAddress, Protocol, PublishedPort};
pub use error::{NetworkError, PortError};
pub use host::{Host, PortHold};
pub use link::{BRIDGE, free_range_beside};
pub use pool::{Subnet, is_inner};
pub use ports::PortRequest;
pub use removal::{remove, remove_all_but};
pub use settings::{Addresses, BridgeSettings};
