//! Why a host could not be reached, or would not do what it was asked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a host could not be reached, or would not do what it was asked. `peer` is `user@host:port`.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// Nothing answers at the address.
    #[error("{peer} cannot be reached")]
    Unreachable {
        /// Whom.
        peer: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host answers, but nobody listens at the port.
    #[error("{peer} refuses connections: no SSH server listens there")]
    Refused {
        /// Whom.
        peer: String,
    },
    /// The host did not answer in time.
    #[error("{peer} did not answer within {} s while trying to {action}", timeout.as_secs_f32())]
    TimedOut {
        /// Whom.
        peer: String,
        /// What was tried.
        action: &'static str,
        /// How long.
        timeout: Duration,
    },
    /// The host shows another key than the one that was pinned.
    #[error("the host key of {peer} has changed: expected {expected}, it shows {offered}")]
    HostKeyChanged {
        /// Whom.
        peer: String,
        /// The fingerprint that was pinned.
        expected: String,
        /// The fingerprint that it shows.
        offered: String,
    },
    /// The text given as host key is none.
    #[error("`{text}` is neither an OpenSSH public key nor a fingerprint such as SHA256:…")]
    InvalidHostKey {
        /// The text.
        text: String,
    },
    /// The host took none of the keys.
    #[error("{peer} accepts none of the keys offered ({tried})")]
    Unauthorized {
        /// Whom.
        peer: String,
        /// The keys: the file, or those of the agent.
        tried: String,
    },
    /// The key file needs a passphrase.
    #[error("the key `{}` is protected by a passphrase", path.display())]
    KeyEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be used.
    #[error("failed to read the key `{}`", path.display())]
    KeyUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No key file was named and no agent can be asked.
    #[error("there is no SSH key to log in to {peer} with: {reason}")]
    NoKey {
        /// Whom.
        peer: String,
        /// What is wrong with the agent.
        reason: String,
    },
    /// The user is not root, and sudo asks for a password.
    #[error("sudo on {peer} asks for a password")]
    SudoWantsPassword {
        /// Whom.
        peer: String,
    },
    /// The user is not root, and may not become root.
    #[error("the user of {peer} is not root and may not use sudo: {reason}")]
    NotRoot {
        /// Whom.
        peer: String,
        /// What the host said.
        reason: String,
    },
    /// A command that had to succeed did not.
    #[error("`{command}` on {peer} ended with exit code {status}: {stderr}")]
    Failed {
        /// Where.
        peer: String,
        /// The command, cut short.
        command: String,
        /// Its exit code.
        status: i32,
        /// The last line of its standard error.
        stderr: String,
    },
    /// A command took too long and was ended.
    #[error("`{command}` on {peer} did not end within {} s", timeout.as_secs_f32())]
    CommandTimedOut {
        /// Where.
        peer: String,
        /// The command, cut short.
        command: String,
        /// How long it was given.
        timeout: Duration,
    },
    /// The session broke.
    #[error("the session with {peer} broke")]
    Disconnected {
        /// With whom.
        peer: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What arrived is not what was sent.
    #[error("`{path}` on {peer} differs from what was sent: expected sha256 {expected}, it has {found}")]
    Corrupted {
        /// Where.
        peer: String,
        /// The file.
        path: String,
        /// The digest of what was sent.
        expected: String,
        /// The digest of what arrived.
        found: String,
    },
    /// A file of this workstation cannot be used.
    #[error("failed to {action} `{}`", path.display())]
    LocalFile {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process whose namespaces were to be entered is gone.
    #[error("the machine behind process {pid} is not running")]
    Gone {
        /// The process.
        pid: u32,
    },
    /// The machine cannot do this at all.
    #[error("{peer} cannot {action}")]
    Unsupported {
        /// Whom.
        peer: String,
        /// What.
        action: &'static str,
    },
    /// The host answered something that cannot be understood.
    #[error("{peer} gave an answer that cannot be understood while trying to {action}: {answer}")]
    BadAnswer {
        /// Who.
        peer: String,
        /// What was tried.
        action: &'static str,
        /// The answer, cut short.
        answer: String,
    },
}

impl ReachError {
    /// Whether trying again may help: the host may be on its way up.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Refused { .. } | Self::TimedOut { .. } | Self::Disconnected { .. } => true,
            Self::HostKeyChanged { .. }
            | Self::InvalidHostKey { .. }
            | Self::Unauthorized { .. }
            | Self::KeyEncrypted { .. }
            | Self::KeyUnreadable { .. }
            | Self::NoKey { .. }
            | Self::SudoWantsPassword { .. }
            | Self::NotRoot { .. }
            | Self::Failed { .. }
            | Self::CommandTimedOut { .. }
            | Self::Corrupted { .. }
            | Self::LocalFile { .. }
            | Self::Gone { .. }
            | Self::Unsupported { .. }
            | Self::BadAnswer { .. } => false,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                "check the address, that the host is up, and that no firewall drops SSH on the way"
            }
            Self::Refused { .. } => "check the port, and that sshd runs on the host",
            Self::HostKeyChanged { .. } => {
                "if the host was set up anew, give its new key; if not, somebody may be answering in its place"
            }
            Self::InvalidHostKey { .. } => "take the line that `ssh-keyscan HOST` prints, without the host's name",
            Self::Unauthorized { .. } => {
                "give the key whose public half is in the user's authorized_keys on the host, and check the user's name"
            }
            Self::KeyEncrypted { .. } => "load it into the agent with `ssh-add`, and leave the key file out",
            Self::KeyUnreadable { .. } => "a private key in OpenSSH's format is expected, as `ssh-keygen` writes it",
            Self::NoKey { .. } => "name a key file, or start an agent (SSH_AUTH_SOCK) and load a key with `ssh-add`",
            Self::SudoWantsPassword { .. } => {
                "log in as root, or let the user run sudo without one (NOPASSWD in /etc/sudoers.d)"
            }
            Self::NotRoot { .. } => "log in as root, or as a user who may run sudo without a password",
            Self::Corrupted { .. } => "check the host's disk, and try again",
            Self::Failed { .. }
            | Self::CommandTimedOut { .. }
            | Self::Disconnected { .. }
            | Self::LocalFile { .. }
            | Self::Gone { .. }
            | Self::Unsupported { .. }
            | Self::BadAnswer { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
