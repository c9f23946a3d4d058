//! The loop that drives SWIM: datagrams in, timers, datagrams out, the view.
//!
//! Datagrams that have arrived are read before timers run: an answer that lies in the socket has been given. A member
//! that is not alive is asked again every second, so that partitions heal and restarted nodes come back at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use foca::{AccumulatingRuntime, Config, Foca, Member, NoCustomBroadcast, PeriodicParams, State};
use jiff::Timestamp;
use model::{GossipKey, NodeId};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, trace, warn};

use crate::codec::RosterCodec;
use crate::datagram::{MAX_DATAGRAM, MAX_MESSAGE, Refused, Stamp, open, seal};
use crate::elsewhere::Elsewhere;
use crate::keys::KeyRing;
use crate::place::Place;
use crate::replay::ReplayGuard;
use crate::time::{OwnTime, Timers};
use crate::view::{GossipView, PeerState, report};

/// The members that take part, and where each is reached (7946/udp). The node itself may be among them.
pub type Roster = BTreeMap<NodeId, SocketAddr>;
/// Tells the wall time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How often a node asks one other whether it lives.
const PROBE_PERIOD: Duration = Duration::from_millis(600);
/// How long the answer may take before others are asked to ask.
const PROBE_ROUND_TRIP: Duration = Duration::from_millis(200);
/// How long a suspect has to contradict, on a node that is scheduled in time.
const SUSPICION: Duration = Duration::from_millis(1500);
/// Suspicion grows by this many times the worst delay lately seen: where we are starved, others may be too.
const SUSPICION_STRETCH: u32 = 3;
/// The most that suspicion grows to.
const MAX_SUSPICION: Duration = Duration::from_secs(10);
/// How often members that are not alive are asked to take part.
const ANNOUNCE_PERIOD: Duration = Duration::from_secs(1);
/// How many of them at a time.
const ANNOUNCE_COUNT: usize = 3;
/// How often news is passed on, and to how many.
const NEWS_PERIOD: Duration = Duration::from_millis(200);
const NEWS_COUNT: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");
/// How often a member asks another for all it knows.
const EXCHANGE_PERIOD: Duration = Duration::from_secs(10);
/// How long SWIM remembers a dead life; the view remembers the node until it leaves the roster.
const MEMORY_OF_THE_DEAD: Duration = Duration::from_hours(1);
/// Datagrams read between two looks at the timers: a flood must not stop time.
const READ_BURST: usize = 64;
/// Failures of the socket in a row after which it is given up.
const MAX_FAILURES: u32 = 100;
/// How finely the scheduling delay is shown, so that the view does not change at every tick.
const DELAY_STEP_MS: u128 = 10;

type Swim = Foca<Place, RosterCodec, StdRng, NoCustomBroadcast>;

/// What a gossip needs to know from the start.
#[derive(Clone)]
pub struct GossipSettings {
    /// The node.
    pub node_id: NodeId,
    /// The wall clock, for the dates of datagrams.
    pub clock: Clock,
}

impl fmt::Debug for GossipSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GossipSettings").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// Why the gossip ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    /// The socket does not receive any more.
    #[error("failed to receive datagrams")]
    Receive(#[source] io::Error),
}

/// The gossip of one node.
pub struct Gossip {
    settings: GossipSettings,
    socket: UdpSocket,
    keys: watch::Receiver<Vec<GossipKey>>,
    members: watch::Receiver<Roster>,
    view: watch::Sender<GossipView>,
    rng: StdRng,

    ring: KeyRing,
    roster: Roster,
    codec: RosterCodec,
    swim: Swim,
    guard: ReplayGuard,
    elsewhere: Elsewhere,
    life: u64,
    sent: u64,
    time: OwnTime,
    timers: Timers,
    announce_at: Duration,
    suspicion: Duration,
    failures: u32,
}

impl Gossip {
    /// A gossip over a bound socket. Nothing is sent until it runs.
    ///
    /// `keys` holds the newest key first; `members` is the managers' roster. Of `rng`, which must be seeded by the
    /// system, come the nonces of the datagrams.
    pub fn new(
        settings: GossipSettings,
        socket: UdpSocket,
        keys: watch::Receiver<Vec<GossipKey>>,
        members: watch::Receiver<Roster>,
        mut rng: StdRng,
    ) -> Self {
        let life = milliseconds(&settings.clock);
        let own = Place { node_id: settings.node_id.clone(), life };
        let codec = RosterCodec::new(own.clone());
        let swim = Foca::new(own, config(SUSPICION), StdRng::from_rng(&mut rng), codec.clone());
        Self {
            settings,
            socket,
            keys,
            members,
            view: watch::Sender::new(GossipView::default()),
            rng,
            ring: KeyRing::default(),
            roster: Roster::new(),
            codec,
            swim,
            guard: ReplayGuard::default(),
            elsewhere: Elsewhere::default(),
            life,
            sent: 0,
            time: OwnTime::new(Instant::now()),
            timers: Timers::default(),
            announce_at: Duration::ZERO,
            suspicion: SUSPICION,
            failures: 0,
        }
    }

