//! The tasks of a node, over an executor whose containers do as they are told.

mod executor;
mod logs;
mod worker;
