//! Real handshakes and calls over loopback.

mod calls;
mod handshake;
mod liveness;
mod rotation;
