//! Why something could not be done with a container.

use image::ImageError;
use network::NetworkError;
use resolver::ResolverError;
use runtime::RuntimeError;

use crate::document::FileFailure;
use crate::local_network::LocalNetworkError;
use crate::settings::InvalidSettings;
use crate::signal::InvalidSignal;
use crate::volume::VolumeError;

/// Why something could not be done with a container. Docker's words, where it has some.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// There is none of this name or id.
    #[error("No such container: {0}")]
    NoSuchContainer(String),
    /// Several ids begin so.
    #[error("Multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
    /// Another container has the name.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove (or \
         rename) that container to be able to reuse that name."
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        holder: String,
    },
    /// The container cannot be like this.
    #[error(transparent)]
    Invalid(#[from] InvalidSettings),
    /// The container is not in a state for this.
    #[error("{0}")]
    Conflict(String),
    /// There is no such program in a container.
    #[error("No such exec instance: {0}")]
    NoSuchExec(String),
    /// The image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A volume cannot be used.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A network cannot be used.
    #[error(transparent)]
    LocalNetwork(#[from] LocalNetworkError),
    /// It cannot be put into its network.
    #[error("failed to set up container networking")]
    Network(#[from] NetworkError),
    /// It has no name server.
    #[error("failed to set up container networking")]
    Resolver(#[from] ResolverError),
    /// The runtime did not do as asked.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The file system did not do as asked.
    #[error(transparent)]
    File(#[from] FileFailure),
    /// The work on containers has ended with the agent.
    #[error("the engine is shutting down")]
    Closed,
}

impl From<InvalidSignal> for ContainerError {
    fn from(error: InvalidSignal) -> Self {
        Self::Invalid(InvalidSettings(error.to_string()))
    }
}
