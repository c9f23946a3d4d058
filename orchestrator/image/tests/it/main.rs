//! The crate as the engine uses it: archives, a real registry, a hostile one, mounts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]
#![expect(clippy::tests_outside_test_module, reason = "this program is nothing but tests")]

mod archives;
mod fixture;
mod store;
