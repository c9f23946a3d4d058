//! The sessions of one leader's term: who is there, and who has gone quiet. Pure: the time is handed in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gossip::{GossipView, PeerState};
use model::{HeartbeatRequest, NodeId, SessionId, SwarmError, TaskId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::down::{Session, Signs, Verdict, judge};
use super::work::Work;
use crate::words::{not_found, unavailable};

/// Registrations of one node that are taken in [`REGISTRATION_WINDOW`]: more come only from two agents that share an
/// identity, or from one that fails and starts again and again.
const REGISTRATIONS: usize = 10;
/// The window of [`REGISTRATIONS`] (SwarmKit's).
const REGISTRATION_WINDOW: Duration = Duration::from_secs(8);

/// What is known of the session of one node.
#[derive(Debug)]
struct Entry {
    session: SessionId,
    /// Cancelled when the session is replaced or forgotten, so that its stream ends.
    over: CancellationToken,
    /// Marks of the node's tasks, for the stream that tells them.
    work: Arc<Work>,
    last_heard: Instant,
    ended: Option<Instant>,
    restart_announced: Option<Instant>,
    is_leaving: bool,
    is_stopping: bool,
    scheduling_delay: Duration,
    gossip_dead: Vec<NodeId>,
}

/// The sessions of a term.
#[derive(Debug)]
pub(crate) struct Sessions {
    term_began: Instant,
    entries: BTreeMap<NodeId, Entry>,
    registrations: BTreeMap<NodeId, VecDeque<Instant>>,
}

/// What the whole table is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    /// Now.
    pub(crate) now: Instant,
    /// The heartbeat period.
    pub(crate) period: Duration,
    /// The longest delay lately measured in the leader's own scheduling.
    pub(crate) own_delay: Duration,
    /// What the leader's own gossip says.
    pub(crate) gossip: &'a GossipView,
}

impl Sessions {
    /// No session yet.
    pub(crate) fn new(term_began: Instant) -> Self {
        Self { term_began, entries: BTreeMap::new(), registrations: BTreeMap::new() }
    }

    /// Opens a session and gives the token that tells its end. One that the node had is over.
    pub(crate) fn register(
        &mut self,
        node: &NodeId,
        session: SessionId,
        now: Instant,
    ) -> Result<CancellationToken, SwarmError> {
        let recent = self.registrations.entry(node.clone()).or_default();
        recent.retain(|moment| now.duration_since(*moment) < REGISTRATION_WINDOW);
        if recent.len() >= REGISTRATIONS {
            return Err(unavailable(&format!("node {node} registers too often")));
        }
        recent.push_back(now);
        let over = CancellationToken::new();
        let entry = Entry {
            session,
            over: over.clone(),
            work: Arc::default(),
            last_heard: now,
            ended: None,
            restart_announced: None,
            is_leaving: false,
            is_stopping: false,
            scheduling_delay: Duration::ZERO,
            gossip_dead: Vec::new(),
        };
        if let Some(former) = self.entries.insert(node.clone(), entry) {
            former.over.cancel();
        }
        Ok(over)
    }

    /// Takes a heartbeat; one of a session that is not the node's present one is refused.
    pub(crate) fn heartbeat(&mut self, node: &NodeId, beat: HeartbeatRequest, now: Instant) -> Result<(), SwarmError> {
        let entry = self
            .entries
            .get_mut(node)
            .filter(|entry| entry.session == beat.session_id && entry.ended.is_none())
            .ok_or_else(|| not_found("session invalid"))?;
        entry.last_heard = now;
        entry.is_leaving = beat.is_leaving;
        entry.is_stopping = beat.is_stopping;
        entry.restart_announced = beat.is_restarting.then_some(now);
        entry.scheduling_delay = Duration::from_millis(beat.scheduling_delay_ms);
        entry.gossip_dead = beat.gossip_dead;
        Ok(())
    }

    /// The end of a node's present session, and the marks of its tasks for a new stream; a former one hears no more.
    pub(super) fn work_of(
        &mut self,
        node: &NodeId,
        session: &SessionId,
    ) -> Result<(CancellationToken, Arc<Work>), SwarmError> {
        let entry = self.entries.get_mut(node).filter(|entry| entry.session == *session && entry.ended.is_none());
        let entry = entry.ok_or_else(|| not_found("session invalid"))?;
        entry.work = Arc::default();
        Ok((entry.over.clone(), Arc::clone(&entry.work)))
    }

    /// Refuses what comes in a session that is not the node's present one.
    pub(crate) fn check(&self, node: &NodeId, session: &SessionId) -> Result<(), SwarmError> {
        self.current(node, session).map(drop)
    }

    fn current(&self, node: &NodeId, session: &SessionId) -> Result<&Entry, SwarmError> {
        let entry = self.entries.get(node).filter(|entry| entry.session == *session && entry.ended.is_none());
        entry.ok_or_else(|| not_found("session invalid"))
    }

    /// A node is to look at a task.
    pub(crate) fn mark(&self, node: &NodeId, task: &TaskId) {
        if let Some(entry) = self.entries.get(node) {
            entry.work.mark(task);
        }
    }

    /// All nodes are to look at all their tasks.
    pub(crate) fn mark_all(&self) {
        self.entries.values().for_each(|entry| entry.work.mark_all());
    }

    /// The stream of a session ended. The end of a session that was replaced means nothing.
    pub(crate) fn ended(&mut self, node: &NodeId, session: &SessionId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(node)
            && entry.session == *session
        {
            entry.ended.get_or_insert(now);
        }
    }

