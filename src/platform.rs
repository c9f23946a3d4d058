//! What differs between the workstations that swarmup runs on. Nothing outside this module asks which one it is.
//!
//! | | Unix (Linux, macOS) | elsewhere (Windows) |
//! |---|---|---|
//! | files and folders | modes 0600 and 0700, given to the user behind sudo | the profile's own access rules |
//! | folders | synced, so that a rename survives a power cut | synced with the file |
//! | signals | SIGINT and SIGTERM | Ctrl-C |
//! | Docker's engine | at a socket | by an archive only |
//! | processes | found by number and start | not watched |
//! | locks of files | of the process: what it starts never holds them | of the handle, which no child inherits |

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as this;

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
use other as this;

pub use driver::keep::{create_private_dir, open_private, sync_dir};
pub use this::{
    CAN_WATCH_PROCESSES, Interrupts, caller_home, caller_name, client_on_socket, host_name, is_removed, leave_session,
    lock_holder, process_start, set_executable, try_lock,
};
