//! Decides which node runs each pending task: the pure half, which sees nodes and tasks and never the store.
//!
//! Filters turn nodes away, spread preferences deal tasks out over branches, ranks choose among what remains. Tasks of
//! one service and revision are decided about together.

mod failures;
mod filter;
mod ledger;
mod node_set;
mod queue;
mod rank;
mod requirements;
mod spread;
#[cfg(test)]
mod testing;
mod usage;

pub use ledger::{Decision, Ledger, Outcome};
