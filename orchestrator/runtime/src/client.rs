//! The agent's side: makes containers, finds those that an earlier agent made, and collects what is left of others.

mod attachment;
mod collect;
mod container;
mod executable;
mod making;
mod wire;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::process::Command;

pub use self::attachment::{Attachment, AttachmentInput, AttachmentOutput, ExecSession, Output};
pub use self::container::{Container, ExecRequest};
use self::executable::Executable;
use crate::bundle::Bundle;
use crate::error::Doing;
use crate::protocol::Reply;
use crate::shim::COMPLAINTS;
use crate::state::{self, BUNDLE, Phase};
use crate::{RuntimeError, SHIM_COMMAND};

/// The containers of one node.
#[derive(Debug, Clone)]
pub struct Runtime {
    root: PathBuf,
    cgroups: PathBuf,
    executable: Arc<Executable>,
}

/// What an agent finds when it starts.
#[derive(Debug)]
#[non_exhaustive]
pub struct Adopted {
    /// Containers that an earlier agent made: they run on, or have ended and wait to be deleted.
    pub containers: Vec<Container>,
    /// Ids of those among them whose shim was lost; they have been ended, and their state says so.
    pub lost: Vec<String>,
    /// What was left of containers that were never made whole, or of their control groups: removed.
    pub collected: Vec<String>,
}

impl Adopted {
    /// Finds what an agent that has ended left in these places, as in [`Runtime::new`]: waits for shims that were just being
    /// started, adopts its containers, ends those whose shim was lost, and removes what belongs to none.
    pub async fn find(root: &Path, cgroups: &Path) -> Result<Self, RuntimeError> {
        let mut adopted = Self { containers: Vec::new(), lost: Vec::new(), collected: Vec::new() };
        let mut groups = BTreeSet::new();
        let entries = match std::fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(adopted),
            Err(error) => return Err(RuntimeError::at("list", root, error)),
        };
        for entry in entries.flatten() {
            let Some(id) = entry.file_name().into_string().ok().filter(|id| state::is_id(id)) else { continue };
            making::wait_for_end(&entry.path()).await?;
            match Container::open(entry.path()) {
                Ok(container) => {
                    groups.extend(container.cgroup().file_name().map(ToOwned::to_owned));
                    if container.settle().await? {
                        adopted.lost.push(id);
                    }
                    adopted.containers.push(container);
                }
                Err(error) => {
                    tracing::debug!(container = %id, %error, "no whole container");
                    let (folder, cgroup) = (entry.path(), cgroups.join(&id));
                    blocking(move || collect::remove(&folder, &cgroup)).await?;
                    adopted.collected.push(id);
                }
            }
        }
        let cgroups = cgroups.to_owned();
        adopted.collected.extend(blocking(move || collect::groups(&cgroups, &groups)).await?);
        Ok(adopted)
    }
}

impl Runtime {
    /// The containers whose state lies in `root` (memory is enough: it need not outlive the machine) and whose control
    /// groups lie below `cgroups`, relative to each hierarchy. Their shims are this program, executed again.
    pub fn new(root: impl Into<PathBuf>, cgroups: impl Into<PathBuf>) -> Result<Self, RuntimeError> {
        Self::with_executable(root, cgroups, Path::new("/proc/self/exe"))
    }

