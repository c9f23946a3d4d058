//! Messages on the wire: CBOR, which describes itself, so that fields can be added between versions.

use std::marker::PhantomData;

use bytes::{Buf, BufMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The largest message between nodes: a store transaction has at most 1.5 MiB, a piece of a snapshot less than 8.
pub const MAX_MESSAGE_SIZE: usize = 8 * 1024 * 1024;

/// Encodes one type and decodes another.
#[derive(Debug)]
pub(crate) struct CborCodec<E, D>(PhantomData<fn(E) -> D>);

impl<E, D> Default for CborCodec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> Codec for CborCodec<E, D>
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

/// Writes a message.
#[derive(Debug)]
pub(crate) struct CborEncoder<E>(PhantomData<fn(E)>);

impl<E: Serialize> Encoder for CborEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        ciborium::into_writer(&item, buffer.writer())
            .map_err(|error| Status::internal(format!("failed to encode a message: {error}")))
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
            .map_err(|error| Status::invalid_argument(format!("failed to decode a message: {error}")))?;
        if buffer.has_remaining() {
            return Err(Status::invalid_argument("failed to decode a message: bytes follow it"));
        }
        Ok(Some(message))
    }
}
