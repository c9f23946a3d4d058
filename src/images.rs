//! Images on their way from this workstation to a cluster: only what is missing there is sent.
//!
//! ```text
//!  a file, standard input, the Docker engine here ──> archive: what lies where, by digest
//!                                                        │ which of these layers are lacking? ── a manager
//!                                                        └──> parcel: the archive without the rest ──> POST /images/load
//! ```
//!
//! The other nodes take the images from the one that has them, as their tasks need them.

mod archive;
mod docker;
mod parcel;
#[cfg(test)]
mod testing;

pub use archive::{ArchiveError, ImageArchive, spool};
pub use docker::{DockerError, LocalDocker};
pub use parcel::Parcel;

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
