//! The tasks of a node, over an executor whose containers do as they are told; images between nodes.

mod executor;
mod logs;
mod peers;
mod swarm;
mod worker;
