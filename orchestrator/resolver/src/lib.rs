//! The name server that a container asks: at 127.0.0.11 in its own network namespace, answered by the agent.
//!
//! ```text
//! container ── port 53 of 127.0.0.11 ──> (the namespace's packet filter) ──> Sockets, in the namespace
//!                                                                               │ serve
//!           names of its networks <── Names ── answer ──────────────────────────┤
//!           all other names <── the host's servers, asked from the host ── forward
//! ```
//! It knows no name itself and keeps none: each question is put to [`Names`], so that an answer is as true as its source.
//! Whoever has names (containers of a bridge, services of a swarm) implements that. `orchestrator/design/resolver.md` has
//! the rules.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod answer;
mod forward;
mod message;
mod serve;
mod sockets;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use serve::serve;
pub use sockets::{ResolverError, Sockets};

/// Where the container finds it: Docker's address.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// What names mean to one container, now. Asked for every question, by many tasks at once; must not block for longer than
/// a lock or a small file takes.
pub trait Names: fmt::Debug + Send + Sync {
    /// The addresses behind a name, which is in lower case and has no dot at its end; `None` where it is none of ours, so
    /// that others are asked.
    fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>>;

    /// The full name of who has an address; `None` where it is none of ours.
    fn name_of(&self, address: IpAddr) -> Option<String>;

    /// Who is asked for all other names, best first. Nobody where the container is to reach nothing outside.
    fn servers(&self) -> Vec<SocketAddr>;
}
