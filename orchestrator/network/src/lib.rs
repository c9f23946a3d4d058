//! The networks that containers of a node are in, as the node's kernel holds them: today one, the node's own bridge.
//!
//! ```text
//! Bridge ── reserve ──> Endpoint: address, ports of the host (bound, so that nobody else has them)
//!    ├── connect ──> a pair of links: one in the bridge, `eth0` in the container's network namespace
//!    ├── release ──> both gone, the address and the ports free
//!    └── rules: one table of the packet filter, replaced as a whole
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
mod link;
mod pool;
mod ports;
mod removal;
mod rules;

pub use bridge::{Bridge, BridgeSettings, EndpointRequest};
pub use endpoint::{Endpoint, HardwareAddress, InvalidHardwareAddress, Protocol, PublishedPort};
pub use error::{NetworkError, PortError};
pub use link::BRIDGE;
pub use pool::Subnet;
pub use ports::PortRequest;
pub use removal::remove;
