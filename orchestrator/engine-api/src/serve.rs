//! The listeners of the API, and what bounds a connection.

mod connection;
mod server;
mod tls;
mod unix_socket;

pub use server::{ApiServer, ServeError};
pub use unix_socket::{SocketError, UnixSocket};
