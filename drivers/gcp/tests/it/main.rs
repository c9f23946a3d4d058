//! The driver against our own Compute Engine, which proves nothing about Google's; every request is judged by Google's
//! discovery document besides.

#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "this whole program is tests")]

mod bench;
mod budget;
mod capacity;
mod contract;
mod faults;
mod kill;
mod life;
mod network;
mod service_account;
mod surroundings;
