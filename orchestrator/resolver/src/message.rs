//! Messages of the domain name system (RFC 1035), as far as a name server needs that answers for a few names: a question is
//! read, an answer is written. What is asked of others passes through unread.

use std::net::IpAddr;

/// The length of a message's head, in bytes.
const HEAD: usize = 12;
/// The longest name and the longest label, in bytes (RFC 1035, 2.3.4).
const NAME_LIMIT: usize = 255;
const LABEL_LIMIT: u8 = 63;
/// The longest answer in a datagram to who says nothing of it, in bytes (RFC 1035, 4.2.1).
const PLAIN_DATAGRAM: usize = 512;
/// The longest answer in a datagram to anybody, in bytes: what the loopback carries whole.
const LARGEST_DATAGRAM: usize = 65_000;
/// `IN`.
const INTERNET: u16 = 1;
/// `OPT`: the record by which a client says how much it takes (RFC 6891).
const OPTIONS: u16 = 41;
/// How long an answer may be kept, in seconds: not at all, as a container may go at any moment.
const LIFETIME: u32 = 0;
/// Where the question's name stands in every answer: a pointer to behind the head.
const SAME_NAME: [u8; 2] = [0xc0, 0x0c];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Addresses of IPv4.
    A,
    /// Addresses of IPv6.
    Aaaa,
    /// The name of an address.
    Ptr,
    /// Anything else.
    Other,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Well, also where there is nothing of this kind.
    Fine = 0,
    /// It was not understood.
    FormatError = 1,
    /// Nobody could be asked.
    ServerFailure = 2,
    /// It is none of what is offered.
    NotImplemented = 4,
}

/// A question that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// The name in lower case, without a dot at its end.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether it is of the internet's class.
    pub(crate) is_internet: bool,
    /// The longest answer that its asker takes in a datagram, in bytes.
    pub(crate) datagram: usize,
    /// Where it ends in its message.
    end: usize,
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Address(IpAddr),
    Name(String),
}

/// The question of a message; the code of the refusal where it is none, and `None` where it is not to be answered at all.
pub(crate) fn read(message: &[u8]) -> Result<Question, Option<Code>> {
    let head = message.get(..HEAD).ok_or(None)?;
    if head[2] & 0x80 != 0 {
        // An answer, to which an answer would go back and forth for ever.
        return Err(None);
    }
    if head[2] & 0x78 != 0 {
        return Err(Some(Code::NotImplemented));
    }
    let count = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    if count(4) != 1 {
        return Err(Some(Code::FormatError));
    }
    let (name, at) = read_name(message).ok_or(Some(Code::FormatError))?;
    let fixed = message.get(at..at + 4).ok_or(Some(Code::FormatError))?;
    let kind = match u16::from_be_bytes([fixed[0], fixed[1]]) {
        1 => Kind::A,
        28 => Kind::Aaaa,
        12 => Kind::Ptr,
        _ => Kind::Other,
    };
    let is_internet = u16::from_be_bytes([fixed[2], fixed[3]]) == INTERNET;
    let end = at + 4;
    let has_options_alone = count(6) == 0 && count(8) == 0 && count(10) > 0;
    let told = Some(()).filter(|()| has_options_alone).and_then(|()| read_datagram(&message[end..]));
    let datagram = told.unwrap_or(PLAIN_DATAGRAM).clamp(PLAIN_DATAGRAM, LARGEST_DATAGRAM);
    Ok(Question { name, kind, is_internet, datagram, end })
}

/// The question's name as text, and where it ends. A name with a byte in it that none of ours has is written so that it
/// is none of ours.
fn read_name(message: &[u8]) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = HEAD;
    loop {
        let length = *message.get(at)?;
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        let label = message.get(at..at + usize::from(length)).filter(|_| length <= LABEL_LIMIT)?;
        at += label.len();
        if at - HEAD >= NAME_LIMIT {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        for byte in label {
            let is_plain = byte.is_ascii_graphic() && *byte != b'.' || *byte == b' ';
            name.push(if is_plain { char::from(byte.to_ascii_lowercase()) } else { char::REPLACEMENT_CHARACTER });
        }
    }
}

/// How much a client takes, where the options are the first thing behind its question.
fn read_datagram(rest: &[u8]) -> Option<usize> {
    let record = rest.get(..5)?;
    let is_options = record[0] == 0 && u16::from_be_bytes([record[1], record[2]]) == OPTIONS;
    is_options.then(|| usize::from(u16::from_be_bytes([record[3], record[4]])))
}

/// A message that answers a question with these records. Those that have no room in `limit` bytes are left out, and the
/// answer says so.
pub(crate) fn write(message: &[u8], question: &Question, records: &[Record], limit: usize) -> Vec<u8> {
    let mut answer = head(message, Code::Fine);
    answer.extend_from_slice(&message[HEAD..question.end]);
    answer[5] = 1;
    let mut written = 0_u16;
    for record in records {
        let bytes = record_bytes(record);
        if answer.len() + bytes.len() > limit || written == u16::MAX {
            // `TC`: ask by a stream, which has room.
            answer[2] |= 0x02;
            break;
        }
        answer.extend_from_slice(&bytes);
        written += 1;
    }
    answer[6..8].copy_from_slice(&written.to_be_bytes());
    answer
}

/// A message that tells how a question ended, of which nothing more is known.
pub(crate) fn refuse(message: &[u8], code: Code) -> Vec<u8> {
    let mut answer = head(message, code);
    if let Ok(question) = read(message) {
        answer.extend_from_slice(&message[HEAD..question.end]);
        answer[5] = 1;
    }
    answer
}

/// The code with which a message from another server ended; `None` where it is no answer to this one.
pub(crate) fn code_of_answer(message: &[u8], answer: &[u8]) -> Option<u8> {
    let question = read(message).ok()?;
    let (asked, repeated) = (&message[HEAD..question.end], answer.get(HEAD..question.end)?);
    let is_answer = answer[..2] == message[..2] && answer[2] & 0x80 != 0 && repeated.eq_ignore_ascii_case(asked);
    is_answer.then_some(answer[3] & 0x0f)
}

/// The head of an answer, which counts nothing yet.
fn head(message: &[u8], code: Code) -> Vec<u8> {
    let mut head = vec![0; HEAD];
    head[..2].copy_from_slice(&message[..2]);
    // An answer, to the same kind of question, which may have asked for others to be asked: they are.
    head[2] = 0x80 | message[2] & 0x79;
    head[3] = 0x80 | code as u8;
    head
}

fn record_bytes(record: &Record) -> Vec<u8> {
    let (kind, value) = match record {
        Record::Address(IpAddr::V4(address)) => (1_u16, address.octets().to_vec()),
        Record::Address(IpAddr::V6(address)) => (28, address.octets().to_vec()),
        Record::Name(name) => (12, name_bytes(name)),
    };
    let mut bytes = SAME_NAME.to_vec();
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&INTERNET.to_be_bytes());
    bytes.extend_from_slice(&LIFETIME.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(value.len()).expect("a name is shorter").to_be_bytes());
    bytes.extend_from_slice(&value);
    bytes
}

/// A name as messages have it, cut to the labels and the length that it may have.
fn name_bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(LABEL_LIMIT.into())];
        if bytes.len() + label.len() + 2 > NAME_LIMIT {
            break;
        }
        bytes.push(u8::try_from(label.len()).expect("it was cut"));
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes
}

#[cfg(test)]
#[path = "message_tests.rs"]
pub(crate) mod tests;
