//! What a question is answered with: a name of ours, or what others say. Pure.

use std::net::{IpAddr, Ipv4Addr};

use crate::Names;
use crate::message::{self, Code, Kind, Question, Record};

/// The domain of names of addresses.
const ADDRESSES: &str = ".in-addr.arpa";

/// What becomes of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// This is the answer.
    Send(Vec<u8>),
    /// Others are to be asked.
    Forward,
    /// It is not to be answered.
    Nothing,
}

/// What a message is answered with. `turn` says which of several addresses is the first, so that all of them have their
/// turn; `is_datagram` that there is no room for more than its asker takes.
pub(crate) fn answer(message: &[u8], names: &dyn Names, turn: usize, is_datagram: bool) -> Reply {
    let question = match message::read(message) {
        Ok(question) => question,
        Err(Some(code)) => return Reply::Send(message::refuse(message, code)),
        Err(None) => return Reply::Nothing,
    };
    let Some(mut records) = records(&question, names) else { return Reply::Forward };
    let count = records.len().max(1);
    records.rotate_left(turn % count);
    let limit = if is_datagram { question.datagram } else { usize::from(u16::MAX) };
    Reply::Send(message::write(message, &question, &records, limit))
}

/// The answer to a question that nobody answers.
pub(crate) fn failure(message: &[u8]) -> Vec<u8> {
    message::refuse(message, Code::ServerFailure)
}

/// The records for a name of ours: none where it has nothing of this kind.
fn records(question: &Question, names: &dyn Names) -> Option<Vec<Record>> {
    if !question.is_internet {
        return None;
    }
    if question.kind == Kind::Ptr {
        let name = names.name_of(IpAddr::V4(address_in(&question.name)?))?;
        return Some(vec![Record::Name(name)]);
    }
    let addresses = names.addresses_of(&question.name)?;
    let is_asked_for = |address: &IpAddr| match question.kind {
        Kind::A => address.is_ipv4(),
        Kind::Aaaa => address.is_ipv6(),
        Kind::Ptr | Kind::Other => false,
    };
    Some(addresses.into_iter().filter(is_asked_for).map(Record::Address).collect())
}

/// The address that a name like `2.0.0.10.in-addr.arpa` stands for.
fn address_in(name: &str) -> Option<Ipv4Addr> {
    let reversed: Ipv4Addr = name.strip_suffix(ADDRESSES)?.parse().ok()?;
    let [a, b, c, d] = reversed.octets();
    Some(Ipv4Addr::new(d, c, b, a))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::message::tests::question;

    #[derive(Debug)]
    struct Two;

    impl Names for Two {
        fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
            (name == "web").then(|| ["10.0.0.2", "10.0.0.3"].map(|text| text.parse().unwrap()).to_vec())
        }

        fn name_of(&self, address: IpAddr) -> Option<String> {
            (address == IpAddr::from([10, 0, 0, 2])).then(|| "web.front".to_owned())
        }

        fn servers(&self) -> Vec<SocketAddr> {
            Vec::new()
        }
    }

    /// The count of answers, and the last bytes of the first one.
    fn first(name: &str, kind: u16, turn: usize) -> Option<(u8, Vec<u8>)> {
        match answer(&question(name, kind, None), &Two, turn, true) {
            Reply::Send(answer) => {
                assert_eq!(answer[3] & 0x0f, 0);
                let at = question(name, kind, None).len();
                Some((answer[7], answer.get(at + 12..at + 16).unwrap_or_default().to_vec()))
            }
            Reply::Forward => None,
            Reply::Nothing => panic!("it is a question"),
        }
    }

    #[test]
    fn names_of_ours_are_answered_and_all_of_them_have_their_turn() {
        assert_eq!(first("WEB", 1, 0), Some((2, vec![10, 0, 0, 2])));
        assert_eq!(first("web", 1, 1), Some((2, vec![10, 0, 0, 3])));
        assert_eq!(first("web", 28, 0), Some((0, Vec::new())), "it has no address of IPv6, and is there");
        assert_eq!(first("web", 15, 0), Some((0, Vec::new())));
        assert_eq!(first("2.0.0.10.in-addr.arpa", 12, 0), Some((1, b"\x03web".to_vec())));
    }

    #[test]
    fn what_is_nobodys_of_ours_is_asked_of_others() {
        for (name, kind) in [("example.com", 1), ("db", 1), ("9.0.0.10.in-addr.arpa", 12), ("x.in-addr.arpa", 12)] {
            assert_eq!(first(name, kind, 0), None, "{name}");
        }
        let mut chaos = question("web", 1, None);
        let last = chaos.len() - 1;
        chaos[last] = 3;
        assert_eq!(answer(&chaos, &Two, 0, true), Reply::Forward);
    }
}
