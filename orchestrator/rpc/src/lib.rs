//! How nodes talk: mutual TLS on 2377/tcp, and on 7946/tcp for images, the peer's identity at every call, one client and one server a service.
//!
//! ```text
//! RaftClient … DispatcherClient          raft_server … dispatcher_server     services/: one file each
//!          │  CBOR of `model` types                     │  access checked before a byte of the message is read
//!       Channel ── HTTP/2 ── TLS 1.3 ──────────────── serve
//!                              │
//!                          TlsState: own certificate, roots (a set), removed nodes; read at each handshake
//! ```
//!
//! Rules kept here: nobody is trusted but by the swarm's roots; a server on 2377 is a manager, one
//! on 7946 the very node that is asked for; a certificate that is
//! presented and not the swarm's ends the handshake; a connection lives no longer than the trust in its peer.
//! Deliberately absent: retries (the caller knows what may run twice) and name resolution (nodes have addresses).

#![forbid(unsafe_code)]

mod channel;
mod codec;
mod connect;
mod identity;
mod peer;
mod pinned;
mod serve;
mod services;
mod status;
mod tasks;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tls;

pub use channel::{Channel, Connector};
pub use codec::MAX_MESSAGE_SIZE;
pub use connect::ConnectError;
pub use identity::{Identity, IdentityError, TlsState, Trust};
pub use peer::{PeerIdentity, peer};
pub use pinned::{PinError, fetch_root};
pub use serve::{ServeError, serve};
pub use services::{
    AssignmentStream, Assignments, BlobPiece, BlobPieces, BlobStream, CertificatesClient, CertificatesService,
    ControlCall, ControlClient, ControlService, DispatcherClient, DispatcherService, Endpoint, ImageGuideClient,
    ImageGuideService, ImagesClient, ImagesService, LogCall, LogClient, LogMessageStream, LogOrderStream, LogOrders,
    LogService, MembershipClient, MembershipService, RaftCall, RaftClient, RaftReply, RaftService, Server,
    SessionMessages, SessionStream, certificates_server, control_server, dispatcher_server, image_guide_server,
    images_server, log_server, membership_server, raft_server,
};
pub use status::{from_status, is_answer, leader_of, not_leader, to_status};
