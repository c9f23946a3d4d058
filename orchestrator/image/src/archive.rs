//! Images as archives: what `docker save` writes and `docker load` and `docker import` read.

mod bundle;
mod import;
mod load;
mod save;

pub use import::Import;
pub use load::Loaded;
pub use save::Export;
