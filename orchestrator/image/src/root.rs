//! The root of a container: an image's layers below, a folder of its own above, mounted as one by overlayfs.
//!
//! ```text
//! <container's folder>/upper    what the container changed
//!                     /work     overlayfs's own
//!                     /merged   the mount: upper over the image's layers
//!                     /boot     in which boot it was mounted last
//! ```
//!
//! Mounting and unmounting may run twice, and block for milliseconds: async code uses `spawn_blocking`.

mod changes;
mod commit;
mod layout;
mod mount;
mod pack;
mod walk;

pub use changes::{Change, ChangeKind};
pub use commit::Commit;
pub use layout::ContainerRoot;
pub use mount::Durability;
