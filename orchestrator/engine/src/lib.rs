//! What a node is and does by itself, whether or not it is in a swarm: its facts, images, events, how long it stays.
//!
//! So far the engine runs nothing: it describes the machine it stands on, keeps images and the log of events that
//! `docker events` reads, and measures the lease by which its machine stays. What it cannot do yet it does not claim.

#![forbid(unsafe_code)]

mod describe;
mod event;
mod facts;
mod identity;
mod images;
mod lease;
mod prefixes;

pub use describe::{Engine, EngineOpenError, EngineSettings, VERSION};
pub use event::{Actor, Event, EventKind, EventLog, EventReceiver, EventScope, EventsMissed, KEPT_EVENTS};
pub use facts::{CgroupSupport, HostFacts};
pub use identity::EngineIdentityError;
pub use images::{Images, RunningContainers};
pub use lease::Lease;