    /// What the gossip knows, from now on.
    pub fn view(&self) -> watch::Receiver<GossipView> {
        self.view.subscribe()
    }

    /// Takes part until cancelled. Then asks whether this is for good: if so, the others are told that this node is
    /// dead; else nobody is, for a restart is not a death.
    ///
    /// # Errors
    /// The socket fails for good.
    pub async fn run(mut self, cancel: CancellationToken, is_final: impl FnOnce() -> bool) -> Result<(), GossipError> {
        self.time = OwnTime::new(Instant::now());
        self.take_keys();
        self.take_members();
        loop {
            let now = Instant::now();
            self.time.look(now);
            let own_now = self.time.now(now);
            self.receive(own_now)?;
            self.fire(own_now);
            self.announce(own_now);
            self.stretch();
            self.publish();

            let wait = self.timers.until_next(own_now).unwrap_or(ANNOUNCE_PERIOD);
            let wake = self.time.next_look().min(now + wait);
            // Every branch only waits, so losing the race loses nothing.
            tokio::select! {
                () = cancel.cancelled() => break,
                () = changed(&mut self.keys) => self.take_keys(),
                () = changed(&mut self.members) => self.take_members(),
                _ = self.socket.readable() => {}
                () = sleep_until(wake) => {}
            }
        }
        if is_final() {
            let own_now = self.time.now(Instant::now());
            self.drive(own_now, |swim, runtime| swim.leave_cluster(runtime));
        }
        Ok(())
    }

    fn take_keys(&mut self) {
        self.ring = KeyRing::new(&self.keys.borrow_and_update());
    }

    fn take_members(&mut self) {
        let mut roster = self.members.borrow_and_update().clone();
        roster.remove(&self.settings.node_id);
        let is_grown = roster.keys().any(|node| !self.roster.contains_key(node));
        self.roster = roster;
        self.codec.set_members(self.roster.keys().cloned().collect());
        self.guard.retain(|node| self.roster.contains_key(node));
        self.elsewhere.follow(&self.roster);

        let strangers: Vec<_> = self
            .swim
            .iter_members()
            .filter(|member| !self.roster.contains_key(&member.id().node_id))
            .map(|member| Member::new(member.id().clone(), member.incarnation(), State::Down))
            .collect();
        self.drive(self.time.now(Instant::now()), |swim, runtime| {
            swim.apply_many(strangers.into_iter(), false, runtime)
        });
        if is_grown {
            self.announce_at = Duration::ZERO;
        }
    }

