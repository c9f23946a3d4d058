//! The local driver with real namespaces, links and control groups, in namespaces of the tests' own.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "all of this is tests")]

mod agent;
mod killed;
mod machines;
mod workstation;
