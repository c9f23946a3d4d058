//! Ends and removes what is left of containers: processes, control groups, folders.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use links::cgroup::ControlGroup;

use super::relative;
use crate::RuntimeError;
use crate::cgroup::Group;
use crate::shim::SHIM;
use crate::state::{self, Exit, Phase, ProcessId, STATE, State};

/// How long a process that was killed may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Removes a container whole, whatever state it is in: its shim, its processes, its control group, its folder. What is
/// gone already is fine.
pub(super) fn remove(folder: &Path, cgroup: &Path) -> Result<(), RuntimeError> {
    if let Ok(shim) = state::read::<ProcessId>(&folder.join(SHIM)) {
        end(shim)?;
    }
    end_group(cgroup)?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RuntimeError::at("remove", folder, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Ends the processes of a container whose shim is gone, and says so in its state, unless the shim still did.
pub(super) fn end_lost(folder: &Path, cgroup: &Path) -> Result<Exit, RuntimeError> {
    let place = folder.join(STATE);
    let mut state: State = state::read(&place)?;
    end(state.shim)?;
    // Read again: it may have written its last word meanwhile.
    state = state::read(&place)?;
    let oom_killed = Group::new(cgroup).oom_kills() > 0;
    end_group(cgroup)?;
    if let Some(exit) = state.exit {
        return Ok(exit);
    }
    let exit = Exit {
        code: 137,
        signal: Some(9),
        oom_killed,
        finished_at: jiff::Timestamp::now(),
        error: Some("its shim was lost".to_owned()),
    };
    state.phase = Phase::Exited;
    state.exit = Some(exit.clone());
    state::write(&place, &state)?;
    Ok(exit)
}

/// Ends and removes the groups below `cgroups` that are not in `known`; returns their names.
pub(super) fn groups(cgroups: &Path, known: &BTreeSet<OsString>) -> Result<Vec<String>, RuntimeError> {
    let mut removed = Vec::new();
    for name in ControlGroup::new(relative(cgroups))?.children() {
        if !known.contains(&OsString::from(&name)) {
            end_group(&cgroups.join(&name))?;
            removed.push(name);
        }
    }
    Ok(removed)
}

/// Ends a process and waits until it has; one that has is fine.
pub(super) fn end(process: ProcessId) -> Result<(), RuntimeError> {
    let Some(handle) = process.process().open()? else { return Ok(()) };
    handle.kill()?;
    handle.wait(END_LIMIT)?;
    Ok(())
}

fn end_group(cgroup: &Path) -> Result<(), RuntimeError> {
    let group = ControlGroup::new(relative(cgroup))?;
    if Group::new(cgroup).is_frozen() {
        // What stands still cannot be killed, in version 1.
        Group::new(cgroup).thaw()?;
    }
    group.kill()?;
    group.remove()?;
    Ok(())
}
