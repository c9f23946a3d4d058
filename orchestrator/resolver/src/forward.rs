//! Asking others: the servers of the host, from the host, one after the other.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::answer::failure;
use crate::message::code_of_answer;

/// How many servers are asked: as many as the C library asks.
const SERVERS: usize = 3;
/// How long one of them may take: as long as in Docker.
const PATIENCE: Duration = Duration::from_secs(4);
/// The longest message, in bytes.
const LONGEST: usize = 65535;
/// `SERVFAIL` and `REFUSED`: another server may know more.
const UNWILLING: [u8; 2] = [2, 5];

/// How a question came, and is put to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Datagram,
    Stream,
}

/// What the first server says that has something to say; that it failed where none has.
pub(crate) async fn forward(message: &[u8], servers: &[SocketAddr], way: Way) -> Vec<u8> {
    let mut unwilling = None;
    for server in servers.iter().take(SERVERS) {
        let asked = async {
            match way {
                Way::Datagram => ask_by_datagram(message, *server).await,
                Way::Stream => ask_by_stream(message, *server).await,
            }
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok((answer, code))) if UNWILLING.contains(&code) => unwilling = Some(answer),
            Ok(Ok((answer, _))) => return answer,
            Ok(Err(error)) => tracing::debug!(%server, %error, "a name server did not answer"),
            Err(_) => tracing::debug!(%server, "a name server did not answer in time"),
        }
    }
    unwilling.unwrap_or_else(|| failure(message))
}

/// An answer, and the code in it. What comes from elsewhere, or answers something else, is passed over.
async fn ask_by_datagram(message: &[u8], server: SocketAddr) -> io::Result<(Vec<u8>, u8)> {
    let any = if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    loop {
        let mut answer = Vec::with_capacity(LONGEST);
        socket.recv_buf(&mut answer).await?;
        if let Some(code) = code_of_answer(message, &answer) {
            return Ok((answer, code));
        }
    }
}

async fn ask_by_stream(message: &[u8], server: SocketAddr) -> io::Result<(Vec<u8>, u8)> {
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, message).await?;
    let answer = read_message(&mut stream).await?;
    let code = code_of_answer(message, &answer).ok_or(io::ErrorKind::InvalidData)?;
    Ok((answer, code))
}

/// Reads a message of a stream, which stands behind its length.
pub(crate) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes a message to a stream.
pub(crate) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await
}
