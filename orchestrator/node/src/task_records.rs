//! The tasks of the node on disk, one file each in `<data dir>/swarm/tasks`, so that the next agent goes on with them.
//!
//! A record is replaced whole, but not synced: containers end with the kernel that could lose it, and whoever kills the
//! agent loses none. A record that cannot be read is as none: the managers name the task again.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use agent::{KeptTask, TaskKeeper};
use async_trait::async_trait;
use model::{SwarmError, TaskId};
use tracing::warn;

use crate::disk::{Disk, DiskError, io, read_json};
use crate::record::blocking;

/// The tasks of a membership on disk.
#[derive(Debug, Clone)]
pub(crate) struct TaskRecords {
    folder: PathBuf,
}

impl TaskRecords {
    /// The records below a node's disk.
    pub(crate) fn new(disk: &Disk) -> Self {
        Self { folder: disk.swarm_dir().join("tasks") }
    }

    fn path(&self, task: &TaskId) -> PathBuf {
        self.folder.join(format!("{task}.json"))
    }

    fn read(&self) -> Result<Vec<KeptTask>, DiskError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("read", &self.folder)(error)),
        };
        let mut kept = Vec::new();
        for entry in entries {
            let path = entry.map_err(io("read", &self.folder))?.path();
            match read_json::<KeptTask>(&path) {
                Ok(Some(task)) if self.path(&task.task.id) == path => kept.push(task),
                Ok(_) => forget(&path)?,
                Err(error) => {
                    warn!(path = %path.display(), error = &error as &dyn std::error::Error, "a task's record is lost");
                    forget(&path)?;
                }
            }
        }
        Ok(kept)
    }

    fn write(&self, task: &KeptTask) -> Result<(), DiskError> {
        let path = self.path(&task.task.id);
        let bytes = serde_json::to_vec(task).map_err(|error| crate::disk::damaged(&path, error))?;
        let temporary = path.with_extension("new");
        let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let mut file = match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                DirBuilder::new().mode(0o700).recursive(true).create(&self.folder).map_err(io("make", &self.folder))?;
                open()
            }
            opened => opened,
        }
        .map_err(io("write", &temporary))?;
        file.write_all(&bytes).map_err(io("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(io("replace", &path))
    }
}

fn forget(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[async_trait]
impl TaskKeeper for TaskRecords {
    async fn load(&self) -> Vec<KeptTask> {
        let records = self.clone();
        blocking(move || records.read()).await.unwrap_or_else(|error| {
            warn!(%error, "the records of the node's tasks are lost");
            Vec::new()
        })
    }

    async fn keep(&self, task: &KeptTask) -> Result<(), SwarmError> {
        let (records, task) = (self.clone(), task.clone());
        blocking(move || records.write(&task)).await
    }

    async fn forget(&self, task: &TaskId) -> Result<(), SwarmError> {
        let path = self.path(task);
        blocking(move || forget(&path)).await
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::{Meta, ServiceId, Task, TaskRecord, TaskSpec, TaskState, TaskStatus};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn task(number: u64) -> KeptTask {
        let status = TaskStatus::new(TaskState::Running, "started", Timestamp::UNIX_EPOCH);
        let state = TaskRecord {
            service_id: ServiceId::generate(&mut StdRng::seed_from_u64(0)),
            service_name: "web".to_owned(),
            service_labels: std::collections::BTreeMap::new(),
            spec_revision: 1,
            slot: number,
            job_iteration: None,
            node_id: None,
            desired: TaskState::Running,
            status: status.clone(),
            ports: Vec::new(),
            log_driver: None,
            registry_auth: None,
        };
        let id = TaskId::generate(&mut StdRng::seed_from_u64(number));
        KeptTask { task: Task { id, meta: Meta::default(), spec: TaskSpec::default(), state }, status }
    }

    #[tokio::test]
    async fn tasks_are_found_again_and_what_is_damaged_is_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let records = TaskRecords::new(&Disk::new(folder.path().to_owned()));
        assert!(records.load().await.is_empty());
        for number in [1, 2, 3] {
            records.keep(&task(number)).await.unwrap();
        }
        fs::write(records.path(&task(2).task.id), "{").unwrap();
        fs::write(records.folder.join("left.new"), "{}").unwrap();
        records.forget(&task(3).task.id).await.unwrap();
        records.forget(&task(3).task.id).await.unwrap();

        assert_eq!(records.load().await, [task(1)]);

        let left: Vec<_> = fs::read_dir(&records.folder).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
