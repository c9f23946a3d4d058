//! Images on a node: what is kept of them, how they come and go, what containers stand on.
//!
//! ```text
//! archive:  docker load, import ─┐
//! registry: docker pull ─────────┤
//! exchange: other nodes ─────────┴─> blobs ── unpack, safely ──> layers ── hold ──> Rootfs
//!                                      │                           │                  │ mount
//!           docker save, push, others <┴─ catalog: images, names ──┘            ContainerRoot: upper, merged
//!                                            │                                        │
//!           docker rmi, tag, prune, history ─┘                    docker diff, commit, export, cp
//! ```
//!
//! [`ImageStore`] is what there is, [`RegistryClient`] brings and fetches, [`ContainerRoot`] is what a container makes of
//! an image. The engine maps them to Docker's API, and keeps each container's [`Hold`] with the container.
//!
//! Layers, archives and registries are strangers' work: they are bounded, verified by digest, and resolved by the kernel
//! beneath their own root. A process may be killed at any instant: the catalog changes last and in one step, and what it
//! does not reach is collected at the next opening. What blocks runs on tokio's blocking threads; what is not async here
//! says so. `orchestrator/design/image.md` has the files on the disk and the rules.

#![cfg(target_os = "linux")]

mod archive;
mod body;
mod config;
mod digest;
mod error;
mod exchange;
mod history;
mod manifest;
mod platform;
mod progress;
mod reference;
mod registry;
mod root;
mod store;
mod unpack;

pub use archive::{Export, Import, Loaded};
pub use config::{Healthcheck, HistoryStep, ImageConfig, RootfsList, RunConfig};
pub use digest::{Digest, InvalidDigest};
pub use error::ImageError;
pub use exchange::{BlobSource, FetchError, Fetched, Offer};
pub use history::HistoryLine;
pub use manifest::{Descriptor, ManifestError};
pub use platform::{InvalidPlatform, Platform};
pub use progress::{Progress, ProgressLine, Silent};
pub use reference::{DEFAULT_DOMAIN, InvalidReference, Reference};
pub use registry::{
    Credentials, InvalidCredentials, Pulled, Pushed, RegistryClient, RegistryError, RegistrySettings, Resolved,
};
pub use root::{
    Change, ChangeKind, Commit, ContainerRoot, CopyError, CopyIn, Durability, FileStat, FileView, Held, ViewMount,
    is_mounted, unmount,
};
pub use store::{Hold, Image, ImageStore, PruneFilter, Pruned, Removal, Removed, Rootfs};
pub use unpack::{ArchiveError, LayerError, UnpackLimits};
