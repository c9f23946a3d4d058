//! Docker's multiplexed stream: output of a container without a terminal, both streams in one, each piece behind a
//! head of eight bytes (`stdcopy` of the clients takes it apart).

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;

use crate::version::ApiVersion;

/// Pieces behind heads.
pub(crate) const MULTIPLEXED: HeaderValue = HeaderValue::from_static("application/vnd.docker.multiplexed-stream");
/// Bytes as they are; what older clients are told in either case.
pub(crate) const RAW: HeaderValue = HeaderValue::from_static("application/vnd.docker.raw-stream");
/// Since when clients are told whether pieces have heads.
const MULTIPLEXED_SINCE: ApiVersion = ApiVersion::new(1, 42);

/// The media type of a stream, in the words of the client's version.
pub(crate) fn content_type(is_framed: bool, version: ApiVersion) -> HeaderValue {
    if is_framed && version >= MULTIPLEXED_SINCE { MULTIPLEXED } else { RAW }
}

/// Which stream a piece belongs to, by Docker's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameStream {
    /// 1.
    Stdout,
    /// 2.
    Stderr,
    /// 3: what went wrong in the middle of a stream; clients end with it as their error.
    SystemError,
}

/// A piece behind its head: the stream's number, three zeros, the length in network order. Pieces are far below 4 GiB;
/// longer ones are cut off there.
pub(crate) fn frame(stream: FrameStream, payload: &[u8]) -> Bytes {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let payload = &payload[..length as usize];
    let mut framed = BytesMut::with_capacity(8 + payload.len());
    framed.put_u8(match stream {
        FrameStream::Stdout => 1,
        FrameStream::Stderr => 2,
        FrameStream::SystemError => 3,
    });
    framed.put_slice(&[0; 3]);
    framed.put_u32(length);
    framed.put_slice(payload);
    framed.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_that_know_of_it_are_told_of_heads() {
        assert_eq!(content_type(true, ApiVersion::new(1, 42)), MULTIPLEXED);
        assert_eq!(content_type(true, ApiVersion::new(1, 41)), RAW);
        assert_eq!(content_type(false, ApiVersion::new(1, 51)), RAW);
    }

    #[test]
    fn a_piece_stands_behind_its_stream_and_length() {
        assert_eq!(&frame(FrameStream::Stderr, b"oh\n")[..], b"\x02\0\0\0\0\0\0\x03oh\n");
    }
}
