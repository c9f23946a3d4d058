//! Which members of the swarm are alive, as the members themselves find out: SWIM over sealed datagrams (7946/udp).
//!
//! ```text
//! socket ─> datagram: known sender? opens? fresh? new? ─> foca (SWIM) ─> view: alive, suspect, dead
//!                       roster     keys   clock  replay      │
//! socket <─ datagram: sealed for one receiver <──────────────┘      own time: stands still while we do
//! ```
//!
//! Rules kept here: only the managers' roster says who takes part and at which address; a datagram counts once, for
//! its receiver, while it is fresh; a node that was not running does not blame the others for its own silence.
//! Deliberately absent: what the view means (the dispatcher decides), leaving (the roster does), payloads of others.

#![forbid(unsafe_code)]

mod codec;
mod datagram;
mod elsewhere;
mod gossip;
mod keys;
mod place;
mod replay;
mod time;
mod view;

pub use datagram::MAX_DATAGRAM;
pub use gossip::{Clock, Gossip, GossipError, GossipSettings, Roster};
pub use view::{GossipView, PeerState};
