//! Removing: in steps that can each be done again, the folder last.

use super::{Actor, Next};
use crate::container::{ContainerError, ContainerRecord, ContainerStatus};
use crate::document::{self, blocking};

/// 128 and `SIGKILL`.
const KILLED: i32 = 137;

impl Actor {
    /// Removes the container and all that came with it. Its volumes without names go where `with_volumes` says so.
    pub(super) async fn remove(&mut self, is_forced: bool, with_volumes: bool) -> Result<(), ContainerError> {
        if self.state.status.is_running() && !is_forced {
            let name = &self.cell.record().name;
            let words = if self.state.status == ContainerStatus::Paused {
                "container is paused and must be unpaused first"
            } else {
                "container is running: stop the container before removing or force remove"
            };
            return Err(ContainerError::Conflict(format!("cannot remove container \"/{name}\": {words}")));
        }
        let had_process = self.state.status.has_process();
        self.restart_at = None;
        // From here on it is gone, for whoever comes after a crash, too.
        self.update(|state| {
            state.status = ContainerStatus::Removing;
            if had_process {
                // Whoever waits hears of it now; how it ends is corrected below where it was quicker.
                state.exit_code = KILLED;
            }
            state.removes_volumes |= with_volumes;
            state.is_stopped = true;
        });
        self.leave_names();
        self.shared.runtime.discard(&self.cell.id).await?;
        self.container = None;
        self.disconnect().await;
        if had_process {
            let exit = match self.live.take() {
                Some(live) => live.ending.await.code,
                None => KILLED,
            };
            self.update(|state| {
                state.pid = 0;
                state.exit_code = exit;
                state.ends += 1;
            });
            self.tell("kill", [("signal", crate::signal::KILL.to_string())]);
            self.tell("die", [("exitCode", exit.to_string())]);
            self.tell_unmounts();
        }
        self.end_file_uses().await;
        let folder = self.cell.folder.clone();
        blocking(move || ContainerRecord::root(&folder).remove()).await?;
        self.shared.images.release(&self.cell.id).await?;
        self.shared.volumes.release(&self.cell.id, self.state.removes_volumes).await?;
        self.shared.execs.forget(&self.cell.id);
        let folder = self.cell.folder.clone();
        blocking(move || document::remove_folder(&folder)).await?;
        self.shared.registry.remove(&self.cell);
        self.tell("destroy", []);
        Ok(())
    }

    /// Removes a container that could not begin and asked to be removed at its end: whoever waits for that would wait for
    /// ever.
    pub(super) async fn follow_failed_start(&mut self) -> Next {
        match self.state.status {
            ContainerStatus::Created | ContainerStatus::Exited if self.cell.record().host_config.auto_remove => {
                self.remove_by_itself().await
            }
            ContainerStatus::Created
            | ContainerStatus::Exited
            | ContainerStatus::Running
            | ContainerStatus::Paused
            | ContainerStatus::Restarting
            | ContainerStatus::Removing
            | ContainerStatus::Dead => Next::Go,
        }
    }

    /// Removes a container that asked for it, now that it has ended.
    pub(super) async fn remove_by_itself(&mut self) -> Next {
        match self.remove(true, true).await {
            Ok(()) => Next::End,
            Err(error) => {
                tracing::warn!(container = %self.cell.id, %error, "a container could not be removed after its end");
                self.update(|state| state.status = ContainerStatus::Dead);
                Next::Go
            }
        }
    }
}
