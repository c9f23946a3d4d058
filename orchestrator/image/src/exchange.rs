//! Images from node to node: what this one can give of an image, and how it takes one that it lacks.
//!
//! ```text
//!  name of a task's image ── offer ──> document (manifest or index) ─┐ what another node is told
//!                                                                    v
//!  names <── admitted <── layers <── configuration <── manifest <── fetch: each blob by its digest, if it is not here
//! ```
//!
//! A name is the other node's word; everything below it is verified by digest, so that a node that lies is found out and
//! the next one is asked.

mod adopt;
mod fetch;
mod offer;

pub use fetch::{BlobSource, FetchError, Fetched};
pub use offer::Offer;
