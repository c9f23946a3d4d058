//! The root of a container: an image's layers below, a folder of its own above, mounted as one by overlayfs.
//!
//! ```text
//! <container's folder>/upper    what the container changed
//!                     /work     overlayfs's own
//!                     /merged   the mount: upper over the image's layers
//!                     /boot     in which boot it was mounted last
//! ```
//!
//! Mounting and unmounting may run twice, and block for milliseconds: async code uses `spawn_blocking`. [`FileView`] is
//! what the container sees of it with its volumes, for `docker cp`.

mod changes;
mod commit;
mod copy_error;
mod copy_in;
mod copy_out;
mod entry_name;
mod layout;
mod mount;
mod pack;
mod place;
mod view;
mod walk;

pub use changes::{Change, ChangeKind};
pub use commit::Commit;
pub use copy_error::CopyError;
pub use copy_in::CopyIn;
pub use layout::ContainerRoot;
pub use mount::{Durability, is_mounted, unmount};
pub use place::FileStat;
pub use view::{FileView, Held, ViewMount};
