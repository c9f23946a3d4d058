//! Starting: the root is mounted, the files are written, volumes are filled, the runtime makes the container.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use runtime::{Bundle, Container, Phase, RuntimeError, StartFailure};

use super::live::Live;
use super::network::{Joined, position};
use super::{Actor, Next};
use crate::container::{Attachment, ContainerError, ContainerRecord, ContainerStatus, HealthState, populate};
use crate::document::{FileFailure, blocking};
use crate::settings::{self, MountKind, MountPoint, NetworkMode, Place, Position, Servers};
use crate::volume::Volumes;

impl Actor {
    /// Starts it because somebody asked; whether it did not run. Where `is_once`, only if it was never started.
    pub(super) async fn start_by_hand(&mut self, is_once: bool) -> Result<bool, ContainerError> {
        if is_once && self.state.started_at.is_some() {
            return Ok(false);
        }
        match self.state.status {
            ContainerStatus::Running => return Ok(false),
            ContainerStatus::Paused => {
                let words = "cannot start a paused container, try unpause instead";
                return Err(ContainerError::Conflict(words.to_owned()));
            }
            ContainerStatus::Removing | ContainerStatus::Dead => return Err(self.is_going()),
            ContainerStatus::Created | ContainerStatus::Restarting | ContainerStatus::Exited => {}
        }
        self.last_pause = None;
        self.start().await.map(|()| true)
    }

    /// Makes it ready to be started; what runs is ready.
    pub(super) async fn prepare_by_hand(&mut self) -> Result<Container, ContainerError> {
        match &self.container {
            Some(container) if self.state.status.has_process() => Ok(container.clone()),
            Some(_) | None if matches!(self.state.status, ContainerStatus::Removing | ContainerStatus::Dead) => {
                Err(self.is_going())
            }
            Some(_) | None => self.prepare(false).await,
        }
    }

    /// Starts it again by itself, its pause being over.
    pub(super) async fn start_again(&mut self) -> Next {
        let count = self.state.restart_count + 1;
        match self.start().await {
            Ok(()) => self.update(|state| state.restart_count = count),
            Err(error) => {
                tracing::warn!(container = %self.cell.id, %error, "a container could not be started again");
                self.update(|state| (state.restart_count, state.status) = (count, ContainerStatus::Exited));
            }
        }
        Next::Go
    }

    async fn start(&mut self) -> Result<(), ContainerError> {
        self.restart_at = None;
        let (container, pid, started_at) = match self.begin().await {
            Ok(started) => started,
            Err(error) => {
                self.give_up().await;
                let exit_code = exit_code_of(&error);
                let error_text = model::with_causes(&error);
                self.update(|state| {
                    if state.status == ContainerStatus::Restarting {
                        state.status = ContainerStatus::Exited;
                    }
                    (state.exit_code, state.error) = (exit_code, error_text);
                });
                return Err(error);
            }
        };
        let health = settings::health(&self.cell.record().config);
        let health_state = health.as_ref().map(|_| HealthState::default());
        let first = health
            .as_ref()
            .zip(health_state.as_ref())
            .map(|(health, state)| state.pause(health, std::time::Duration::ZERO));
        self.live = Some(Live::new(&container, health, first));
        self.container = Some(container);
        self.update(|state| {
            state.status = ContainerStatus::Running;
            state.pid = pid;
            state.started_at = Some(started_at);
            state.error = String::new();
            (state.exit_code, state.oom_killed, state.is_stopped) = (0, false, false);
            state.health = health_state;
        });
        self.tell_mounts();
        self.tell("start", []);
        Ok(())
    }

    /// Lets its program begin; its process, and when it began. Where nobody is attached it is made and begun in one
    /// step, which is quicker.
    async fn begin(&mut self) -> Result<(Container, u32, Timestamp), ContainerError> {
        let container = self.prepare(true).await?;
        let mut state = container.state()?;
        let mut pid = state.init.pid;
        if state.phase == Phase::Created {
            pid = container.start().await?;
            state = container.state()?;
        }
        // By the shim's word: it may have ended before this is read.
        Ok((container, pid, state.started_at.unwrap_or_else(Timestamp::now)))
    }

    /// Makes the container in the runtime, up to its program, or with it where it `starts_at_once`; one that is ready
    /// already is taken. Where it fails nothing of it is left.
    async fn prepare(&mut self, starts_at_once: bool) -> Result<Container, ContainerError> {
        let outcome = self.try_prepare(starts_at_once).await;
        if outcome.is_err() {
            self.give_up().await;
        }
        outcome
    }

    async fn try_prepare(&mut self, starts_at_once: bool) -> Result<Container, ContainerError> {
        if let Some(container) = self.container.take() {
            if container.state().is_ok_and(|state| state.phase == Phase::Created) {
                self.container = Some(container.clone());
                return Ok(container);
            }
            container.delete(false).await?;
        }
        let record = self.cell.record();
        let layers = self.shared.images.rootfs_of(&record.hold).await?;
        let folder = self.cell.folder.clone();
        let fills = !self.state.has_filled_volumes;
        let networking = self.find_networking(&record).await?;
        let position = position(&record, &networking.endpoints);
        let work = {
            let (record, volumes) = (Arc::clone(&record), self.shared.volumes.clone());
            move || -> Result<Vec<MountPoint>, ContainerError> {
                let root = ContainerRecord::root(&folder).mount(&layers, record.durability())?;
                write_files(&record, &folder, position.as_ref())?;
                sources(&record, &root, &volumes, fills)
            }
        };
        let mounts = blocking(work).await?;
        if fills {
            self.update(|state| state.has_filled_volumes = true);
        }
        // Its program begins in its networks.
        let starts_at_once = starts_at_once && networking.endpoints.is_empty();
        let bundle = Bundle { starts_at_once, ..self.bundle(&record, &mounts, networking.joined.as_ref())? };
        let container = match self.shared.runtime.create(&bundle).await {
            // Left by an earlier try that nobody waited for.
            Err(RuntimeError::Exists { .. }) => {
                self.shared.runtime.discard(&bundle.id).await?;
                self.shared.runtime.create(&bundle).await?
            }
            outcome => outcome?,
        };
        self.container = Some(container.clone());
        if !networking.endpoints.is_empty() {
            self.connect(&container).await?;
        }
        Ok(container)
    }

