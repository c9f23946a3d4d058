//! The driver against a fake of Azure that was written from Microsoft's documents; every request is judged by Microsoft's
//! published schemas. What only the real Azure could prove, its capacity and its timing, is not proved here.

#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "this whole crate is tests")]

mod conformance;
mod create;
mod failure;
mod firewall;
mod killed;
mod lab;
mod life;
mod refused;
mod removal;
mod self_delete;
