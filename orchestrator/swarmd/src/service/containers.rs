//! What becomes of the node's containers when its agent is gone: they live on without it, unless somebody ends them.

use std::path::Path;

use engine::EngineOpenError;

use super::error::ServiceError;
use crate::layout;

/// Ends them in order, on a host that is to do without its node; their state stays.
pub(super) fn end() -> Result<(), ServiceError> {
    done(engine::end_containers(Path::new(layout::DATA_DIR), Path::new(layout::RUN_DIR)))
}

/// Ends them by force and removes them with all that was made of the host for them.
pub(super) fn remove() -> Result<(), ServiceError> {
    done(engine::remove_containers(Path::new(layout::DATA_DIR), Path::new(layout::RUN_DIR)))
}

fn done(work: impl Future<Output = Result<(), EngineOpenError>>) -> Result<(), ServiceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| ServiceError::file("use", layout::RUN_DIR, source))?;
    runtime.block_on(work).map_err(|source| ServiceError::Containers(Box::new(source)))
}
