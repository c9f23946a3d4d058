//! Readers, nodes and a state that changes under them, in paused time.

mod bench;
mod missing;
mod reading;
mod slowness;
