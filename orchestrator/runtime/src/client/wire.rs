//! Frames between agent and shim, on the agent's side.

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::protocol::{HEADER, Kind, Reply, Request, header, message, parse_header};
use crate::state::SOCKET;

/// What the shim sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Message(Vec<u8>),
    Output(crate::log::Stream, Vec<u8>),
}

/// Receives a frame; `None` where the other side has closed the connection, whole or in the middle of one. What has come
/// of it waits in `received`, so that a call can be cancelled and made again.
pub(super) async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    received: &mut Vec<u8>,
) -> io::Result<Option<Frame>> {
    loop {
        if let Some(frame) = split_frame(received)? {
            return Ok(Some(frame));
        }
        match stream.read_buf(received).await {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Takes the first frame out of what has come, if it is whole.
fn split_frame(received: &mut Vec<u8>) -> io::Result<Option<Frame>> {
    let Some((head, rest)) = received.split_first_chunk::<HEADER>() else { return Ok(None) };
    let (kind, length) = parse_header(*head).ok_or(io::ErrorKind::InvalidData)?;
    let Some(content) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
    received.drain(..HEADER + length);
    match kind {
        Kind::Message => Ok(Some(Frame::Message(content))),
        Kind::Stdout => Ok(Some(Frame::Output(crate::log::Stream::Stdout, content))),
        Kind::Stderr => Ok(Some(Frame::Output(crate::log::Stream::Stderr, content))),
        Kind::Stdin | Kind::StdinEnd => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Receives an answer; `None` where the shim has gone.
pub(super) async fn reply(stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> io::Result<Option<Reply>> {
    match receive(stream, received).await? {
        Some(Frame::Message(bytes)) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Some(Frame::Output(..)) => Err(io::ErrorKind::InvalidData.into()),
        None => Ok(None),
    }
}

/// Sends a frame.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), kind: Kind, content: &[u8]) -> io::Result<()> {
    stream.write_all(&header(kind, content.len())).await?;
    stream.write_all(content).await
}

/// Connects to a folder's shim and asks; `None` where there is no shim.
pub(super) async fn ask(folder: &Path, request: &Request) -> io::Result<Option<UnixStream>> {
    let Some(mut stream) = connect(folder).await? else { return Ok(None) };
    match stream.write_all(&message(request)).await {
        Ok(()) => Ok(Some(stream)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn connect(folder: &Path) -> io::Result<Option<UnixStream>> {
    // The path of a socket is short, that of a folder may not be.
    let folder = match open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(folder) => folder,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let place = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    match UnixStream::connect(place).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the other side has ended.
pub(super) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotFound};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | NotFound)
}
