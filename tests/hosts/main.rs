//! Hosts of namespaces with a real sshd: that they keep their promises, and what reaches and uses them.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "all of this is tests")]

mod agent;
mod generic;
mod lab;
mod promises;
mod reach;
