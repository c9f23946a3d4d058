//! The change of the swarm's root to another one.
//!
//! ```text
//!  an operator asks ── given: is it an authority? ──> change: what becomes of the root ──> store   (control)
//!  both roots trusted, the new one signs, nodes renew and say so                                    (agents)
//!  decide: has every node changed over? ──> reconcile: the old root goes, tokens are new ──> store (leader)
//! ```
//!
//! All that is known of a change is in the store, so any leader goes on with it.

mod change;
mod decide;
mod given;
mod reconcile;

pub(crate) use change::changed;
pub use given::given_root;
pub(crate) use reconcile::RootReconciler;
