//! The files of a container, whether or not it runs: looked at, copied out and in, compared, exported.
//!
//! Work on them holds them: a removal that comes meanwhile ends it, and waits until it has.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::Stream;
use image::{Change, ChangeKind, CopyError, CopyIn, FileStat, FileView, ImageError, ViewMount};

use super::actor::{Command, FileUse};
use super::cell::Cell;
use super::file_stream::{self, FileStream};
use super::owner::{self, NoSuchOwner};
use super::{ContainerError, Containers, populate};
use crate::document::blocking;
use crate::event::EventKind;
use crate::settings::MountKind;

/// What is made in the root of every container that starts, so that something can be mounted there.
const PLACES: [&str; 10] = [
    "/dev",
    "/dev/console",
    "/dev/mqueue",
    "/dev/pts",
    "/dev/shm",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/proc",
    "/sys",
];

/// Why something could not be done with the files of a container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerFilesError {
    /// The container cannot be used.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The files cannot be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Whose they are to be cannot be told.
    #[error(transparent)]
    Owner(#[from] NoSuchOwner),
    /// The container was removed, or the engine closed, before all was done.
    #[error("the container was removed meanwhile")]
    CutShort,
}

impl From<ImageError> for ContainerFilesError {
    fn from(error: ImageError) -> Self {
        Self::Container(error.into())
    }
}

/// How an archive is unpacked into a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyInRequest {
    /// Whether no folder may take the place of what is none, and nothing else that of a folder.
    pub keeps_kinds: bool,
    /// Whether all of it is to belong to the container's user, where it has one.
    pub is_users: bool,
}

impl Containers {
    /// What lies at a path of a container.
    pub async fn stat_file(&self, name: &str, path: &str) -> Result<FileStat, ContainerFilesError> {
        let cell = self.cell(name)?;
        let (view, path) = (view(self.files(&cell).await?).await?, path.to_owned());
        Ok(blocking(move || view.stat(&path)).await?)
    }

    /// What lies at a path of a container, as an archive whose names begin with the last part of the path.
    pub async fn copy_out(&self, name: &str, path: &str) -> Result<(FileStat, FileStream), ContainerFilesError> {
        let cell = self.cell(name)?;
        let files = self.files(&cell).await?;
        let ending = files.ending.clone();
        let view = view(files).await?;
        let owned = path.to_owned();
        let (stat, view) = blocking(move || (view.stat(&owned), view)).await;
        let (stat, path) = (stat?, path.to_owned());
        let stream = file_stream::start(&self.shared, ending, async move |sender| {
            Ok(blocking(move || view.copy_out(&path, sender)).await?)
        });
        self.tell_files(&cell, "archive-path");
        Ok((stat, stream))
    }

    /// Unpacks an archive into the folder at a path of a container. A caller that goes away has copied a part.
    pub async fn copy_in(
        &self,
        name: &str,
        path: &str,
        request: CopyInRequest,
        body: impl Stream<Item = io::Result<Bytes>>,
    ) -> Result<(), ContainerFilesError> {
        let cell = self.cell(name)?;
        let files = self.files(&cell).await?;
        let mut ending = files.ending.clone();
        let user = files.record.config.user.clone();
        let view = view(files).await?;
        let (view, owner) = if request.is_users && !user.is_empty() {
            blocking(move || owner::of(&view, &user).map(|owner| (view, Some(owner)))).await?
        } else {
            (view, None)
        };
        let options = CopyIn { keeps_kinds: request.keeps_kinds, owner };
        tokio::select! {
            outcome = view.copy_in(path.to_owned(), options, body) => outcome?,
            () = ending.ended() => return Err(ContainerFilesError::CutShort),
        }
        self.tell_files(&cell, "extract-to-dir");
        Ok(())
    }

    /// What a container has changed of its image. The places of what every container is given are none of its changes.
    pub async fn changes(&self, name: &str) -> Result<Vec<Change>, ContainerError> {
        let cell = self.cell(name)?;
        let files = self.files(&cell).await?;
        Ok(without_places(blocking(move || files.root.changes(&files.layers)).await?))
    }

