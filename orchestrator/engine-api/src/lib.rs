//! The Docker Engine API of a node: what the stock `docker` CLI and Docker's SDKs speak to.
//!
//! ```text
//! unix socket (root only) ┐                  version off, headers on
//!                         ├─ serve ── peer ── api ── routes ── node::SwarmNode, engine::Engine
//! TLS 2376 (client CA)    ┘                    404, 501   └──── views: objects as Docker shows them
//! ```
//!
//! Nothing is decided here: a route reads its request as Docker does, asks the node, and answers in Docker's form.
//! `orchestrator/design/engine-api.md` lists the calls that stand and the rules that all of them keep.

#![forbid(unsafe_code)]

mod api;
mod body;
mod changes;
mod detach_keys;
mod error;
mod filters;
mod frames;
mod glob;
mod hijack;
mod image_name;
mod lookup;
mod moment;
mod path;
mod progress;
mod query;
mod registry_auth;
mod relay;
mod respond;
mod routes;
mod serve;
mod spec;
mod unserved;
mod version;
mod views;
mod web_socket;

pub use serve::{ApiServer, ServeError, SocketError, UnixSocket};
