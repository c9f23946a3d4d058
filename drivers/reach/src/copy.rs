//! Copying files and folders, with the meaning of `scp`: folders travel as a tar stream.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task;

use crate::process::{self, Event, PIECE, Pieces, Process, Source};
use crate::remote::{Carrier, Remote, SENTINEL};
use crate::{CopyOptions, ReachError, quote};

/// How many pieces wait between the disk and the wire: enough to keep both busy, little enough to forget about.
const WAITING_PIECES: usize = 16;

/// Copies a file or folder of this workstation to the host.
pub(crate) async fn send<C: Carrier>(
    remote: &Remote<C>,
    local: &Path,
    target: &str,
    options: CopyOptions,
) -> Result<(), ReachError> {
    let cannot_read = |source| ReachError::LocalFile { action: "read", path: local.to_owned(), source };
    let metadata = tokio::fs::metadata(local).await.map_err(cannot_read)?;
    let folder_or_name = format!(
        "target={}; [ ! -d \"$target\" ] || target=$target/{}; ",
        quote(&from_home(target)),
        quote(&last_name(local).map_err(cannot_read)?)
    );
    if metadata.is_dir() {
        if !options.is_recursive {
            return Err(cannot_read(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder: copy it with -r")));
        }
        let script = format!("{folder_or_name}mkdir -p \"$target\" && exec tar -xof - -C \"$target\"");
        let process = remote.start(&script, options.is_as_root).await?;
        let mut source = Packing::start(local.to_owned());
        finish(remote, target, process, &mut source).await
    } else {
        let mode = mode_of(&metadata);
        let script = format!("{folder_or_name}cat >\"$target\" && chmod {mode:04o} \"$target\"");
        let file = File::open(local).await.map_err(cannot_read)?;
        let process = remote.start(&script, options.is_as_root).await?;
        finish(remote, target, process, &mut Reading { file, path: local.to_owned() }).await
    }
}

async fn finish<C: Carrier>(
    remote: &Remote<C>,
    target: &str,
    process: Process,
    source: &mut dyn Source,
) -> Result<(), ReachError> {
    let mut stderr = String::new();
    let status = process::drive(process, source, |event| {
        if let Event::Stderr(bytes) = event {
            stderr.push_str(&String::from_utf8_lossy(&bytes));
        }
    })
    .await?;
    succeed(remote, &format!("write {target}"), status, &stderr)
}

/// Copies a file or folder of the host to this workstation.
pub(crate) async fn fetch<C: Carrier>(
    remote: &Remote<C>,
    source: &str,
    local: &Path,
    options: CopyOptions,
) -> Result<(), ReachError> {
    let folder = if options.is_recursive {
        format!("echo {SENTINEL}folder; exec tar -cf - -C \"$source\" .")
    } else {
        "echo \"$source is a folder: copy it with -r\" >&2; exit 1".to_owned()
    };
    let script = format!(
        "source={}; if [ -d \"$source\" ]; then {folder}; fi; \
         [ -e \"$source\" ] || {{ echo \"there is no $source\" >&2; exit 1; }}; \
         exec 3<\"$source\" || exit 1; echo \"{SENTINEL}file $(stat -L -c %a \"$source\")\"; exec cat <&3",
        quote(&from_home(source))
    );
    let name = source.trim_end_matches('/').rsplit('/').next().unwrap_or(source);
    let target = if local.is_dir() { local.join(name) } else { local.to_owned() };

    let Process { mut events, mut input } = remote.start(&script, options.is_as_root).await?;
    process::feed(input.as_mut(), &mut Pieces(Bytes::new())).await?;
    let mut receiver = Receiver::waiting(target);
    let mut stderr = String::new();
    let status = loop {
        match events.next().await? {
            Event::Stdout(bytes) => receiver.push(bytes).await?,
            Event::Stderr(bytes) => stderr.push_str(&String::from_utf8_lossy(&bytes)),
            Event::Ended(status) => break status,
        }
    };
    succeed(remote, &format!("read {source}"), status, &stderr)?;
    receiver.finish().await
}

fn succeed<C: Carrier>(remote: &Remote<C>, what: &str, status: i32, stderr: &str) -> Result<(), ReachError> {
    use crate::Session as _;

    if status == 0 {
        return Ok(());
    }
    Err(ReachError::Failed {
        peer: remote.peer().to_owned(),
        command: what.to_owned(),
        status,
        stderr: stderr.trim().lines().last().unwrap_or("it gave no reason").to_owned(),
    })
}

/// A path that cannot be taken for an option.
fn from_home(path: &str) -> String {
    if path.is_empty() {
        ".".to_owned()
    } else if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("./{path}")
    }
}

fn last_name(path: &Path) -> io::Result<String> {
    let path = path.canonicalize()?;
    let name = path.file_name().unwrap_or_default();
    name.to_str().map(str::to_owned).ok_or_else(|| io::Error::other("its name is not valid UTF-8"))
}

#[cfg(unix)]
fn mode_of(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;

    metadata.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn mode_of(_metadata: &std::fs::Metadata) -> u32 {
    0o644
}

/// A file as a source.
struct Reading {
    file: File,
    path: PathBuf,
}

#[async_trait]
impl Source for Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, ReachError> {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = self.file.read_buf(&mut piece).await;
        let length =
            read.map_err(|source| ReachError::LocalFile { action: "read", path: self.path.clone(), source })?;
        Ok((length > 0).then(|| piece.freeze()))
    }
}

/// A folder as a tar stream, packed by a thread.
struct Packing {
    pieces: mpsc::Receiver<Bytes>,
    packer: Option<task::JoinHandle<io::Result<()>>>,
    path: PathBuf,
}

impl Packing {
    fn start(path: PathBuf) -> Self {
        let (sender, pieces) = mpsc::channel(WAITING_PIECES);
        let folder = path.clone();
        let packer = task::spawn_blocking(move || {
            let mut tar = tar::Builder::new(io::BufWriter::with_capacity(PIECE, ChannelWriter(sender)));
            tar.follow_symlinks(false);
            tar.append_dir_all(".", &folder)?;
            tar.into_inner()?.flush()
        });
        Self { pieces, packer: Some(packer), path }
    }
}

#[async_trait]
impl Source for Packing {
    async fn next(&mut self) -> Result<Option<Bytes>, ReachError> {
        if let Some(piece) = self.pieces.recv().await {
            return Ok(Some(piece));
        }
        match self.packer.take() {
            None => Ok(None),
            Some(packer) => outcome(packer, "read", &self.path).await.map(|()| None),
        }
    }
}

async fn outcome(work: task::JoinHandle<io::Result<()>>, action: &'static str, path: &Path) -> Result<(), ReachError> {
    let result = work.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    result.map_err(|source| ReachError::LocalFile { action, path: path.to_owned(), source })
}

/// What arrives from the host, and where it goes.
struct Receiver {
    target: PathBuf,
    state: Receiving,
}

/// What is known of it.
enum Receiving {
    /// The line that says what follows has not arrived yet.
    Heading(BytesMut),
    File(File),
    Folder {
        pieces: mpsc::Sender<Bytes>,
        unpacker: task::JoinHandle<io::Result<()>>,
    },
}

impl Receiver {
    fn waiting(target: PathBuf) -> Self {
        Self { target, state: Receiving::Heading(BytesMut::new()) }
    }

    async fn push(&mut self, bytes: Bytes) -> Result<(), ReachError> {
        match &mut self.state {
            Receiving::Heading(seen) => {
                seen.extend_from_slice(&bytes);
                let Some((heading, rest)) = heading(seen) else { return Ok(()) };
                self.state = self.begin(&heading).await.map_err(|source| self.cannot_write(source))?;
                return Box::pin(self.push(rest)).await;
            }
            Receiving::File(file) => file.write_all(&bytes).await.map_err(|source| self.cannot_write(source)),
            Receiving::Folder { pieces, .. } => {
                // An unpacker that failed is gone; it says why at the end.
                let _ = pieces.send(bytes).await;
                Ok(())
            }
        }
    }

    async fn begin(&self, heading: &str) -> io::Result<Receiving> {
        if let Some(mode) = heading.strip_prefix("file ") {
            let file = File::create(&self.target).await?;
            set_mode(&file, mode).await?;
            return Ok(Receiving::File(file));
        }
        std::fs::create_dir_all(&self.target)?;
        let (pieces, arriving) = mpsc::channel(WAITING_PIECES);
        let folder = self.target.clone();
        let unpacker = task::spawn_blocking(move || {
            tar::Archive::new(ChannelReader { pieces: arriving, current: Bytes::new() }).unpack(&folder)
        });
        Ok(Receiving::Folder { pieces, unpacker })
    }

    fn cannot_write(&self, source: io::Error) -> ReachError {
        ReachError::LocalFile { action: "write", path: self.target.clone(), source }
    }

    async fn finish(self) -> Result<(), ReachError> {
        match self.state {
            Receiving::Heading(_) => Err(ReachError::LocalFile {
                action: "write",
                path: self.target,
                source: io::Error::other("the host sent nothing"),
            }),
            Receiving::File(mut file) => {
                let flushed = file.flush().await;
                flushed.map_err(|source| ReachError::LocalFile { action: "write", path: self.target, source })
            }
            Receiving::Folder { pieces, unpacker } => {
                drop(pieces);
                outcome(unpacker, "write", &self.target).await
            }
        }
    }
}

/// Splits what has arrived at the line that says what follows; login scripts may have printed before it.
fn heading(seen: &mut BytesMut) -> Option<(String, Bytes)> {
    loop {
        let end = seen.iter().position(|byte| *byte == b'\n')?;
        let line = seen.split_to(end + 1);
        if let Some(heading) = line.strip_prefix(SENTINEL.as_bytes()) {
            return Some((String::from_utf8_lossy(heading).trim().to_owned(), seen.split().freeze()));
        }
    }
}

#[cfg(unix)]
async fn set_mode(file: &File, octal: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let Ok(mode) = u32::from_str_radix(octal, 8) else { return Ok(()) };
    file.set_permissions(std::fs::Permissions::from_mode(mode & 0o777)).await
}

#[cfg(not(unix))]
async fn set_mode(_file: &File, _octal: &str) -> io::Result<()> {
    Ok(())
}

/// The packer's end of a channel.
struct ChannelWriter(mpsc::Sender<Bytes>);

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(Bytes::copy_from_slice(bytes)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The unpacker's end of a channel.
struct ChannelReader {
    pieces: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let length = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_never_taken_for_options() {
        assert_eq!(from_home("-rf"), "./-rf");
        assert_eq!(from_home("/etc/hosts"), "/etc/hosts");
        assert_eq!(from_home(""), ".");
    }

    #[test]
    fn the_heading_is_found_behind_what_login_scripts_print() {
        let mut seen = BytesMut::from(&b"Welcome!\nswarmup:file 644\nrest\nof it"[..]);

        let (heading, rest) = heading(&mut seen).unwrap();

        assert_eq!((heading.as_str(), &rest[..]), ("file 644", &b"rest\nof it"[..]));
    }
}
