//! The crate as the engine uses it: archives, a real registry, a hostile one, mounts.

#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "this whole program is tests")]

mod archives;
mod crash;
mod debian_registry;
mod exchange;
mod fake_registry;
mod fixture;
mod hostile;
mod registry;
mod root;
mod store;
