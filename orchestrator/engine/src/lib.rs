//! What a node is and does by itself, whether or not it is in a swarm: its facts and its events.
//!
//! So far the engine runs nothing: it describes the machine it stands on, and keeps the log of events that
//! `docker events` reads. What it cannot do yet it does not claim.

#![forbid(unsafe_code)]

mod describe;
mod event;
mod facts;
mod identity;
mod prefixes;

pub use describe::{Engine, EngineSettings, VERSION};
pub use event::{Actor, Event, EventKind, EventLog, EventReceiver, EventScope, EventsMissed, KEPT_EVENTS};
pub use facts::{CgroupSupport, HostFacts};
pub use identity::EngineIdentityError;
