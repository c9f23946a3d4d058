//! Messages of SWIM as bytes, with the roster as a sieve.
//!
//! The roster alone says who takes part. So a message must be from the member that sealed it, and what it tells of
//! others is skipped where they are not in the roster: a removed node is not kept alive by hearsay.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member, Message, PostcardCodec};
use model::NodeId;

use crate::place::Place;

/// Reads and writes messages of SWIM. Clones share the roster: one is inside SWIM, the other with whoever drives it.
#[derive(Debug, Clone)]
pub(crate) struct RosterCodec(Arc<Mutex<Sieve>>);

#[derive(Debug)]
struct Sieve {
    own: Place,
    members: BTreeSet<NodeId>,
    sender: Option<NodeId>,
}

/// Why a message is not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidMessage {
    #[error("the message is malformed")]
    Malformed(#[from] PostcardError),
    #[error("the message is not from the member that sealed it")]
    OtherSender,
    #[error("the message names a node that is not a member")]
    NotAMember,
}

type PostcardError = <PostcardCodec as Codec<Place>>::Error;

impl RosterCodec {
    pub(crate) fn new(own: Place) -> Self {
        Self(Arc::new(Mutex::new(Sieve { own, members: BTreeSet::new(), sender: None })))
    }

    /// Replaces the roster.
    pub(crate) fn set_members(&self, members: BTreeSet<NodeId>) {
        self.sieve().members = members;
    }

    /// Names who sealed the message that is read next, and who we are at this moment.
    pub(crate) fn expect(&self, sender: NodeId, own: Place) {
        let mut sieve = self.sieve();
        sieve.sender = Some(sender);
        sieve.own = own;
    }

    fn sieve(&self) -> MutexGuard<'_, Sieve> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sieve {
    fn is_member(&self, place: &Place) -> bool {
        place.node_id == self.own.node_id || self.members.contains(&place.node_id)
    }
}

impl Codec<Place> for RosterCodec {
    type Error = InvalidMessage;

    fn encode_header(&mut self, header: &Header<Place>, buffer: impl BufMut) -> Result<(), InvalidMessage> {
        Ok(PostcardCodec.encode_header(header, buffer)?)
    }

    fn decode_header(&mut self, buffer: impl Buf) -> Result<Header<Place>, InvalidMessage> {
        let header: Header<Place> = PostcardCodec.decode_header(buffer)?;
        let sieve = self.sieve();
        if sieve.sender.as_ref() != Some(&header.src.node_id) {
            return Err(InvalidMessage::OtherSender);
        }
        let third = match &header.message {
            Message::PingReq { target: third, .. }
            | Message::IndirectAck { target: third, .. }
            | Message::IndirectPing { origin: third, .. }
            | Message::ForwardedAck { origin: third, .. } => Some(third),
            Message::Ping(_)
            | Message::Ack(_)
            | Message::Announce
            | Message::Feed
            | Message::Gossip
            | Message::Broadcast
            | Message::TurnUndead => None,
        };
        if third.is_some_and(|third| !sieve.is_member(third)) {
            return Err(InvalidMessage::NotAMember);
        }
        Ok(header)
    }

    fn encode_member(&mut self, member: &Member<Place>, buffer: impl BufMut) -> Result<(), InvalidMessage> {
        Ok(PostcardCodec.encode_member(member, buffer)?)
    }

    fn decode_member(&mut self, buffer: impl Buf) -> Result<Member<Place>, InvalidMessage> {
        let member: Member<Place> = PostcardCodec.decode_member(buffer)?;
        let sieve = self.sieve();
        if sieve.is_member(member.id()) {
            Ok(member)
        } else {
            // That we are alive is no news to us: SWIM takes it, and nothing follows from it.
            Ok(Member::alive(sieve.own.clone()))
        }
    }
}
