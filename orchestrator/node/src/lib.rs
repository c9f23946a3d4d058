//! The life of a node: inactive, joining, worker, manager, leaving. Builds and ends what each of them runs.

#![forbid(unsafe_code)]

mod facade;

pub use facade::{
    InitRequest, JoinRequest, ManagerAccess, ManagerReachability, NodeView, SwarmCondition, SwarmNode, SwarmRead,
};
