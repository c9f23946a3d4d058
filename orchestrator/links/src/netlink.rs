//! Messages to and from the kernel by netlink: one small encoder, one small reader, blocking sockets.
//!
//! A netlink socket belongs to the network namespace in which it was opened, whoever uses it later. The kernel
//! queues its answer before the send returns, so reads do not wait; a time-out guards against a lost answer.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

/// `NLM_F_REQUEST`.
const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`.
const ACKNOWLEDGE: u16 = 0x4;
/// `NLM_F_DUMP`.
const DUMP: u16 = 0x300;
/// `NLM_F_EXCL`: fail where the object exists.
pub(crate) const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`: make the object.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_REPLACE`: replace the object where it exists.
pub(crate) const REPLACE: u16 = 0x100;
/// `NLM_F_APPEND`: put at the end of a list.
pub(crate) const APPEND: u16 = 0x800;
/// `NLM_F_DUMP_INTR`: a list changed while it was read.
const INTERRUPTED: u16 = 0x10;

/// `NLMSG_ERROR`, which is also the acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`.
const DONE: u16 = 3;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's kind that are no flags.
const KIND_MASK: u16 = 0x3fff;

const HEADER: usize = 16;
/// The kernel fills at most 32 KiB in one datagram of a list.
const RECEIVE_BUFFER: usize = 64 * 1024;
/// How often a list is read again that changed meanwhile.
const DUMP_ATTEMPTS: u32 = 8;
/// The kernel answers before `send` returns; this only guards against an answer that was lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// One request being written.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Starts a request of a kind with the fixed part that this kind begins with.
    pub(crate) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Self { bytes }
    }

    /// Appends an attribute.
    pub(crate) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        push_attribute(&mut self.bytes, kind, value);
        self
    }

    /// Appends a text, ended by a zero.
    pub(crate) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Appends a number in the machine's byte order, as rtnetlink wants them.
    pub(crate) fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends attributes inside an attribute.
    pub(crate) fn nested(self, kind: u16, attributes: &Attributes) -> Self {
        self.bytes(kind | NESTED, &attributes.0)
    }

    fn finish(mut self, sequence: u32, flags: u16) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).expect("a request is far smaller than 4 GiB");
        let all_flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | flags;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&all_flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// A list of attributes being written, to go inside another one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes(Vec<u8>);

impl Attributes {
    /// An empty list.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Starts with bytes that are no attribute (a peer's link header).
    pub(crate) fn after(fixed: &[u8]) -> Self {
        Self(fixed.to_vec())
    }

    /// Appends an attribute.
    pub(crate) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        push_attribute(&mut self.0, kind, value);
        self
    }

    /// Appends a text, ended by a zero.
    pub(crate) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Appends a number in the machine's byte order, as rtnetlink wants them.
    pub(crate) fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a number in network byte order, as nftables wants them.
    pub(crate) fn network_number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends attributes inside an attribute.
    pub(crate) fn nested(self, kind: u16, attributes: &Self) -> Self {
        self.bytes(kind | NESTED, &attributes.0)
    }
}

