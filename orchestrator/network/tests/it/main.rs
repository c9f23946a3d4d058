//! The bridge network, judged by which packets arrive: the test's own network namespace is the host, others are its
//! containers and whoever is outside.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "all of this is tests")]

mod host;
mod lives;
mod reaches;
mod several;
