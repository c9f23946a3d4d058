//! The driver over an emulator of EC2: moto's state, with EC2's manners added and faults on demand (`../ec2` says which).
//!
//! What is added and what is moto's own is no proof of what EC2 does about quota, capacity, ordering or pace: it shows
//! that the driver keeps the contract where EC2 behaves as its documents say.

#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "this whole target is tests")]

mod cloud;
mod conformance;
mod create;
mod credentials;
mod destroy;
mod faults;
mod firewall;
mod kill_points;
mod network;
mod power;
mod request;
