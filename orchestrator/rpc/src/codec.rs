//! Messages on the wire: CBOR, which describes itself, so that fields can be added between versions.
//!
//! A client encodes before it calls, so that what cannot be sent is refused without touching the connection.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use model::SwarmError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::to_status;

/// The largest message between nodes: a store transaction has at most 1.5 MiB, a piece of a snapshot less than 8.
pub const MAX_MESSAGE_SIZE: usize = 8 * 1024 * 1024;

/// Encodes a message that is to be sent.
pub(crate) fn encode(message: &impl Serialize) -> Result<Bytes, Status> {
    let mut bytes = Vec::new();
    ciborium::into_writer(message, &mut bytes)
        .map_err(|error| to_status(SwarmError::internal(format!("failed to encode a message: {error}"))))?;
    if bytes.len() > MAX_MESSAGE_SIZE {
        return Err(to_status(SwarmError::invalid(format!(
            "a message of {} bytes is larger than the {MAX_MESSAGE_SIZE} that nodes take",
            bytes.len()
        ))));
    }
    Ok(bytes.into())
}

/// Sends what is encoded already, and decodes the answer.
#[derive(Debug)]
pub(crate) struct ClientCodec<D>(PhantomData<fn() -> D>);

impl<D> Default for ClientCodec<D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<D: DeserializeOwned + Send + 'static> Codec for ClientCodec<D> {
    type Encode = Bytes;
    type Decode = D;
    type Encoder = EncodedAlready;
    type Decoder = CborDecoder<D>;

    fn encoder(&mut self) -> EncodedAlready {
        EncodedAlready
    }

    fn decoder(&mut self) -> CborDecoder<D> {
        CborDecoder(PhantomData)
    }
}

/// Decodes a request, and encodes the answer.
#[derive(Debug)]
pub(crate) struct ServerCodec<E, D>(PhantomData<fn(D) -> E>);

impl<E, D> Default for ServerCodec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> Codec for ServerCodec<E, D>
where
    E: Serialize + Send + 'static,
    D: DeserializeOwned + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = CborEncoder<E>;
    type Decoder = CborDecoder<D>;

    fn encoder(&mut self) -> CborEncoder<E> {
        CborEncoder(PhantomData)
    }

    fn decoder(&mut self) -> CborDecoder<D> {
        CborDecoder(PhantomData)
    }
}

/// Passes bytes on.
#[derive(Debug)]
pub(crate) struct EncodedAlready;

impl Encoder for EncodedAlready {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

/// Writes a message.
#[derive(Debug)]
pub(crate) struct CborEncoder<E>(PhantomData<fn(E)>);

impl<E: Serialize> Encoder for CborEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(encode(&item)?);
        Ok(())
    }
}

/// Reads a message; what follows it is refused.
#[derive(Debug)]
pub(crate) struct CborDecoder<D>(PhantomData<fn() -> D>);

impl<D: DeserializeOwned> Decoder for CborDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        let message = ciborium::from_reader(buffer.reader())
            .map_err(|error| to_status(SwarmError::invalid(format!("failed to decode a message: {error}"))))?;
        if buffer.has_remaining() {
            return Err(to_status(SwarmError::invalid("failed to decode a message: bytes follow it")));
        }
        Ok(Some(message))
    }
}
