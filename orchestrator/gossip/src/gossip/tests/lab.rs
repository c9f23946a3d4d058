//! Some members on loopback addresses, in one roster.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::GossipKey;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{epoch, key, milliseconds, node};
use crate::gossip::{Clock, Gossip, GossipSettings, Roster};
use crate::view::{GossipView, PeerState};

/// Some members with their sockets; dropping it ends them.
pub(super) struct Lab {
    started: Instant,
    pub(super) roster: watch::Sender<Roster>,
    pub(super) keys: Vec<watch::Sender<Vec<GossipKey>>>,
    pub(super) views: Vec<watch::Receiver<GossipView>>,
    stops: Vec<CancellationToken>,
    /// Whether who is stopped now goes for good.
    goes_for_good: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Lab {
    /// Starts members that all know each other.
    pub(super) async fn start(count: usize) -> Self {
        let mut sockets = Vec::new();
        let mut roster = Roster::new();
        for index in 0..count {
            let host = u8::try_from(index + 1).expect("few members");
            let socket = UdpSocket::bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0)).await.expect("a port");
            roster.insert(node(index), socket.local_addr().expect("an address"));
            sockets.push(socket);
        }
        let mut lab = Self {
            started: Instant::now(),
            roster: watch::Sender::new(roster),
            keys: Vec::new(),
            views: Vec::new(),
            stops: Vec::new(),
            goes_for_good: Arc::new(AtomicBool::new(false)),
            tasks: JoinSet::new(),
        };
        for (index, socket) in sockets.into_iter().enumerate() {
            let keys = watch::Sender::new(vec![key(1)]);
            let (view, stop) = lab.launch(index, socket, keys.subscribe());
            lab.keys.push(keys);
            lab.views.push(view);
            lab.stops.push(stop);
        }
        lab
    }

    fn launch(
        &mut self,
        index: usize,
        socket: UdpSocket,
        keys: watch::Receiver<Vec<GossipKey>>,
    ) -> (watch::Receiver<GossipView>, CancellationToken) {
        let seed = u64::try_from(index).expect("few members");
        let started = self.started;
        let clock: Clock = Arc::new(move || epoch() + started.elapsed());
        let settings = GossipSettings { node_id: node(index), clock };
        let rng = StdRng::seed_from_u64(seed + milliseconds(&settings.clock));
        let gossip = Gossip::new(settings, socket, keys, self.roster.subscribe(), rng);
        let view = gossip.view();
        let stop = CancellationToken::new();
        let cancel = stop.clone();
        let goes_for_good = Arc::clone(&self.goes_for_good);
        self.tasks.spawn(async move {
            let is_asked = move || goes_for_good.load(Ordering::Relaxed);
            gossip.run(cancel, is_asked).await.expect("the socket works");
        });
        (view, stop)
    }

    /// Ends a member without a word; its port stays with nobody listening.
    pub(super) async fn kill(&mut self, index: usize) {
        self.stops[index].cancel();
        self.tasks.join_next().await.expect("a member runs").expect("it does not panic");
    }

    /// Ends a member that says that it goes for good.
    pub(super) async fn leave(&mut self, index: usize) {
        self.goes_for_good.store(true, Ordering::Relaxed);
        self.kill(index).await;
        self.goes_for_good.store(false, Ordering::Relaxed);
    }

    /// Starts an ended member again, at the same address.
    pub(super) async fn restart(&mut self, index: usize) {
        let addr = self.roster.borrow()[&node(index)];
        let socket = UdpSocket::bind(addr).await.expect("the port is free");
        let (view, stop) = self.launch(index, socket, self.keys[index].subscribe());
        self.views[index] = view;
        self.stops[index] = stop;
    }

    /// Waits until a member sees another in a state.
    pub(super) async fn sees(&mut self, who: usize, whom: usize, state: PeerState, limit: Duration) {
        let seen =
            timeout(limit, self.views[who].wait_for(|view| view.state(&node(whom)) == Some(state))).await.is_ok();
        assert!(seen, "{who} does not see {whom} {state:?} within {limit:?}: {:?}", *self.views[who].borrow());
    }

    /// Waits until each of some members sees each other of them in a state.
    pub(super) async fn all_see(&mut self, members: &[usize], state: PeerState, limit: Duration) {
        for who in members {
            for whom in members {
                if who != whom {
                    self.sees(*who, *whom, state, limit).await;
                }
            }
        }
    }
}
