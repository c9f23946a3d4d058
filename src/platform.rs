//! What differs between the workstations that swarmup runs on. Nothing outside this module asks which one it is.
//!
//! | | Unix (Linux, macOS) | elsewhere (Windows) |
//! |---|---|---|
//! | files and folders | modes 0600 and 0700, given to the user behind sudo | the profile's own access rules |
//! | folders | synced, so that a rename survives a power cut | synced with the file |
//! | signals | SIGINT and SIGTERM | Ctrl-C |

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as this;

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
use other as this;

pub use this::{
    Interrupts, caller_home, caller_name, create_private_dir, give_to_caller, host_name, open_private, set_executable,
    sync_dir,
};
