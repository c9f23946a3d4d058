//! One datagram: sealed for one receiver, numbered and dated.
//!
//! ```text
//! ┌ format 1 │ key id 4 │ sender 25 │ nonce 24 ┐┌ life 8 │ number 8 │ date 8 │ message … │ tag 16 ┐
//! └──────────────── in the clear ──────────────┘└──────────────── sealed ──────────────────────────┘
//! ```
//!
//! What is in the clear, and the receiver's id, are authenticated with the rest: a datagram that was changed, or sent
//! on to another member, does not open. Numbers are big-endian; dates are milliseconds since 1970.

use chacha20poly1305::XNonce;
use chacha20poly1305::aead::AeadInOut;
use model::NodeId;

use crate::keys::KeyRing;

/// The largest datagram that is sent or looked at: fits every network without fragments.
pub const MAX_DATAGRAM: usize = 1400;
/// The largest message of SWIM in a datagram.
pub(crate) const MAX_MESSAGE: usize = MAX_DATAGRAM - HEADER - STAMP - TAG;

const FORMAT: u8 = 1;
const SENDER: usize = 25;
const NONCE: usize = 24;
const HEADER: usize = 1 + 4 + SENDER + NONCE;
const STAMP: usize = 24;
const TAG: usize = 16;

/// What tells one datagram of a sender from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When the sender's process started.
    pub(crate) life: u64,
    /// Counted by the sender, from 1.
    pub(crate) number: u64,
    /// When it was sent, by the sender's clock.
    pub(crate) date: u64,
}

/// A datagram that opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) sender: NodeId,
    pub(crate) stamp: Stamp,
    pub(crate) message: Vec<u8>,
}

/// Why a datagram is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it is too short or too long")]
    Length,
    #[error("its format is not known")]
    Format,
    #[error("its sender is not a member")]
    UnknownSender,
    #[error("its key is not known")]
    UnknownKey,
    #[error("it does not open: it was changed, or is for another member")]
    Forged,
    #[error("its date is far from our clock")]
    Stale,
    #[error("it was received before, or is from an earlier life of its sender")]
    Replayed,
}

/// Seals a message for one receiver. Nothing where there is no key, or the message is too long.
pub(crate) fn seal(
    keys: &KeyRing,
    sender: &NodeId,
    receiver: &NodeId,
    nonce: [u8; NONCE],
    stamp: Stamp,
    message: &[u8],
) -> Option<Vec<u8>> {
    let (key_id, cipher) = keys.sealing()?;
    if message.len() > MAX_MESSAGE {
        return None;
    }
    let mut header = Vec::with_capacity(MAX_DATAGRAM);
    header.push(FORMAT);
    header.extend_from_slice(&key_id.to_be_bytes());
    header.extend_from_slice(sender.as_str().as_bytes());
    header.extend_from_slice(&nonce);

    let mut sealed = Vec::with_capacity(STAMP + message.len() + TAG);
    sealed.extend_from_slice(&stamp.life.to_be_bytes());
    sealed.extend_from_slice(&stamp.number.to_be_bytes());
    sealed.extend_from_slice(&stamp.date.to_be_bytes());
    sealed.extend_from_slice(message);
    cipher.encrypt_in_place(&XNonce::from(nonce), &authenticated(&header, receiver), &mut sealed).ok()?;

    header.extend_from_slice(&sealed);
    Some(header)
}

/// Opens a datagram, if a member sent it to this receiver. Whether it is fresh and new is for the replay guard.
pub(crate) fn open(
    keys: &KeyRing,
    receiver: &NodeId,
    is_member: impl FnOnce(&NodeId) -> bool,
    datagram: &[u8],
) -> Result<Opened, Refused> {
    if datagram.len() < HEADER + STAMP + TAG || datagram.len() > MAX_DATAGRAM {
        return Err(Refused::Length);
    }
    let (header, sealed) = datagram.split_at(HEADER);
    if header[0] != FORMAT {
        return Err(Refused::Format);
    }
    let sender = str::from_utf8(&header[5..5 + SENDER]).ok().and_then(|sender| sender.parse::<NodeId>().ok());
    let sender = sender.filter(|sender| is_member(sender)).ok_or(Refused::UnknownSender)?;
    let key_id = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    let cipher = keys.opening(key_id).ok_or(Refused::UnknownKey)?;
    let nonce = <[u8; NONCE]>::try_from(&header[5 + SENDER..]).map_err(|_| Refused::Length)?;

    let mut message = sealed.to_vec();
    cipher
        .decrypt_in_place(&XNonce::from(nonce), &authenticated(header, receiver), &mut message)
        .map_err(|_| Refused::Forged)?;
    let stamp = Stamp { life: number(&message, 0), number: number(&message, 8), date: number(&message, 16) };
    message.drain(..STAMP);
    Ok(Opened { sender, stamp, message })
}

fn authenticated(header: &[u8], receiver: &NodeId) -> Vec<u8> {
    [header, receiver.as_str().as_bytes()].concat()
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
