//! The codec on questions and answers as clients and servers send them, and on arbitrary bytes.

use super::*;

/// A question as clients send it: for addresses of IPv4, with options where the last says how much it takes.
pub(crate) fn question(name: &str, kind: u16, datagram: Option<u16>) -> Vec<u8> {
    let mut message = vec![0xab, 0xcd, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(datagram.is_some())];
    message.extend_from_slice(&name_bytes(name));
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    if let Some(datagram) = datagram {
        message.extend_from_slice(&[0, 0, 41]);
        message.extend_from_slice(&datagram.to_be_bytes());
        message.extend_from_slice(&[0; 6]);
    }
    message
}

#[test]
fn a_question_is_read() {
    let plain = read(&question("Web.Front", 1, None)).unwrap();
    let large = read(&question("web", 28, Some(1232))).unwrap();

    assert_eq!((plain.name.as_str(), plain.kind, plain.is_internet), ("web.front", Kind::A, true));
    assert_eq!((plain.datagram, large.datagram, large.kind), (512, 1232, Kind::Aaaa));
    assert_eq!(read(&question("a", 12, None)).unwrap().kind, Kind::Ptr);
    assert_eq!(read(&question("a", 15, Some(9))).unwrap().datagram, 512, "less is nobody's");
}

#[test]
fn what_is_no_question_is_refused_or_passed_over() {
    let mut answer = question("web", 1, None);
    answer[2] |= 0x80;
    let mut update = question("web", 1, None);
    update[2] |= 0x28;
    let mut two = question("web", 1, None);
    two[5] = 2;
    let mut pointer = question("web", 1, None);
    pointer[12] = 0xc0;

    assert_eq!(read(&answer), Err(None));
    assert_eq!(read(&[0; 11]), Err(None));
    assert_eq!(read(&update), Err(Some(Code::NotImplemented)));
    for message in [&two, &pointer, &question("web", 1, None)[..14].to_vec()] {
        assert_eq!(read(message), Err(Some(Code::FormatError)));
    }
    let long = vec!["a".repeat(63); 5].join(".");
    let mut message = question("", 1, None)[..12].to_vec();
    for label in long.split('.') {
        message.push(63);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    assert_eq!(read(&message), Err(Some(Code::FormatError)));
}

#[test]
fn an_answer_has_the_question_and_the_records() {
    let message = question("web", 1, None);
    let question = read(&message).unwrap();
    let records = [Record::Address("10.0.0.2".parse().unwrap()), Record::Name("web.front".to_owned())];

    let answer = write(&message, &question, &records, 512);

    assert_eq!(answer[..12], [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0]);
    assert_eq!(answer[12..21], message[12..21]);
    assert_eq!(answer[21..37], [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 0, 0, 2]);
    assert_eq!(answer[37..], *b"\xc0\x0c\0\x0c\0\x01\0\0\0\0\0\x0b\x03web\x05front\0");
    assert_eq!(code_of_answer(&message, &answer), Some(0));
    assert_eq!(code_of_answer(&message, &refuse(&message, Code::ServerFailure)), Some(2));
    let mut foreign = answer.clone();
    foreign[13] = b'x';
    assert_eq!(code_of_answer(&message, &foreign), None, "an answer to another question");
    assert_eq!(code_of_answer(&message, &answer[..14]), None);
}

#[test]
fn what_has_no_room_is_left_out_and_told_of() {
    let message = question("web", 1, None);
    let question = read(&message).unwrap();
    let records = vec![Record::Address("10.0.0.2".parse().unwrap()); 100];

    let short = write(&message, &question, &records, question.datagram);
    let whole = write(&message, &question, &records, usize::from(u16::MAX));

    assert!(short.len() <= 512 && short[2] & 2 != 0);
    assert_eq!(u16::from_be_bytes([short[6], short[7]]), 30);
    assert_eq!((u16::from_be_bytes([whole[6], whole[7]]), whole[2] & 2), (100, 0));
}

proptest::proptest! {
    #[test]
    fn no_message_makes_it_panic(message: Vec<u8>, answer: Vec<u8>) {
        if let Ok(question) = read(&message) {
            let records = [Record::Name(question.name.clone())];
            write(&message, &question, &records, question.datagram);
        }
        if message.len() >= 12 {
            refuse(&message, Code::FormatError);
        }
        code_of_answer(&message, &answer);
    }

    #[test]
    fn no_tail_of_a_question_makes_it_panic(tail: Vec<u8>) {
        let mut message = question("a", 1, Some(1232))[..12].to_vec();
        message.extend_from_slice(&tail);
        if let Ok(question) = read(&message) {
            write(&message, &question, &[], question.datagram);
        }
        code_of_answer(&message, &message);
    }
}
