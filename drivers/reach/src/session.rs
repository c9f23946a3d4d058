//! A session with a host: what phases and drivers may ask of it, whoever carries it.

use std::fmt::Debug;
use std::path::Path;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Command, CommandLine, Output, ReachError, Upload, Uploaded};

/// One session with a host, shared by all that is done there; commands may run side by side.
#[async_trait]
pub trait Session: Debug + Send + Sync {
    /// Whom it is with, for messages: `user@host:port`.
    fn peer(&self) -> &str;

    /// The key (OpenSSH public key) that the host showed, to be pinned; absent where no key is needed.
    fn host_key(&self) -> Option<&str>;

    /// Runs a command to its end, whatever its exit code.
    async fn run(&self, command: &Command) -> Result<Output, ReachError>;

    /// Puts a file on the host as root, verified; what has the same digest already is not sent.
    async fn upload(&self, upload: &Upload) -> Result<Uploaded, ReachError>;

    /// Runs a command, or a login shell, with this process's own standard input and output; returns its exit code.
    async fn interact(&self, interaction: &Interaction) -> Result<i32, ReachError>;

    /// Copies a file or folder of this workstation to the host, with the meaning of `scp`: into a folder that exists,
    /// else under the name given. A path that does not start with `/` starts at the user's home.
    async fn send(&self, local: &Path, remote: &str, copy: CopyOptions) -> Result<(), ReachError>;

    /// Copies a file or folder of the host to this workstation, with the meaning of `scp`.
    async fn fetch(&self, remote: &str, local: &Path, copy: CopyOptions) -> Result<(), ReachError>;

    /// Opens a stream to a socket that the host can reach.
    async fn forward(&self, target: &ForwardTarget) -> Result<Box<dyn Duplex>, ReachError>;

    /// Whether the session can still be used.
    fn is_open(&self) -> bool;

    /// Ends the session.
    async fn close(&self);
}

/// What the user of `swarmup ssh` wants to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction {
    /// The command; absent: a login shell.
    pub command: Option<CommandLine>,
    /// Whether it gets a terminal: yes for a shell, and for a command where the user sits at one and asks for it.
    pub has_terminal: bool,
    /// Whether it runs as root.
    pub is_as_root: bool,
}

/// How files are copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// Folders too.
    pub is_recursive: bool,
    /// Read and write as root on the host.
    pub is_as_root: bool,
}

/// A socket that the host can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardTarget {
    /// By TCP, as seen from the host.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A unix socket of the host; the user must be allowed to open it.
    Unix {
        /// Its path.
        path: String,
    },
}

/// A stream of bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
