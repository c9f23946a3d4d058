//! What the packet filter remembers of connections (nfnetlink): forgotten where its rules have changed.
//!
//! A flow of datagrams has no end that the kernel could see. As long as its sender goes on, its packets go where the first
//! one went, whatever the rules say by now.

use rustix::io::Errno;

use crate::KernelError;
use crate::error::Doing;
use crate::netlink::{Attributes, Message, Socket, attributes};

/// Messages about connections (`IPCTNL_MSG_CT_*` behind their subsystem's number).
const LIST: u16 = (1 << 8) | 1;
const DELETE: u16 = (1 << 8) | 2;
/// A `struct nfgenmsg` of IPv4.
const HEADER: [u8; 4] = [2, 0, 0, 0];
/// `CTA_TUPLE_ORIG`: the first packet of a connection.
const FIRST_PACKET: u16 = 1;
/// `CTA_TUPLE_PROTO`
const PROTOCOL: u16 = 2;
/// `CTA_PROTO_NUM`
const PROTOCOL_NUMBER: u16 = 1;
/// `CTA_PROTO_DST_PORT`
const DESTINATION_PORT: u16 = 3;
const UDP: u8 = 17;

/// Forgets every flow of IPv4 datagrams that were sent to one of these ports, in the caller's network namespace. A kernel
/// that does not tell of connections remembers them until they rest.
pub fn forget_datagrams(ports: &[u16]) -> Result<(), KernelError> {
    let action = || "forget flows of datagrams";
    let mut socket = Socket::netfilter().doing(action)?;
    let list = match socket.dump(&Message::new(LIST, 0, &HEADER)) {
        Err(error) if is(&error, &[Errno::INVAL, Errno::OPNOTSUPP, Errno::PROTONOSUPPORT]) => return Ok(()),
        list => list.doing(action)?,
    };
    for entry in &list {
        let Some(first) = entry.get(HEADER.len()..).and_then(|rest| find(rest, FIRST_PACKET)) else { continue };
        if destination(first).is_none_or(|port| !ports.contains(&port)) {
            continue;
        }
        let message = Message::new(DELETE, 0, &HEADER).nested(FIRST_PACKET, &Attributes::after(first));
        match socket.request(message) {
            // It has come to rest meanwhile.
            Err(error) if is(&error, &[Errno::NOENT]) => {}
            outcome => outcome.doing(action)?,
        }
    }
    Ok(())
}

fn is(error: &std::io::Error, errnos: &[Errno]) -> bool {
    error.raw_os_error().is_some_and(|code| errnos.iter().any(|errno| errno.raw_os_error() == code))
}

/// The port that a first packet went to, where it is a datagram.
fn destination(first: &[u8]) -> Option<u16> {
    let protocol = find(first, PROTOCOL)?;
    (find(protocol, PROTOCOL_NUMBER)? == [UDP]).then_some(())?;
    Some(u16::from_be_bytes(find(protocol, DESTINATION_PORT)?.try_into().ok()?))
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}
