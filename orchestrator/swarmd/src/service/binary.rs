//! The agent's binary on its way into its place, and back out of it where it does not come up there.
//!
//! One that lies beside its place changes places with the one before, which is then at hand until the new one serves. A
//! binary from anywhere else is copied, and what was there before is gone.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use super::error::ServiceError;
use super::running::same_content;
use crate::layout;

/// What putting the running binary in its place has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is there, and there is none to go back to.
    ForGood,
    /// It is there, and the one before lies beside.
    BeforeLiesBeside,
}

/// Puts the running binary in its place, unless its like is there already. One at a time on a host: an installation whose
/// operator was cut off may still be under way.
pub(crate) fn put_in_place() -> Result<Placed, ServiceError> {
    let place = Path::new(layout::BINARY);
    let _turn = wait_for_turn(place).map_err(|source| ServiceError::file("lock the folder of", place, source))?;
    // Another may lie by now where this one was started from.
    let running = Path::new("/proc/self/exe");
    if same_content(running, place).map_err(|source| ServiceError::file("read", running, source))? {
        return Ok(Placed::ForGood);
    }
    let own = std::env::current_exe().map_err(|source| ServiceError::file("find", running, source))?;
    let placed = if own == Path::new(layout::NEXT_BINARY) { exchange(&own, place) } else { copy(running, place) };
    placed.map_err(|source| ServiceError::file("write", place, source))
}

/// Puts the binary before back in its place.
pub(crate) fn put_back() -> Result<(), ServiceError> {
    fs::rename(layout::NEXT_BINARY, layout::BINARY)
        .map_err(|source| ServiceError::file("put back", layout::BINARY, source))
}

/// Removes what lies beside the place.
pub(crate) fn clear() -> Result<(), ServiceError> {
    match fs::remove_file(layout::NEXT_BINARY) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ServiceError::file("remove", layout::NEXT_BINARY, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Locks the folder of the place, which leaves nothing behind, until what is returned is dropped.
fn wait_for_turn(place: &Path) -> io::Result<Option<fs::File>> {
    let Some(folder) = place.parent() else { return Ok(None) };
    fs::create_dir_all(folder)?;
    let folder = fs::File::open(folder)?;
    flock(&folder, FlockOperation::LockExclusive)?;
    Ok(Some(folder))
}

fn exchange(own: &Path, place: &Path) -> io::Result<Placed> {
    fs::File::open(own)?.sync_all()?;
    match renameat_with(CWD, own, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(Placed::BeforeLiesBeside),
        // There is none before, or the file system cannot.
        Err(_) => fs::rename(own, place).map(|()| Placed::ForGood),
    }
}

fn copy(own: &Path, place: &Path) -> io::Result<Placed> {
    let draft = place.with_extension("draft");
    let content = fs::read(own)?;
    let mut file = fs::File::create(&draft)?;
    file.write_all(&content)?;
    file.set_permissions(Permissions::from_mode(0o755))?;
    file.sync_all()?;
    fs::rename(&draft, place).map(|()| Placed::ForGood)
}
