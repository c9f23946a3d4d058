//! The root-only socket: bound without a moment in which others could use it, and without taking it from a daemon
//! that lives.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

/// Only the owner may connect.
const MODE: u32 = 0o600;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon answers on it.
    #[error("another daemon answers on {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is a file of another kind.
    #[error("{} is there and is no socket", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A bound socket. Its file is removed when this is dropped, unless somebody else has taken the place by then.
#[derive(Debug)]
pub struct UnixSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl UnixSocket {
    /// Binds a socket that only its owner may use, and makes the folder that it is in. A socket that nobody
    /// answers on is replaced.
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed("make the folder", parent))?;
        }
        refuse_a_living_one(path).await?;
        // Bound under another name and moved when its mode is right, so that it is never open to others.
        let unfinished = unfinished(path);
        remove_if_there(&unfinished).map_err(failed("remove", &unfinished))?;
        let listener = UnixListener::bind(&unfinished).map_err(failed("bind", &unfinished))?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(MODE)).map_err(failed("restrict", &unfinished))?;
        let metadata = fs::symlink_metadata(&unfinished).map_err(failed("look at", &unfinished))?;
        fs::rename(&unfinished, path).map_err(failed("put in place", path))?;
        Ok(Self { listener, path: path.to_owned(), device_and_inode: (metadata.dev(), metadata.ino()) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.device_and_inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            warn!(path = %self.path.display(), %error, "failed to remove the socket");
        }
    }
}

async fn refuse_a_living_one(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("look at", path)(source)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(SocketError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Full of waiting clients, or ours no more: somebody lives there.
        Err(source) => Err(failed("try", path)(source)),
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_for_its_owner_only_and_goes_when_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/swarmd.sock");

        let socket = UnixSocket::bind(&path).await.unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().mode() & 0o7777;
        drop(socket);

        assert_eq!(mode, MODE);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_socket_that_somebody_answers_on_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("swarmd.sock");
        let first = UnixSocket::bind(&path).await.unwrap();

        let error = UnixSocket::bind(&path).await.unwrap_err();

        assert!(matches!(error, SocketError::InUse { .. }), "{error}");
        assert!(UnixStream::connect(first.path()).await.is_ok());
    }

    #[tokio::test]
    async fn a_socket_that_nobody_answers_on_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("swarmd.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());

        let _socket = UnixSocket::bind(&path).await.unwrap();

        assert!(UnixStream::connect(&path).await.is_ok());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("swarmd.sock");
        fs::write(&path, "precious").unwrap();

        let error = UnixSocket::bind(&path).await.unwrap_err();

        assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_successors_socket_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("swarmd.sock");
        let first = UnixSocket::bind(&path).await.unwrap();
        fs::remove_file(&path).unwrap();
        let _second = UnixSocket::bind(&path).await.unwrap();

        drop(first);

        assert!(UnixStream::connect(&path).await.is_ok());
    }
}
