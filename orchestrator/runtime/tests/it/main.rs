//! Real containers: namespaces, control groups, filters, terminals, of a small root with busybox in it.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "all of this is tests")]

mod adopt;
mod exec;
mod lab;
mod life;
mod limits;
mod logs;
mod mounts;
mod privileges;
mod streams;
