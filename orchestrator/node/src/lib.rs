//! The life of a node: inactive, joining, locked, worker, manager, leaving. Builds and ends what each of them runs.
//!
//! ```text
//! runtime    one loop: commands in, one phase after the other             phase: the machine, pure
//!   bootstrap  a file that makes a host a node, once                      address: which address, pure
//!   founding   a new swarm of one manager                                 words: Docker's
//!   anew       the swarm that is there, with this manager alone
//!   member     a membership: the agent always ...
//!     guard      strangers are kept from 7946 and 4789
//!     managing   ... and raft, store, services while the certificate says manager
//!       api_tls    the certificate of 2376        events: `docker events`
//!       sealing    the keys follow the swarm's unlock key
//! facade     the door for the Engine API          shared: what the node shows
//! disk       what survives a restart              record: the same in memory
//!   task_records   the tasks that the node has
//!   keyring    the keys, in the clear or locked                        acquaintance: who the others are
//! ```

#![forbid(unsafe_code)]

mod access;
mod acquaintance;
mod address;
mod anew;
mod api_tls;
mod bootstrap;
mod command;
mod disk;
mod events;
mod facade;
mod founding;
mod genesis;
mod guard;
mod keyring;
mod local;
mod managing;
mod member;
mod phase;
mod record;
mod runtime;
mod sealing;
mod settings;
mod shared;
mod task_records;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod words;

pub use api_tls::ApiTls;
pub use disk::DiskError;
pub use facade::{
    InitRequest, JoinRequest, LogMessages, ManagerAccess, ManagerReachability, NodeView, SwarmCondition, SwarmNode,
    SwarmRead,
};
pub use runtime::{NodeError, NodeRuntime};
pub use settings::{Ending, NodeSettings};
