//! Whole groups in one process, over a network of memory and on tokio's paused clock; the logs are real files.

mod bounds;
mod cluster;
mod election;
mod formation;
mod handover;
mod membership;
mod recovery;
mod serving;

pub(crate) use cluster::{Cluster, Ledger, peer};
