//! Swarms of gossips on loopback addresses, in paused time where time matters.

mod lab;

use std::net::Ipv4Addr;

use bytes::BytesMut;
use foca::{Codec, Header, Message, PostcardCodec};
use proptest::prelude::*;
use tokio::time::{Duration, timeout};

use lab::Lab;

use super::*;

/// Within this time the death of a member must be known to all.
const DEATH_KNOWN: Duration = Duration::from_secs(6);
/// Within this time all must know of a member that said that it goes: two rounds of news.
const FAREWELL_KNOWN: Duration = Duration::from_millis(400);
/// Within this time members must find each other, and again after a partition.
const LIFE_KNOWN: Duration = Duration::from_secs(6);

fn epoch() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a moment in 2027")
}

fn node(index: usize) -> NodeId {
    format!("node{index:0>21}").parse().expect("an id")
}

fn key(id: u32) -> GossipKey {
    ca::generate_gossip_key(&mut StdRng::seed_from_u64(u64::from(id)), id)
}

#[tokio::test(start_paused = true)]
async fn a_member_that_ends_is_dead_to_all_others_and_alive_again_when_it_restarts() {
    let mut lab = Lab::start(5).await;
    lab.all_see(&[0, 1, 2, 3, 4], PeerState::Alive, LIFE_KNOWN).await;

    lab.kill(2).await;
    let killed = Instant::now();
    for who in [0, 1, 3, 4] {
        let left = DEATH_KNOWN.saturating_sub(killed.elapsed());
        lab.sees(who, 2, PeerState::Dead, left).await;
    }
    lab.all_see(&[0, 1, 3, 4], PeerState::Alive, Duration::ZERO).await;

    lab.restart(2).await;
    lab.all_see(&[0, 1, 2, 3, 4], PeerState::Alive, LIFE_KNOWN).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_goes_for_good_is_dead_to_all_others_at_once_and_alive_again_when_it_comes_back() {
    let mut lab = Lab::start(5).await;
    lab.all_see(&[0, 1, 2, 3, 4], PeerState::Alive, LIFE_KNOWN).await;

    lab.leave(2).await;
    let left = Instant::now();
    for who in [0, 1, 3, 4] {
        lab.sees(who, 2, PeerState::Dead, FAREWELL_KNOWN.saturating_sub(left.elapsed())).await;
    }

    lab.restart(2).await;
    lab.all_see(&[0, 1, 2, 3, 4], PeerState::Alive, LIFE_KNOWN).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_suspected_while_all_answer() {
    let mut lab = Lab::start(5).await;
    lab.all_see(&[0, 1, 2, 3, 4], PeerState::Alive, LIFE_KNOWN).await;

    for who in 0..5 {
        let accused = |view: &GossipView| view.peers.values().any(|state| *state != PeerState::Alive);
        let seen = timeout(Duration::from_secs(30), lab.views[who].wait_for(accused)).await.is_ok();
        assert!(!seen, "{who} sees {:?}", *lab.views[who].borrow());
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_member_is_dead_to_the_others() {
    let mut lab = Lab::start(3).await;
    lab.all_see(&[0, 1, 2], PeerState::Alive, LIFE_KNOWN).await;
    let addr = lab.roster.borrow()[&node(1)];

    lab.kill(1).await;
    let _takes_datagrams_and_reads_none = UdpSocket::bind(addr).await.expect("the port is free");

    lab.sees(0, 1, PeerState::Dead, DEATH_KNOWN).await;
    lab.sees(2, 1, PeerState::Dead, DEATH_KNOWN).await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_heals() {
    let mut lab = Lab::start(4).await;
    lab.all_see(&[0, 1, 2, 3], PeerState::Alive, LIFE_KNOWN).await;

    for index in [2, 3] {
        lab.keys[index].send_replace(vec![key(2)]);
    }
    for (who, whom) in [(0, 2), (0, 3), (1, 2), (1, 3), (2, 0), (2, 1), (3, 0), (3, 1)] {
        lab.sees(who, whom, PeerState::Dead, DEATH_KNOWN * 2).await;
    }
    lab.all_see(&[0, 1], PeerState::Alive, Duration::ZERO).await;
    lab.all_see(&[2, 3], PeerState::Alive, Duration::ZERO).await;

    for index in [2, 3] {
        lab.keys[index].send_replace(vec![key(1)]);
    }
    lab.all_see(&[0, 1, 2, 3], PeerState::Alive, LIFE_KNOWN * 2).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_suspected_while_the_key_changes_member_by_member() {
    let mut lab = Lab::start(3).await;
    lab.all_see(&[0, 1, 2], PeerState::Alive, LIFE_KNOWN).await;

    let orders = [vec![key(1), key(2)], vec![key(2), key(1)], vec![key(2)]];
    for order in orders {
        for index in 0..3 {
            lab.keys[index].send_replace(order.clone());
            let accused = |view: &GossipView| view.peers.values().any(|state| *state != PeerState::Alive);
            let seen = timeout(Duration::from_secs(3), lab.views[index].wait_for(accused)).await.is_ok();
            assert!(!seen, "{index} sees {:?}", *lab.views[index].borrow());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_roster_leaves_the_view_and_does_not_come_back() {
    let mut lab = Lab::start(3).await;
    lab.all_see(&[0, 1, 2], PeerState::Alive, LIFE_KNOWN).await;

    lab.roster.send_modify(|roster| {
        roster.remove(&node(2));
    });
    let gone = timeout(LIFE_KNOWN, lab.views[0].wait_for(|view| view.state(&node(2)).is_none())).await;
    assert!(gone.is_ok());
    drop(gone);
    let back = timeout(LIFE_KNOWN, lab.views[0].wait_for(|view| view.state(&node(2)).is_some())).await;

    assert!(back.is_err());
    drop(back);
    lab.all_see(&[0, 1], PeerState::Alive, Duration::ZERO).await;
}

#[test]
fn a_node_that_was_starved_gives_the_others_time() {
    // Both stand still from the same moment on, as on one host without a processor to spare; one for longer. In the
    // seconds between, the first would hold the second for dead if it did not know of its own absence.
    let absences = [Duration::from_secs(3), Duration::from_secs(7)];
    let sockets = [1, 2].map(|host| std::net::UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).expect("a port"));
    let roster: Roster =
        sockets.iter().enumerate().map(|(index, socket)| (node(index), socket.local_addr().expect("bound"))).collect();
    let (roster, keys) = (watch::Sender::new(roster), watch::Sender::new(vec![key(1)]));

    let blamed = std::thread::scope(|scope| {
        let threads: Vec<_> = sockets
            .into_iter()
            .enumerate()
            .map(|(index, socket)| {
                let settings = GossipSettings { node_id: node(index), clock: Arc::new(Timestamp::now) };
                let (keys, roster) = (keys.subscribe(), roster.subscribe());
                scope.spawn(move || blames_after(absences[index], settings, &node(1 - index), socket, keys, roster))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });

    assert_eq!(blamed, [false, false]);
}

/// Takes part, stands still for a while once the other is alive, and tells whether it then held the other for dead.
fn blames_after(
    absence: Duration,
    settings: GossipSettings,
    other: &NodeId,
    socket: std::net::UdpSocket,
    keys: watch::Receiver<Vec<GossipKey>>,
    roster: watch::Receiver<Roster>,
) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        socket.set_nonblocking(true).expect("a socket");
        let socket = UdpSocket::from_std(socket).expect("a socket");
        let gossip = Gossip::new(settings, socket, keys, roster, StdRng::seed_from_u64(absence.as_secs()));
        let mut view = gossip.view();
        let stop = CancellationToken::new();
        let watch = async {
            view.wait_for(|view| view.state(other) == Some(PeerState::Alive)).await.expect("it runs");
            stall(absence);
            let dead = view.wait_for(|view| view.state(other) == Some(PeerState::Dead));
            let is_blamed = timeout(Duration::from_secs(9).saturating_sub(absence), dead).await.is_ok();
            stop.cancel();
            is_blamed
        };
        let (result, is_blamed) = tokio::join!(gossip.run(stop.clone(), || false), watch);
        result.expect("the socket works");
        is_blamed
    })
}

#[expect(clippy::disallowed_methods, reason = "the thread must really stand still: that is what is tested")]
fn stall(time: Duration) {
    std::thread::sleep(time);
}

/// A gossip that is not running, and has one other member in its roster.
async fn idle_gossip() -> Gossip {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let addr = socket.local_addr().expect("an address");
    let keys = watch::Sender::new(vec![key(1)]);
    let members = watch::Sender::new(Roster::from([(node(0), addr), (node(1), addr)]));
    let settings = GossipSettings { node_id: node(0), clock: Arc::new(epoch) };
    let rng = StdRng::seed_from_u64(0);
    let mut gossip = Gossip::new(settings, socket, keys.subscribe(), members.subscribe(), rng);
    gossip.take_keys();
    gossip.take_members();
    gossip
}

/// Where a datagram came from; the roster of [`idle_gossip`] has all members at the first host.
fn somewhere(host: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, host], 9))
}

fn announce(from: usize, claims: usize) -> Vec<u8> {
    let header = Header {
        src: Place { node_id: node(claims), life: 1 },
        src_incarnation: 0,
        dst: Place { node_id: node(0), life: 0 },
        message: Message::Announce,
    };
    let mut message = BytesMut::new();
    PostcardCodec.encode_header(&header, &mut message).expect("room");
    sealed(from, milliseconds(&(Arc::new(epoch) as Clock)), &message)
}

fn sealed(from: usize, date: u64, message: &[u8]) -> Vec<u8> {
    let stamp = Stamp { life: 1, number: 1, date };
    seal(&KeyRing::new(&[key(1)]), &node(from), &node(0), [9; 24], stamp, message).expect("there is a key")
}

#[tokio::test]
async fn a_datagram_counts_once() {
    let mut gossip = idle_gossip().await;
    let datagram = announce(1, 1);

    assert_eq!(gossip.accept(Duration::ZERO, somewhere(1), &datagram), Ok(()));
    gossip.publish();
    assert_eq!(gossip.view.borrow().state(&node(1)), Some(PeerState::Alive));
    assert_eq!(gossip.accept(Duration::ZERO, somewhere(2), &datagram), Err(Refused::Replayed));
    gossip.publish();
    assert_eq!(gossip.view.borrow().elsewhere, BTreeMap::new());
}

#[tokio::test]
async fn a_changed_stale_or_strange_datagram_changes_nothing() {
    let mut gossip = idle_gossip().await;
    let mut changed = announce(1, 1);
    let last = changed.len() - 1;
    changed[last] ^= 1;

    assert_eq!(gossip.accept(Duration::ZERO, somewhere(1), &changed), Err(Refused::Forged));
    assert_eq!(gossip.accept(Duration::ZERO, somewhere(1), &sealed(1, 0, b"")), Err(Refused::Stale));
    assert_eq!(gossip.accept(Duration::ZERO, somewhere(1), &announce(7, 7)), Err(Refused::UnknownSender));
    gossip.publish();
    assert_eq!(gossip.view.borrow().peers, BTreeMap::new());
}

#[tokio::test]
async fn a_member_cannot_speak_for_another_and_hearsay_adds_nobody() {
    let mut gossip = idle_gossip().await;
    let header = Header {
        src: Place { node_id: node(1), life: 1 },
        src_incarnation: 0,
        dst: gossip.swim.identity().clone(),
        message: Message::Gossip,
    };
    let mut hearsay = BytesMut::new();
    PostcardCodec.encode_header(&header, &mut hearsay).expect("room");
    hearsay.extend_from_slice(&1_u16.to_be_bytes());
    PostcardCodec.encode_member(&Member::alive(Place { node_id: node(7), life: 1 }), &mut hearsay).expect("room");

    gossip.accept(Duration::ZERO, somewhere(1), &announce(1, 2)).expect("it opens");
    gossip.publish();
    assert_eq!(gossip.view.borrow().peers, BTreeMap::new());

    gossip.guard = ReplayGuard::default();
    gossip.accept(Duration::ZERO, somewhere(1), &sealed(1, 1_800_000_000_000, &hearsay)).expect("it opens");
    let known: Vec<_> = gossip.swim.iter_membership_state().map(|member| member.id().node_id.clone()).collect();
    assert_eq!(known, [node(1)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_message_of_a_member_is_taken_or_refused_without_a_panic(
        message in proptest::collection::vec(any::<u8>(), 0..MAX_MESSAGE),
        start in 0_usize..60,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut gossip = idle_gossip().await;
            let header = Header {
                src: Place { node_id: node(1), life: 1 },
                src_incarnation: 0,
                dst: gossip.swim.identity().clone(),
                message: Message::Gossip,
            };
            let mut bytes = BytesMut::new();
            PostcardCodec.encode_header(&header, &mut bytes).expect("room");
            bytes.truncate(start);
            bytes.extend_from_slice(&message[..message.len().min(MAX_MESSAGE - bytes.len())]);

            gossip.accept(Duration::ZERO, somewhere(1), &sealed(1, 1_800_000_000_000, &bytes)).expect("it opens");
            gossip.publish();
        });
    }
}
