//! A connection that was taken over as a WebSocket (RFC 6455): what the client's messages hold is what it sends, and what it
//! is sent goes in binary messages, as Docker does since version 1.28 of its API.

use std::future::ready;
use std::io;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use crate::error::ApiError;
use crate::hijack::{Wire, WireOutput};

/// The longest message of a client, in bytes: it is kept whole until the program has taken it.
const LONGEST_MESSAGE: usize = 1 << 20;
/// The one version of the protocol.
const VERSION: &[u8] = b"13";

/// What proves to the client that its request was understood.
///
/// # Errors
/// The request is not one for a WebSocket.
pub(crate) fn accepted(headers: &HeaderMap) -> Result<HeaderValue, ApiError> {
    let asks = headers.get(UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let is_known = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version.as_bytes() == VERSION);
    match headers.get(SEC_WEBSOCKET_KEY) {
        Some(key) if asks && is_known => {
            Ok(derive_accept_key(key.as_bytes()).parse().expect("base64 is fit for a header"))
        }
        Some(_) | None => {
            let words = "not a request for a WebSocket: it needs `Upgrade: websocket`, `Sec-WebSocket-Version: 13` and a \
                         `Sec-WebSocket-Key`";
            Err(ApiError::invalid(words))
        }
    }
}

/// Speaks the protocol on a connection on which the client was told so.
pub(crate) async fn over(wire: Wire) -> Wire {
    let stream = tokio::io::join(wire.input, wire.output.into_stream().await);
    let settings =
        WebSocketConfig::default().max_message_size(Some(LONGEST_MESSAGE)).max_frame_size(Some(LONGEST_MESSAGE));
    let (sink, messages) = WebSocketStream::from_raw_socket(stream, Role::Server, Some(settings)).await.split();
    let pieces = messages.filter_map(|message| ready(piece(message)));
    let binary = sink.with(|bytes: Bytes| ready(Ok::<_, tungstenite::Error>(Message::Binary(bytes))));
    let output = SinkWriter::new(CopyToBytes::new(binary.sink_map_err(io::Error::other)));
    Wire { input: Box::new(StreamReader::new(pieces)), output: WireOutput::new(output) }
}

/// What a message brings.
fn piece(message: Result<Message, tungstenite::Error>) -> Option<io::Result<Bytes>> {
    match message {
        Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
        Ok(Message::Text(text)) => Some(Ok(text.into())),
        // The protocol's own, which it has seen to.
        Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => None,
        Err(error) => Some(Err(io::Error::other(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_request_is_accepted_with_the_proof_that_the_protocol_asks_for() {
        // The example of RFC 6455, section 1.3.
        let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let asked = headers(&[("upgrade", "WebSocket"), ("sec-websocket-version", "13"), key]);
        assert_eq!(accepted(&asked).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

        for refused in [
            headers(&[]),
            headers(&[("upgrade", "tcp"), ("sec-websocket-version", "13"), key]),
            headers(&[("upgrade", "websocket"), ("sec-websocket-version", "12"), key]),
            headers(&[("upgrade", "websocket"), ("sec-websocket-version", "13")]),
        ] {
            accepted(&refused).unwrap_err();
        }
    }
}