    /// Reads what has arrived.
    fn receive(&mut self, own_now: Duration) -> Result<(), GossipError> {
        // One byte more than is allowed, so that a longer datagram is seen to be longer.
        let mut buffer = [0_u8; MAX_DATAGRAM + 1];
        for _ in 0..READ_BURST {
            match self.socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => {
                    self.failures = 0;
                    if let Err(refused) = self.accept(own_now, from, &buffer[..length]) {
                        debug!(peer = %from, reason = %refused, "dropped a datagram");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if self.failures >= MAX_FAILURES => return Err(GossipError::Receive(error)),
                Err(error) => {
                    self.failures += 1;
                    warn!(%error, "failed to receive a datagram");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, own_now: Duration, from: SocketAddr, datagram: &[u8]) -> Result<(), Refused> {
        let is_member = |node: &NodeId| self.roster.contains_key(node);
        let opened = open(&self.ring, &self.settings.node_id, is_member, datagram)?;
        self.guard.admit(&opened.sender, opened.stamp, milliseconds(&self.settings.clock))?;
        self.elsewhere.note(&self.roster, &opened.sender, from.ip());
        self.codec.expect(opened.sender, self.swim.identity().clone());
        self.drive(own_now, |swim, runtime| swim.handle_data(&opened.message, runtime));
        Ok(())
    }

    /// Runs the timers that are due.
    fn fire(&mut self, own_now: Duration) {
        while let Some(timer) = self.timers.take_due(own_now) {
            self.drive(own_now, |swim, runtime| swim.handle_timer(timer, runtime));
        }
    }

    /// Asks members that are not alive to take part.
    fn announce(&mut self, own_now: Duration) {
        if own_now < self.announce_at {
            return;
        }
        self.announce_at = own_now + ANNOUNCE_PERIOD;
        let active: BTreeSet<_> = self.swim.iter_members().map(|member| &member.id().node_id).collect();
        let absent = self.roster.keys().filter(|node| !active.contains(node)).cloned();
        for node_id in absent.sample(&mut self.rng, ANNOUNCE_COUNT) {
            self.drive(own_now, |swim, runtime| swim.announce(Place { node_id, life: 0 }, runtime));
        }
    }

    /// Gives suspects the more time, the less of it we get ourselves.
    fn stretch(&mut self) {
        let suspicion = (SUSPICION + self.time.worst_delay() * SUSPICION_STRETCH).min(MAX_SUSPICION);
        if suspicion != self.suspicion {
            self.suspicion = suspicion;
            if let Err(error) = self.swim.set_config(config(suspicion)) {
                warn!(%error, "failed to stretch the time of suspicion");
            }
        }
    }

    /// Has SWIM do something, then does what it asks for.
    fn drive(
        &mut self,
        own_now: Duration,
        action: impl FnOnce(&mut Swim, &mut AccumulatingRuntime<Place>) -> Result<(), foca::Error>,
    ) {
        let mut runtime = AccumulatingRuntime::new();
        if let Err(error) = action(&mut self.swim, &mut runtime) {
            debug!(%error, "SWIM refused");
        }
        while let Some((after, timer)) = runtime.to_schedule() {
            self.timers.add(own_now + after, timer);
        }
        while let Some((to, message)) = runtime.to_send() {
            self.send(&to.node_id, &message);
        }
        while let Some(notification) = runtime.to_notify() {
            trace!(?notification, "SWIM noticed");
        }
    }

    fn send(&mut self, receiver: &NodeId, message: &[u8]) {
        let Some(addr) = self.roster.get(receiver) else {
            return;
        };
        self.sent += 1;
        let mut nonce = [0_u8; 24];
        self.rng.fill_bytes(&mut nonce[..16]);
        nonce[16..].copy_from_slice(&self.sent.to_be_bytes());
        let stamp = Stamp { life: self.life, number: self.sent, date: milliseconds(&self.settings.clock) };
        let Some(datagram) = seal(&self.ring, &self.settings.node_id, receiver, nonce, stamp, message) else {
            return debug!("there is no key to seal a datagram with");
        };
        if let Err(error) = self.socket.try_send_to(&datagram, *addr) {
            // A datagram may always be lost; SWIM asks again.
            trace!(peer = %addr, %error, "failed to send a datagram");
        }
    }

    fn publish(&mut self) {
        let mut peers: BTreeMap<NodeId, PeerState> = self
            .swim
            .iter_membership_state()
            .map(|member| (member.id().node_id.clone(), state(member.state())))
            .filter(|(node, _)| self.roster.contains_key(node))
            .collect();
        let delay_ms = self.time.worst_delay().as_millis() / DELAY_STEP_MS * DELAY_STEP_MS;
        let scheduling_delay = Duration::from_millis(u64::try_from(delay_ms).unwrap_or(u64::MAX));
        self.view.send_if_modified(|view| {
            let forgotten = view.dead().into_iter().filter(|node| self.roster.contains_key(node));
            for node in forgotten {
                peers.entry(node).or_insert(PeerState::Dead);
            }
            report(&view.peers, &peers);
            let now = GossipView { peers, scheduling_delay, elsewhere: self.elsewhere.places().clone() };
            let is_changed = *view != now;
            *view = now;
            is_changed
        });
    }
}

impl fmt::Debug for Gossip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gossip").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn state(state: State) -> PeerState {
    match state {
        State::Alive => PeerState::Alive,
        State::Suspect => PeerState::Suspect,
        State::Down => PeerState::Dead,
    }
}

fn config(suspicion: Duration) -> Config {
    Config {
        probe_period: PROBE_PERIOD,
        probe_rtt: PROBE_ROUND_TRIP,
        num_indirect_probes: NEWS_COUNT,
        max_transmissions: NonZeroU8::new(10).expect("ten is not zero"),
        suspect_to_down_after: suspicion,
        remove_down_after: Some(MEMORY_OF_THE_DEAD),
        max_packet_size: NonZeroUsize::new(MAX_MESSAGE).expect("a datagram has room for a message"),
        notify_down_members: true,
        periodic_announce: Some(PeriodicParams { frequency: EXCHANGE_PERIOD, num_members: NonZeroUsize::MIN }),
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(PeriodicParams { frequency: NEWS_PERIOD, num_members: NEWS_COUNT }),
    }
}

/// Waits for a new value; for ever, once nobody can send one.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn milliseconds(clock: &Clock) -> u64 {
    u64::try_from(clock().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
