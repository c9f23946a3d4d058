//! Ending: by a signal, by force, by itself; and what follows from it.

use std::time::Duration;

use links::Process;
use runtime::{Container, Exit, Phase, RuntimeError};
use tokio::time::Instant;

use super::live::{Live, unseen};
use super::{Actor, Next};
use crate::container::restart::{self, Occasion};
use crate::container::{ContainerError, ContainerStatus, HealthState, last_end};
use crate::settings;
use crate::signal;

impl Actor {
    /// Asks the program to end, and sets the moment of force; whether it ran.
    pub(super) async fn stop(&mut self, signal: i32, grace: Option<Duration>) -> Result<bool, ContainerError> {
        match self.state.status {
            ContainerStatus::Restarting => {
                self.restart_at = None;
                self.update(|state| (state.status, state.is_stopped) = (ContainerStatus::Exited, true));
                self.tell("stop", []);
                return Ok(true);
            }
            ContainerStatus::Running | ContainerStatus::Paused => {}
            ContainerStatus::Created | ContainerStatus::Exited => {
                self.update(|state| state.is_stopped = true);
                return Ok(false);
            }
            ContainerStatus::Removing | ContainerStatus::Dead => return Ok(false),
        }
        self.update(|state| state.is_stopped = true);
        if self.state.status == ContainerStatus::Paused {
            self.pause(false).await?;
        }
        self.signal(signal).await?;
        if let Some(live) = &mut self.live {
            live.is_stopping = true;
            // A grace that the clock cannot reach is as good as none that ends.
            let moment = grace.and_then(|grace| Instant::now().checked_add(grace));
            // Of two who ask, the less patient one.
            live.kill_at = match (live.kill_at, moment) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        Ok(true)
    }

    /// Sends a signal because somebody asked.
    pub(super) async fn kill(&mut self, signal: i32) -> Result<(), ContainerError> {
        if self.running().is_err() {
            let words = format!("cannot kill container: {}: container {0} is not running", self.cell.id);
            return Err(ContainerError::Conflict(words));
        }
        // Whoever ends a program by hand does not want it back.
        if matches!(signal, signal::KILL | signal::TERM) || signal == settings::stop_signal(&self.cell.record().config)
        {
            self.update(|state| state.is_stopped = true);
        }
        self.signal(signal).await
    }

    /// The grace is over.
    pub(super) async fn force(&mut self) -> Next {
        if let Some(live) = &mut self.live {
            live.kill_at = None;
        }
        if let Err(error) = self.signal(signal::KILL).await {
            tracing::warn!(container = %self.cell.id, %error, "a container could not be ended by force");
        }
        Next::Go
    }

    /// Sends a signal; one that has ended meanwhile is fine.
    async fn signal(&mut self, signal: i32) -> Result<(), ContainerError> {
        let container = self.running()?;
        match container.signal(signal).await {
            Ok(()) | Err(RuntimeError::ShimGone { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if signal == signal::KILL && self.state.status == ContainerStatus::Paused {
            self.update(|state| state.status = ContainerStatus::Running);
        }
        self.tell("kill", [("signal", signal.to_string())]);
        Ok(())
    }

    /// Makes the program stand still, or run again.
    pub(super) async fn pause(&mut self, is_paused: bool) -> Result<(), ContainerError> {
        let id = &self.cell.id;
        let container = self.running()?;
        match (self.state.status, is_paused) {
            (ContainerStatus::Paused, true) => {
                return Err(ContainerError::Conflict(format!("container {id} is already paused")));
            }
            (ContainerStatus::Running, false) => {
                return Err(ContainerError::Conflict(format!("container {id} is not paused")));
            }
            _ => {}
        }
        let (status, action) = if is_paused {
            container.pause().await?;
            (ContainerStatus::Paused, "pause")
        } else {
            container.resume().await?;
            (ContainerStatus::Running, "unpause")
        };
        self.update(|state| state.status = status);
        self.tell(action, []);
        Ok(())
    }

    /// The program has ended.
    pub(super) async fn end(&mut self, exit: Exit) -> Next {
        let is_stopping = self.live.take().is_some_and(|live| live.is_stopping);
        let ran_for = self.running_for();
        // Whoever hears of the end may want its ports.
        self.disconnect().await;
        self.note_end(exit, ran_for, is_stopping);
        let record = self.cell.record();
        // Mounts go before anybody is told of a restart; whoever waits for the end has been told already.
        self.unmount().await;
        if record.host_config.auto_remove {
            return self.remove_by_itself().await;
        }
        if self.state.status == ContainerStatus::Restarting {
            let pause = restart::pause(self.last_pause, ran_for);
            self.last_pause = Some(pause);
            self.restart_at = Some(Instant::now() + pause);
        }
        Next::Go
    }

    /// Notes how it ended, in one step with whether it is to be started again, so that nobody sees it end for good.
    fn note_end(&mut self, exit: Exit, ran_for: Duration, is_stopping: bool) {
        let record = self.cell.record();
        let (code, oom_killed) = (exit.code, exit.oom_killed);
        self.update(|state| {
            state.pid = 0;
            state.exit_code = exit.code;
            state.oom_killed = exit.oom_killed;
            state.error = exit.error.unwrap_or_default();
            state.finished_at = Some(exit.finished_at);
            state.ends += 1;
            let policy = &record.host_config.restart_policy;
            let is_restarted = restart::is_restarted(policy, state, Occasion::Ended);
            state.status = if is_restarted { ContainerStatus::Restarting } else { ContainerStatus::Exited };
        });
        if oom_killed {
            self.tell("oom", []);
        }
        self.tell("die", [("exitCode", code.to_string()), ("execDuration", ran_for.as_secs().to_string())]);
        self.tell_unmounts();
        if is_stopping {
            self.tell("stop", []);
        }
    }

    /// Takes up what the runtime has of a container that an earlier engine made, and finishes what that one began.
    pub(super) async fn take_up(&mut self, container: Option<Container>) -> Next {
        if self.state.status == ContainerStatus::Removing {
            let with_volumes = self.state.removes_volumes;
            self.container = container;
            return match self.remove(true, with_volumes).await {
                Ok(()) => Next::End,
                Err(error) => {
                    tracing::warn!(container = %self.cell.id, %error, "a container could not be removed");
                    self.update(|state| state.status = ContainerStatus::Dead);
                    Next::Go
                }
            };
        }
        let known = container.as_ref().and_then(|container| container.state().ok());
        match known {
            Some(known) if known.phase == Phase::Running => {
                let container = container.expect("its state was read");
                let health = settings::health(&self.cell.record().config);
                let status = if container.is_paused() { ContainerStatus::Paused } else { ContainerStatus::Running };
                let has_health = health.is_some();
                self.hold_volumes().await;
                self.live = Some(Live::new(&container, health, has_health.then_some(Duration::ZERO)));
                self.container = Some(container);
                let process = Process { pid: known.init.pid, started: known.init.started };
                if let Err(error) = self.serve_names(process).await {
                    let error = model::with_causes(&error);
                    tracing::warn!(container = %self.cell.id, error, "a container has no name server any more");
                }
                self.update(|state| {
                    (state.status, state.pid) = (status, known.init.pid);
                    state.started_at = known.started_at.or(state.started_at);
                    if state.health.is_none() && has_health {
                        state.health = Some(HealthState::default());
                    }
                });
                Next::Go
            }
            Some(known) if known.phase == Phase::Exited => {
                self.container = container;
                let is_news = known.exit.as_ref().is_some_and(|exit| self.state.finished_at != Some(exit.finished_at));
                match known.exit {
                    Some(exit) if is_news && known.started_at.is_some() => {
                        self.update(|state| state.started_at = known.started_at);
                        self.end(exit).await
                    }
                    Some(_) | None => self.rest().await,
                }
            }
            Some(_) | None => {
                self.container = container;
                if let Some(container) = self.container.take()
                    && let Err(error) = container.delete(true).await
                {
                    tracing::warn!(container = %self.cell.id, %error, "remains of a container stay");
                }
                self.rest().await
            }
        }
    }

    /// It does not run, and nothing of it is mounted. One that ran when the engine was there last has ended since: with the
    /// host, or unseen.
    async fn rest(&mut self) -> Next {
        if self.state.status.has_process() {
            let kept = last_end::of(&self.cell.folder, self.state.started_at);
            return self.end(kept.unwrap_or_else(|| unseen(None))).await;
        }
        if self.state.status == ContainerStatus::Restarting {
            self.update(|state| state.status = ContainerStatus::Exited);
        }
        self.disconnect().await;
        self.unmount().await;
        Next::Go
    }
}