fn push_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).expect("callers keep attributes below 64 KiB");
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Reads a list of attributes, ending quietly at the first that is cut short.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(0..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & KIND_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A text attribute, without the zero that ends it.
pub(crate) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// A number in the machine's byte order.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

/// A socket to one of the kernel's netlink families, in the network namespace where it was opened.
#[derive(Debug)]
pub(crate) struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens a socket to links, addresses and routes.
    pub(crate) fn route() -> io::Result<Self> {
        Self::open(None)
    }

    /// Opens a socket to the packet filter.
    pub(crate) fn netfilter() -> io::Result<Self> {
        Self::open(Some(netlink::NETFILTER))
    }

    /// `NETLINK_ROUTE` is number zero, which is no family given.
    fn open(family: Option<rustix::net::Protocol>) -> io::Result<Self> {
        let descriptor = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, family)?;
        sockopt::set_socket_timeout(&descriptor, Timeout::Recv, Some(ANSWER_LIMIT))?;
        Ok(Self { descriptor, sequence: 0 })
    }

    /// Sends one request and waits until the kernel has done it.
    pub(crate) fn request(&mut self, message: Message) -> io::Result<()> {
        let sequence = self.next_sequence();
        self.send(&message.finish(sequence, ACKNOWLEDGE))?;
        loop {
            for answer in split(&self.receive(RecvFlags::empty())?)? {
                if answer.sequence == sequence && answer.kind == ERROR {
                    return answer.result();
                }
            }
        }
    }

    /// Asks for a list and returns what follows the header of each of its messages.
    pub(crate) fn dump(&mut self, message: &Message) -> io::Result<Vec<Vec<u8>>> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(list) = self.try_dump(message.clone())? {
                return Ok(list);
            }
        }
        Err(Errno::INTR.into())
    }

    /// Sends all messages in one datagram, which the packet filter takes as one transaction.
    pub(crate) fn transact(&mut self, begin: Message, messages: Vec<Message>, end: Message) -> io::Result<()> {
        let last = messages.len();
        let mut datagram = begin.finish(self.next_sequence(), 0);
        for (position, message) in messages.into_iter().enumerate() {
            let flags = if position + 1 == last { ACKNOWLEDGE } else { 0 };
            datagram.extend(message.finish(self.next_sequence(), flags));
        }
        let final_request = self.sequence;
        datagram.extend(end.finish(self.next_sequence(), 0));
        sockopt::set_socket_send_buffer_size_force(&self.descriptor, datagram.len() * 2 + RECEIVE_BUFFER)?;
        self.send(&datagram)?;
        self.transaction_result(final_request)
    }

    /// The first failure among the answers to a transaction: the kernel queued all of them before `send` returned.
    fn transaction_result(&mut self, final_request: u32) -> io::Result<()> {
        let mut outcome = None;
        loop {
            let datagram = match self.receive(RecvFlags::DONTWAIT) {
                Ok(datagram) => datagram,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            for answer in split(&datagram)? {
                if answer.kind == ERROR {
                    answer.result()?;
                    if answer.sequence == final_request {
                        outcome = Some(());
                    }
                }
            }
        }
        outcome.ok_or_else(|| io::Error::other("the kernel did not acknowledge the transaction"))
    }

    fn try_dump(&mut self, message: Message) -> io::Result<Option<Vec<Vec<u8>>>> {
        let sequence = self.next_sequence();
        self.send(&message.finish(sequence, DUMP))?;
        let mut list = Vec::new();
        let mut is_consistent = true;
        loop {
            for answer in split(&self.receive(RecvFlags::empty())?)? {
                if answer.sequence != sequence {
                    continue;
                }
                is_consistent &= answer.flags & INTERRUPTED == 0;
                match answer.kind {
                    ERROR => answer.result()?,
                    DONE => return Ok(is_consistent.then_some(list)),
                    _ => list.push(answer.payload.to_vec()),
                }
            }
        }
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let sent = send(&self.descriptor, datagram, SendFlags::empty())?;
        if sent == datagram.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn receive(&self, flags: RecvFlags) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; RECEIVE_BUFFER];
        let (read, whole) = recv(&self.descriptor, &mut buffer[..], flags | RecvFlags::TRUNC)?;
        if whole > read {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is too long"));
        }
        buffer.truncate(read);
        Ok(buffer)
    }
}

/// One message of the kernel.
struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl Answer<'_> {
    /// What an error message says: zero is the acknowledgement.
    fn result(&self) -> io::Result<()> {
        let code = self.payload.get(0..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
        match code {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(-code)),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn split(datagram: &[u8]) -> io::Result<Vec<Answer<'_>>> {
    let mut answers = Vec::new();
    let mut rest = datagram;
    while rest.len() >= HEADER {
        let word = |range: std::ops::Range<usize>| u32::from_ne_bytes(rest[range].try_into().expect("four bytes"));
        let half = |at: usize| u16::from_ne_bytes([rest[at], rest[at + 1]]);
        let length = usize::try_from(word(0..4)).unwrap_or(usize::MAX);
        let payload = rest.get(HEADER..length).ok_or(io::ErrorKind::InvalidData)?;
        answers.push(Answer { kind: half(4), flags: half(6), sequence: word(8..12), payload });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_read_back_as_they_were_written() {
        let written = Attributes::new().text(3, "eth0").number(4, 7).nested(5, &Attributes::new().bytes(1, &[9]));

        let read: Vec<(u16, Vec<u8>)> = attributes(&written.0).map(|(kind, value)| (kind, value.to_vec())).collect();

        assert_eq!(read[0], (3, b"eth0\0".to_vec()));
        assert_eq!(number(&read[1].1), Some(7));
        assert_eq!((read[2].0, read.len()), (5, 3));
    }

    #[test]
    fn an_attribute_that_is_cut_short_ends_the_list() {
        assert_eq!(attributes(&[200, 0, 1, 0, 1]).count(), 0);
        assert_eq!(attributes(&[2, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[]).count(), 0);
    }

    #[test]
    fn a_message_that_claims_more_than_there_is_is_refused() {
        let mut datagram = vec![0; HEADER];
        datagram[0] = 255;

        assert!(split(&datagram).is_err());
    }
}
