//! What opens, what does not, and that nothing panics.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::GossipKey;
use model::Secret;
use proptest::prelude::*;

use super::*;

const STAMP_ONE: Stamp = Stamp { life: 1_800_000_000_000, number: 1, date: 1_800_000_000_001 };

fn node(letter: char) -> NodeId {
    std::iter::repeat_n(letter, 25).collect::<String>().parse().expect("an id")
}

fn key(id: u32) -> GossipKey {
    let byte = u8::try_from(id).expect("a small id");
    GossipKey { id, key: Secret::new(STANDARD.encode([byte; 32])) }
}

fn ring(ids: &[u32]) -> KeyRing {
    KeyRing::new(&ids.iter().map(|id| key(*id)).collect::<Vec<_>>())
}

fn sealed(message: &[u8]) -> Vec<u8> {
    seal(&ring(&[1]), &node('a'), &node('b'), [7; NONCE], STAMP_ONE, message).expect("there is a key")
}

#[test]
fn a_datagram_opens_for_its_receiver() {
    let opened = open(&ring(&[1]), &node('b'), |_| true, &sealed(b"hello"));

    assert_eq!(opened, Ok(Opened { sender: node('a'), stamp: STAMP_ONE, message: b"hello".to_vec() }));
}

#[test]
fn the_longest_message_fits_and_a_longer_one_is_not_sealed() {
    let longest = sealed(&[0; MAX_MESSAGE]);
    let longer = seal(&ring(&[1]), &node('a'), &node('b'), [7; NONCE], STAMP_ONE, &[0; MAX_MESSAGE + 1]);

    assert_eq!(longest.len(), MAX_DATAGRAM);
    assert!(open(&ring(&[1]), &node('b'), |_| true, &longest).is_ok());
    assert_eq!(longer, None);
}

#[test]
fn who_is_not_meant_or_not_a_member_is_refused() {
    let datagram = sealed(b"hello");
    let check = |receiver: char, is_member: bool, keys: &[u32], expected: Refused| {
        assert_eq!(open(&ring(keys), &node(receiver), |_| is_member, &datagram), Err(expected));
    };
    check('c', true, &[1], Refused::Forged);
    check('b', false, &[1], Refused::UnknownSender);
    check('b', true, &[2], Refused::UnknownKey);
    check('b', true, &[], Refused::UnknownKey);
}

#[test]
fn a_key_is_changed_in_two_steps_without_a_lost_datagram() {
    let old_then_new = ring(&[1, 2]);
    let new_then_old = ring(&[2, 1]);
    let early = seal(&old_then_new, &node('a'), &node('b'), [7; NONCE], STAMP_ONE, b"x").expect("there is a key");
    let late = seal(&new_then_old, &node('a'), &node('b'), [7; NONCE], STAMP_ONE, b"x").expect("there is a key");

    assert!(open(&new_then_old, &node('b'), |_| true, &early).is_ok());
    assert!(open(&old_then_new, &node('b'), |_| true, &late).is_ok());
    assert_eq!(open(&ring(&[2]), &node('b'), |_| true, &early), Err(Refused::UnknownKey));
}

#[test]
fn a_key_that_cannot_be_read_is_left_out() {
    let broken = GossipKey { id: 1, key: Secret::new("not base64!") };
    let short = GossipKey { id: 2, key: Secret::new(STANDARD.encode([0; 31])) };
    let ring = KeyRing::new(&[broken, short, key(3)]);

    assert_eq!(ring.sealing().map(|(id, _)| id), Some(3));
}

proptest! {
    #[test]
    fn a_changed_bit_anywhere_keeps_it_shut(position in 0_usize..10_000, bit in 0_u8..8) {
        let mut datagram = sealed(b"a message of some length");
        let position = position % datagram.len();
        datagram[position] ^= 1 << bit;

        prop_assert!(open(&ring(&[1]), &node('b'), |_| true, &datagram).is_err());
    }

    #[test]
    fn a_cut_or_lengthened_datagram_stays_shut(length in 0_usize..2000) {
        let mut datagram = sealed(b"a message of some length");
        prop_assume!(length != datagram.len());
        datagram.resize(length, 0);

        prop_assert!(open(&ring(&[1]), &node('b'), |_| true, &datagram).is_err());
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(open(&ring(&[1]), &node('b'), |_| true, &bytes).is_err());
    }
}