    /// Forgets a node that was declared down or removed: it must register anew.
    pub(crate) fn forget(&mut self, node: &NodeId) {
        if let Some(entry) = self.entries.remove(node) {
            entry.over.cancel();
        }
    }

    /// Judges one node.
    pub(crate) fn judge(&self, node: &NodeId, circumstances: Circumstances<'_>) -> Verdict {
        let Circumstances { now, period, own_delay, gossip } = circumstances;
        let Some(entry) = self.entries.get(node) else {
            return judge(&Signs {
                session: Session::Never { term_age: now.duration_since(self.term_began) },
                is_dead_in_gossip: self.is_dead(node, gossip),
                restart_announced: None,
                is_leaving: false,
                is_stopping: false,
                period,
                stretch: own_delay,
            });
        };
        let session = match entry.ended {
            Some(ended) => Session::Ended { ago: now.duration_since(ended) },
            None => Session::Open { silent: now.duration_since(entry.last_heard) },
        };
        judge(&Signs {
            session,
            is_dead_in_gossip: self.is_dead(node, gossip),
            restart_announced: entry.restart_announced.map(|announced| now.duration_since(announced)),
            is_leaving: entry.is_leaving,
            is_stopping: entry.is_stopping,
            period,
            stretch: own_delay.max(entry.scheduling_delay),
        })
    }

    /// The leader's own gossip decides; where it knows nothing, the word of another node in session does.
    fn is_dead(&self, node: &NodeId, gossip: &GossipView) -> bool {
        if let Some(state) = gossip.state(node) {
            return state == PeerState::Dead;
        }
        let mut others = self.entries.iter().filter(|(other, entry)| *other != node && entry.ended.is_none());
        others.any(|(_, entry)| entry.gossip_dead.contains(node))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(5);

    fn ids() -> (NodeId, NodeId, SessionId, SessionId) {
        let mut rng = StdRng::seed_from_u64(1);
        (
            NodeId::generate(&mut rng),
            NodeId::generate(&mut rng),
            SessionId::generate(&mut rng),
            SessionId::generate(&mut rng),
        )
    }

    fn beat(session: &SessionId) -> HeartbeatRequest {
        HeartbeatRequest {
            session_id: session.clone(),
            is_restarting: false,
            is_leaving: false,
            is_stopping: false,
            scheduling_delay_ms: 0,
            gossip_dead: Vec::new(),
            tls: None,
            lease_left_ms: None,
        }
    }

    fn verdict(sessions: &Sessions, node: &NodeId, now: Instant, is_dead: Option<bool>) -> Verdict {
        let state = is_dead.map(|is_dead| if is_dead { PeerState::Dead } else { PeerState::Alive });
        let peers = state.map(|state| (node.clone(), state)).into_iter().collect();
        let gossip = GossipView { peers, ..GossipView::default() };
        sessions.judge(node, Circumstances { now, period: PERIOD, own_delay: Duration::ZERO, gossip: &gossip })
    }

    #[test]
    fn a_registration_replaces_the_session_that_the_node_had() {
        let (node, _, first, second) = ids();
        let now = Instant::now();
        let mut sessions = Sessions::new(now);

        let first_over = sessions.register(&node, first.clone(), now).unwrap();
        let second_over = sessions.register(&node, second.clone(), now).unwrap();
        sessions.ended(&node, &first, now);

        assert!(sessions.heartbeat(&node, beat(&first), now).is_err());
        assert!(sessions.heartbeat(&node, beat(&second), now).is_ok());
        assert!(first_over.is_cancelled());
        assert!(!second_over.is_cancelled());
        assert_eq!(verdict(&sessions, &node, now, Some(true)), Verdict::Alive);
    }

    #[test]
    fn an_ended_session_waits_for_gossip_or_for_its_limit() {
        let (node, _, session, _) = ids();
        let now = Instant::now();
        let mut sessions = Sessions::new(now);
        sessions.register(&node, session.clone(), now).unwrap();

        sessions.ended(&node, &session, now);

        assert_eq!(verdict(&sessions, &node, now, Some(false)), Verdict::Waiting);
        assert_eq!(verdict(&sessions, &node, now, Some(true)), Verdict::Down("heartbeat failure"));
        assert!(sessions.heartbeat(&node, beat(&session), now).is_err());
    }

    #[test]
    fn the_word_of_others_counts_where_the_leaders_gossip_knows_nothing() {
        let (node, other, session, others_session) = ids();
        let now = Instant::now();
        let mut sessions = Sessions::new(now);
        sessions.register(&node, session.clone(), now).unwrap();
        sessions.register(&other, others_session.clone(), now).unwrap();
        sessions.ended(&node, &session, now);

        assert_eq!(verdict(&sessions, &node, now, None), Verdict::Waiting);
        let report = HeartbeatRequest { gossip_dead: vec![node.clone()], ..beat(&others_session) };
        sessions.heartbeat(&other, report, now).unwrap();

        assert_eq!(verdict(&sessions, &node, now, None), Verdict::Down("heartbeat failure"));
        assert_eq!(verdict(&sessions, &node, now, Some(false)), Verdict::Waiting);
    }

    #[test]
    fn two_agents_with_one_identity_cannot_flood_the_leader() {
        let (node, _, session, _) = ids();
        let now = Instant::now();
        let mut sessions = Sessions::new(now);

        for _ in 0..REGISTRATIONS {
            sessions.register(&node, session.clone(), now).unwrap();
        }

        assert!(sessions.register(&node, session.clone(), now).is_err());
        assert!(sessions.register(&node, session, now + REGISTRATION_WINDOW).is_ok());
    }
}