    /// Like [`new`](Self::new), with another program for the shims, which calls [`reenter`](crate::reenter) too.
    pub fn with_executable(
        root: impl Into<PathBuf>,
        cgroups: impl Into<PathBuf>,
        executable: &Path,
    ) -> Result<Self, RuntimeError> {
        let root = root.into();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&root)
            .map_err(|error| RuntimeError::at("make", &root, error))?;
        Ok(Self { root, cgroups: cgroups.into(), executable: Arc::new(Executable::open(executable)?) })
    }

    /// The control group of a container by its id, for its bundle.
    pub fn cgroup_of(&self, id: &str) -> PathBuf {
        self.cgroups.join(id)
    }

    /// Makes a container up to its program, which waits for [`Container::start`], or has begun where the bundle says so.
    /// Nothing is left of one that could not be made.
    pub async fn create(&self, bundle: &Bundle) -> Result<Container, RuntimeError> {
        if !state::is_id(&bundle.id) {
            return Err(RuntimeError::Invalid { reason: format!("`{}` is no id of a container", bundle.id) });
        }
        let folder = self.root.join(&bundle.id);
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(RuntimeError::Exists { id: bundle.id.clone() });
            }
            outcome => outcome.map_err(|error| RuntimeError::at("make", &folder, error))?,
        }
        let outcome = match state::write(&folder.join(BUNDLE), bundle) {
            Ok(()) => self.start_shim(&folder, &bundle.id).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => Container::open(folder),
            Err(error) => {
                let (place, cgroup) = (folder.clone(), bundle.cgroup.clone());
                // What cannot be removed now is found by the next agent; the first failure is the one to tell of.
                let removed = blocking(move || collect::remove(&place, &cgroup)).await;
                if let Err(left) = removed {
                    tracing::warn!(container = %bundle.id, error = %left, "remains of a failed container stay");
                }
                Err(error)
            }
        }
    }

    /// A container that was made before; `None` where there is none.
    pub fn find(&self, id: &str) -> Result<Option<Container>, RuntimeError> {
        if !state::is_id(id) {
            return Ok(None);
        }
        match Container::open(self.root.join(id)) {
            Err(error) if error.is_not_found() => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// Removes whatever there is of a container by its id: one that runs is ended, one that was made by half is collected.
    /// What is gone already is fine. For a [`create`](Self::create) that was cancelled.
    pub async fn discard(&self, id: &str) -> Result<(), RuntimeError> {
        if state::is_id(id) {
            making::wait_for_end(&self.root.join(id)).await?;
        }
        if let Some(container) = self.find(id)? {
            return container.delete(true).await;
        }
        if !state::is_id(id) {
            return Ok(());
        }
        let (folder, cgroup) = (self.root.join(id), self.cgroup_of(id));
        blocking(move || collect::remove(&folder, &cgroup)).await
    }

    /// What an earlier agent left: see [`Adopted::find`]. To be called once, before anything is created.
    pub async fn adopt(&self) -> Result<Adopted, RuntimeError> {
        Adopted::find(&self.root, &self.cgroups).await
    }

    /// Starts the shim of a folder, and waits until it has made the container.
    async fn start_shim(&self, folder: &Path, id: &str) -> Result<(), RuntimeError> {
        let log = folder.join(COMPLAINTS);
        let stderr = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&log)
            .map_err(|error| RuntimeError::at("make", &log, error))?;
        stderr.lock().map_err(|error| RuntimeError::at("lock", &log, error))?;
        let (mut socket, theirs) =
            UnixStream::pair().and_then(|(ours, theirs)| Ok((ours, theirs.into_std()?))).doing(|| "make a socket")?;
        theirs.set_nonblocking(false).doing(|| "prepare a socket")?;
        let shim = Command::new(self.executable.path())
            .arg0("swarmd")
            .arg(SHIM_COMMAND)
            .arg(folder)
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .doing(|| format!("start the shim of container `{id}`"))?;
        // The command is gone, and with it our copy of the shim's end: if the shim ends, the socket does.
        drop(shim);
        let failed = |reason: String| RuntimeError::Create { id: id.to_owned(), reason };
        match wire::receive(&mut socket, &mut Vec::new()).await {
            Ok(Some(wire::Frame::Message(bytes))) => match serde_json::from_slice(&bytes) {
                Ok(Reply::Created) => Ok(()),
                Ok(Reply::Failed(reason)) => Err(failed(reason)),
                Ok(Reply::NotStarted { failure, reason }) => {
                    Err(RuntimeError::Start { id: id.to_owned(), failure, reason })
                }
                Ok(other) => Err(failed(format!("its shim said {other:?}"))),
                Err(error) => Err(failed(error.to_string())),
            },
            Ok(_) => Err(failed("its shim ended".to_owned())),
            Err(error) => Err(error).doing(|| format!("hear from the shim of container `{id}`")),
        }
    }
}

impl Container {
    /// Looks whether the shim of a container that has not ended was lost; then ends the container. Returns whether.
    async fn settle(&self) -> Result<bool, RuntimeError> {
        let state = self.state()?;
        if state.phase == Phase::Exited || state.shim.process().is_alive()? {
            return Ok(false);
        }
        self.end_lost().await.map(|_| true)
    }
}

/// A control group's path as it is joined to a hierarchy's.
pub(crate) fn relative(cgroup: &Path) -> &Path {
    cgroup.strip_prefix("/").unwrap_or(cgroup)
}

/// Runs what blocks for a moment beside the runtime's own threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(RuntimeError::Io { action: "run a blocking step".to_owned(), source: std::io::Error::other(error) })
    })
}
