//! What the tests of real processes stand on: hosts made of namespaces, and a view of all that a host holds.

#![forbid(unsafe_code)]

pub mod agent;
pub mod cloud;
pub mod guest;
pub mod hosts;
#[cfg(target_os = "linux")]
pub mod isolated;
#[cfg(target_os = "linux")]
pub mod processes;
pub mod programs;
pub mod run;
#[cfg(target_os = "linux")]
pub mod snapshot;

pub use agent::agent;
pub use guest::Guest;
pub use hosts::{Host, Hosts, Signal};
#[cfg(target_os = "linux")]
pub use isolated::isolated;
#[cfg(target_os = "linux")]
pub use snapshot::HostSnapshot;
