//! Whole swarms at emulated clouds whose instances are real hosts: `swarmup` makes them by the provider's API, logs in by
//! SSH, forms the swarm, and takes everything away again.
//!
//! The emulators keep the providers' books; they prove nothing about quota, capacity or timing at the real ones.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "all of this is tests")]

mod address_service;
mod aws;
mod azure;
mod books;
mod commands;
mod faults;
mod gcp;
mod kill_points;
mod scene;
mod story;
