//! Ending all containers of an engine that has ended, on a host that is to do without them: its agent was stopped for good,
//! or it goes down.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use links::cgroup;
use runtime::{Adopted, Container, RuntimeError};

use crate::container::{ContainerRecord, last_end};
use crate::describe::{EngineOpenError, FOLDER, RUNTIME_FOLDER};
use crate::{identity, settings};

/// The longest that a container may take to end, whatever it asks for: a host that goes down waits for it, and who shuts
/// hosts down gives services 90 s or less. Three times what a container has where nobody says.
const LONGEST_GRACE: Duration = Duration::from_secs(30);

/// Ends all containers of the engine whose state is in these directories, all at once: each by its signal, and by force once
/// its grace is over. The engine must have ended; the next one finds that they have, and starts those again that are to
/// run by their restart policy. Fine where there is none. One that cannot be ended keeps no other from it.
pub async fn end_containers(data_dir: &Path, run_dir: &Path) -> Result<(), EngineOpenError> {
    let Some(id) = identity::read(data_dir)? else { return Ok(()) };
    let found = Adopted::find(&run_dir.join(RUNTIME_FOLDER), &cgroup::containers_group(&id)?).await;
    let containers = found.map_err(EngineOpenError::Runtime)?.containers;
    let folder = data_dir.join(FOLDER).join("containers");
    let ended = join_all(containers.iter().map(|container| end(container, &folder))).await;
    ended.into_iter().collect::<Result<(), _>>().map_err(EngineOpenError::Runtime)
}

async fn end(container: &Container, folder: &Path) -> Result<(), RuntimeError> {
    // What has no record was never made whole, or is being removed.
    let folder = folder.join(container.id());
    let record = ContainerRecord::read(&folder).ok().flatten();
    let config = record.map(|record| record.config).unwrap_or_default();
    let grace = settings::stop_grace(&config).map_or(LONGEST_GRACE, |grace| grace.min(LONGEST_GRACE));
    if container.is_paused() {
        // What stands still hears no signal.
        container.resume().await?;
    }
    let exit = container.stop(settings::stop_signal(&config), grace).await?;
    if let Err(error) = last_end::keep(&folder, &exit) {
        tracing::warn!(container = container.id(), %error, "nobody will know how a container has ended");
    }
    Ok(())
}
