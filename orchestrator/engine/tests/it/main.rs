//! Real containers of a real image, through everything that an engine does with them.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "all of this is tests")]

mod exec;
mod lab;
mod life;
mod local_networks;
mod network;
mod reopen;
mod settings;
mod volumes;
