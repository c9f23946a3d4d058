//! What the fake refuses and how it behaves, one test a rule; each says which mistake of a driver it would show.

#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "this whole crate is tests")]

mod behaviour;
mod caller;
mod faults;
mod identities;
mod limits;
mod order;
mod requests;
