//! The rules that the fake enforces, one test each; each says which bug of a driver it would show.

#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "this whole program is tests")]

mod accounts;
mod caller;
mod conditions;
mod life;
mod requests;
