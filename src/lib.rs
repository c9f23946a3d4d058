//! swarmup: one command from nothing to a highly available Docker swarm, and back to nothing.
//!
//! What happens during `swarmup create`:
//!
//! ```text
//!  cli/create ── config: swarmup.yaml, flags, environment ──> cluster::ClusterSpec, validated once
//!      │
//!      ├── journal: lock, read ──> plan: (spec, journal) -> what is to be done          (pure)
//!      │
//!      └── phase: one list, walked forward (backward by `destroy`, printed by `plan`)
//!            preflight   the provider says whether it can; nothing is changed
//!            network     identity: CA, node ids, keys, tokens, before any machine exists
//!                        journal: every intent is on disk before the act; then driver.ensure_network
//!            machines    driver.create, all at once; each goes on as soon as it exists
//!            ├─ reach    a session each (SSH, or the machine's namespaces)
//!            └─ install  the agent from bundle, its bootstrap file by standard input
//!            form        the agents elect their first leader: `formed`, no bootstrap is sent any more
//!            verify      engine: every node Ready, every manager reachable, by the Docker Engine API
//!            leave       machines that are to go: demoted, removed, destroyed
//!            retire      the swarm's CA key and the nodes' keys leave the workstation
//! ```
//!
//! `providers` is THE list of drivers, `engine` is what gets installed, `output` is the only code that prints,
//! `template` the only reader of `templates/`, `platform` the only code that differs between workstations.

#![forbid(unsafe_code)]

pub mod bundle;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod cost;
pub mod engine;
pub mod home;
pub mod identity;
pub mod images;
pub mod ingress;
pub mod interrupt;
pub mod journal;
pub mod lease;
pub mod operator;
pub mod output;
pub mod phase;
pub mod plan;
pub mod platform;
pub mod providers;
pub mod sighting;
pub mod template;
