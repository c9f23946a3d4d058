//! Taking an engine away from its machine: its containers, what is mounted for them, their control groups, and
//! the bridge that they were in.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use links::cgroup::{self, ControlGroup};
use runtime::Adopted;

use crate::container::{ContainerRecord, ContainersError, host_of};
use crate::describe::{EngineOpenError, FOLDER, RUNTIME_FOLDER};
use crate::document::{FileFailure, blocking};
use crate::{identity, volume};

/// Below this are the groups of engines that have no other place.
const OURS: &str = "swarmup";

/// Ends and removes all containers of the engine whose state is in these directories, so that they can be removed, and
/// puts the host's network back as it was. The engine must have ended. Fine where there is none.
pub async fn remove_containers(data_dir: &Path, run_dir: &Path) -> Result<(), EngineOpenError> {
    let Some(id) = identity::read(data_dir)? else { return Ok(()) };
    let group = cgroup::containers_group(&id)?;
    let found = Adopted::find(&run_dir.join(RUNTIME_FOLDER), &group).await;
    for container in found.map_err(EngineOpenError::Runtime)?.containers {
        container.delete(true).await.map_err(EngineOpenError::Runtime)?;
    }
    let folder = data_dir.join(FOLDER);
    let host = host_of(&folder, id);
    let unmounted = blocking(move || -> Result<(), ContainersError> {
        unmount_all(&folder.join("containers"))?;
        volume::unmount_all(&folder.join("volumes")).map_err(ContainersError::Volumes)
    });
    unmounted.await?;
    blocking(move || network::remove(&host)).await.map_err(EngineOpenError::Network)?;
    ControlGroup::new(group)?.remove()?;
    ControlGroup::new(OURS)?.remove_if_empty();
    Ok(())
}

fn unmount_all(folder: &Path) -> Result<(), ContainersError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FileFailure::at("list", folder)(error).into()),
    };
    let roots = entries.flatten().map(|entry| ContainerRecord::root(&entry.path()));
    roots.into_iter().try_for_each(|root| root.remove().map_err(ContainersError::Images))
}
