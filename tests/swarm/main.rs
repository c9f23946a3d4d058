//! Whole swarms: `swarmup`, real agents and the stock `docker` command, in namespaces of their own.
//!
//! Nothing waits by the clock: every wait is for something that a user can see, with a limit.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "all of this is tests")]

mod autolock;
mod bare;
mod bootstrap;
mod cluster;
mod ending;
mod faults;
mod images;
mod interrupted;
mod lease;
mod life;
mod recover;
mod root;
mod sdk;
mod services;
mod survival;
mod trust;
mod upgrade;
mod workstation;