    fn bundle(
        &self,
        record: &ContainerRecord,
        mounts: &[MountPoint],
        joined: Option<&Joined>,
    ) -> Result<Bundle, ContainerError> {
        let folder = &self.cell.folder;
        let place = Place {
            id: record.id.clone(),
            rootfs: ContainerRecord::root(folder).merged(),
            files: joined.map_or(folder, |joined| &joined.folder).clone(),
            logs: folder.join("logs"),
            cgroup: self.shared.runtime.cgroup_of(&record.id),
            joins: joined.map(|joined| joined.namespace.clone()),
        };
        Ok(settings::bundle(&record.config, &record.host_config, mounts, &self.shared.node, &place)?)
    }

    /// Takes back what a start that failed has made.
    async fn give_up(&mut self) {
        if let Some(container) = self.container.take()
            && let Err(error) = container.delete(true).await
        {
            tracing::warn!(container = %self.cell.id, %error, "remains of a failed start stay until the next one");
        }
        self.disconnect().await;
        self.unmount().await;
    }

    /// Takes the mounts of its root and of its volumes away, once nobody uses its files. What stays is taken away before
    /// the next one.
    pub(super) async fn unmount(&mut self) {
        if self.keeps_root() {
            return;
        }
        let (cell, volumes) = (Arc::clone(&self.cell), self.shared.volumes.clone());
        let work = move || {
            if let Err(error) = ContainerRecord::root(&cell.folder).unmount() {
                tracing::warn!(container = %cell.id, %error, "the root of a container stays mounted");
            }
            if let Err(error) = volumes.end_uses(&cell.id) {
                tracing::warn!(container = %cell.id, %error, "a volume of a container stays mounted");
            }
        };
        blocking(work).await;
    }

    pub(super) fn is_going(&self) -> ContainerError {
        ContainerError::Conflict(format!("container {} is marked for removal", self.cell.id))
    }
}

/// What a shell would say of a program that did not begin.
fn exit_code_of(error: &ContainerError) -> i32 {
    let ContainerError::Runtime(RuntimeError::Start { failure, .. }) = error else { return 128 };
    match failure {
        StartFailure::NotFound => 127,
        StartFailure::NotExecutable => 126,
        StartFailure::Other => 128,
    }
}

/// Writes the container's own files of `/etc`, from the host's as they are now.
fn write_files(record: &ContainerRecord, folder: &Path, position: Option<&Position>) -> Result<(), ContainerError> {
    let network = NetworkMode::of(&record.config, &record.host_config)?;
    let files = [
        ("hosts", settings::hosts(&record.host_config, &network, position, &read("/etc/hosts"))?),
        ("resolv.conf", resolv_conf(record)?),
        ("hostname", format!("{}\n", record.config.hostname)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(FileFailure::at("write", &path))?;
    }
    Ok(())
}

/// `/etc/resolv.conf` of a container, from the host's as it is now.
pub(super) fn resolv_conf(record: &ContainerRecord) -> Result<String, ContainerError> {
    let network = NetworkMode::of(&record.config, &record.host_config)?;
    let servers = if record.attachments().iter().any(Attachment::has_names) {
        Servers::Own
    } else if network.has_addresses() {
        Servers::Reached
    } else {
        Servers::Hosts
    };
    let mut hosts_own = read("/etc/resolv.conf");
    if servers == Servers::Reached && settings::is_stub(&hosts_own) {
        // systemd's resolver on the host asks these.
        hosts_own = read("/run/systemd/resolve/resolv.conf");
    }
    Ok(settings::resolv_conf(&record.host_config, servers, &hosts_own)?)
}

/// A file of the host; empty where there is none.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The mounts with their sources: made where they may be, found where they must be, mounted where they lie elsewhere, and,
/// where it `fills` them, filled where they are new.
pub(super) fn sources(
    record: &ContainerRecord,
    root: &Path,
    volumes: &Volumes,
    fills: bool,
) -> Result<Vec<MountPoint>, ContainerError> {
    let mut found = record.mounts.clone();
    for mount in &mut found {
        match mount.kind {
            MountKind::Bind if mount.makes_source && !mount.source.exists() => {
                fs::create_dir_all(&mount.source).map_err(FileFailure::at("make", &mount.source))?;
            }
            MountKind::Bind => settings::check_bind(mount)?,
            MountKind::Volume => {
                if let Some(name) = mount.name.as_deref().and_then(|name| name.parse().ok()) {
                    volumes.begin_use(&name, &record.id)?;
                    if fills && mount.fills && mount.subpath.is_empty() {
                        volumes.fill(&name, |folder| populate::populate(root, &mount.destination, folder))?;
                    }
                }
                if !mount.subpath.is_empty() {
                    mount.source = populate::subfolder(&mount.source, &mount.subpath)?;
                    mount.subpath = String::new();
                }
            }
            MountKind::Tmpfs => {}
        }
    }
    Ok(found)
}