    /// All files of a container's root as an archive; what is mounted into it is left out.
    pub async fn export(&self, name: &str) -> Result<FileStream, ContainerFilesError> {
        let cell = self.cell(name)?;
        let files = self.files(&cell).await?;
        let ending = files.ending.clone();
        let stream =
            file_stream::start(&self.shared, ending, async move |sender| Ok(files.root.export(sender).await?));
        self.tell_files(&cell, "export");
        Ok(stream)
    }

    /// A hold on a container's files.
    pub(super) async fn files(&self, cell: &Cell) -> Result<FileUse, ContainerError> {
        cell.ask(Command::UseFiles).await
    }

    fn tell_files(&self, cell: &Cell, action: &str) {
        self.shared.events.tell(EventKind::Container, action, &cell.id, cell.record().attributes());
    }
}

/// The container's files as it sees them. The view is the hold from here on.
async fn view(files: FileUse) -> Result<FileView, ContainerFilesError> {
    blocking(move || {
        let mounts = mounts(&files)?;
        let is_read_only = files.record.host_config.readonly_rootfs;
        let view = FileView::open(&files.root.merged(), is_read_only, &mounts)?;
        Ok(view.holding(Box::new(files.ending)))
    })
    .await
}

/// What is mounted into a container, but for memory, which only its program sees, and what is missing by now.
fn mounts(files: &FileUse) -> Result<Vec<ViewMount>, ContainerError> {
    let mut mounts = Vec::new();
    let folder = files.root.merged().ancestors().nth(2).map(Path::to_owned).unwrap_or_default();
    for mount in files.mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs && mount.source.exists()) {
        let source = if mount.subpath.is_empty() {
            mount.source.clone()
        } else {
            populate::subfolder(&mount.source, &mount.subpath)?
        };
        let destination = PathBuf::from(&mount.destination);
        let is_recursive = !mount.is_non_recursive;
        mounts.push(ViewMount { source, destination, read_only: mount.read_only, is_recursive });
    }
    for name in ["hosts", "hostname", "resolv.conf"] {
        let (source, destination) = (folder.join(name), Path::new("/etc").join(name));
        let is_free = !mounts.iter().any(|mount| mount.destination == destination);
        if is_free && source.exists() {
            mounts.push(ViewMount { source, destination, read_only: false, is_recursive: true });
        }
    }
    Ok(mounts)
}

/// Changes without the places that were made, and without folders that changed by those alone.
fn without_places(changes: Vec<Change>) -> Vec<Change> {
    let is_place = |change: &Change| {
        change.kind == ChangeKind::Added && PLACES.iter().any(|place| change.path == Path::new(place))
    };
    let (places, own): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_place);
    let holds = |changes: &[Change], folder: &Change| {
        changes.iter().any(|change| change.path != folder.path && change.path.starts_with(&folder.path))
    };
    let is_own =
        |change: &Change| change.kind != ChangeKind::Modified || !holds(&places, change) || holds(&own, change);
    own.iter().filter(|change| is_own(change)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_what_changed_by_them_alone_are_no_changes() {
        let change = |path: &str, kind| Change { path: path.into(), kind };
        let check = |changes: &[(&str, ChangeKind)], expected: &[&str]| {
            let changes = changes.iter().map(|(path, kind)| change(path, *kind)).collect();
            let left: Vec<_> = without_places(changes).into_iter().map(|change| change.path).collect();
            assert_eq!(left, expected.iter().map(PathBuf::from).collect::<Vec<_>>());
        };
        let (modified, added) = (ChangeKind::Modified, ChangeKind::Added);

        check(&[("/etc", modified), ("/etc/hosts", added)], &[]);
        check(&[("/etc", modified), ("/etc/hosts", added), ("/etc/x", added)], &["/etc", "/etc/x"]);
        check(&[("/etc", modified), ("/etc/hosts", modified)], &["/etc", "/etc/hosts"]);
        check(&[("/proc", added), ("/made", added), ("/root", modified)], &["/made", "/root"]);
    }
}
