//! What the tests of real processes stand on: hosts made of namespaces, and a view of all that a host holds.

#![forbid(unsafe_code)]

pub mod hosts;

pub use hosts::{Host, Hosts, Signal};
