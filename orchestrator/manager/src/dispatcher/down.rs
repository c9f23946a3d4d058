//! When is a node down? A pure rule over what the leader knows of it.
//!
//! | signs                                                   | verdict                                   |
//! |---------------------------------------------------------|-------------------------------------------|
//! | session open, heartbeats in time                        | alive, whatever gossip says               |
//! | session lost, gossip says dead                          | down at once                              |
//! | session lost, gossip silent or says alive               | down after three periods (15 s)           |
//! | restart announced                                       | down 20 s after the announcement          |
//! | leave, or stop for good, announced                      | down at once                              |
//! | no session yet in this term                             | 5 s of grace for gossip, six periods alone |
//!
//! A session is lost when its stream ended, or when one heartbeat is overdue by a margin. Every limit but the
//! announced one's own ground is stretched by the longest delay that the leader or the node has measured in its own
//! scheduling: a machine that is merely busy is not dead.

use std::time::Duration;

/// How long an announced restart may take.
pub const RESTART_ALLOWANCE: Duration = Duration::from_secs(20);
/// How long after a change of the leader gossip's word about a node without session is not taken.
pub const TERM_GRACE: Duration = Duration::from_secs(5);
/// Lateness of a heartbeat, beyond the period and its spread, that is not yet a loss.
const HEARTBEAT_MARGIN: Duration = Duration::from_secs(1);
/// Periods of silence after which the session alone decides (SwarmKit's grace multiplier).
const PERIODS_ALONE: u32 = 3;
/// The same for nodes that had no session in this term (SwarmKit doubles it after a change of the leader).
const PERIODS_ALONE_NEW_TERM: u32 = 6;

/// How the session of a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// Its stream is open; the last sign of life was this long ago.
    Open {
        /// Since the last heartbeat or the registration.
        silent: Duration,
    },
    /// Its stream ended this long ago.
    Ended {
        /// Since the end.
        ago: Duration,
    },
    /// The node has had no session with this leader, which leads for this long.
    Never {
        /// Since the term began.
        term_age: Duration,
    },
}

/// All that the rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// The session.
    pub session: Session,
    /// Whether gossip holds the node for dead.
    pub is_dead_in_gossip: bool,
    /// How long ago the node announced a restart.
    pub restart_announced: Option<Duration>,
    /// Whether the node said that it leaves.
    pub is_leaving: bool,
    /// Whether the node said that it stops until somebody starts it again.
    pub is_stopping: bool,
    /// The node's heartbeat period.
    pub period: Duration,
    /// The longest delay lately measured in the scheduling of the leader or of the node.
    pub stretch: Duration,
}

/// What the rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// In session.
    Alive,
    /// The session is lost, but that is not enough.
    Waiting,
    /// Down, and why: Docker's `Status.Message`.
    Down(&'static str),
}

/// Decides whether a node is down; does nothing about it.
pub fn judge(signs: &Signs) -> Verdict {
    if signs.is_leaving {
        return Verdict::Down("node has left the swarm");
    }
    if signs.is_stopping {
        return Verdict::Down("node was stopped");
    }
    let (is_lost, silence, alone) = match signs.session {
        Session::Open { silent } => (silent > overdue(signs), silent, alone(signs, PERIODS_ALONE)),
        Session::Ended { ago } => (true, ago, alone(signs, PERIODS_ALONE)),
        Session::Never { term_age } => {
            (term_age > TERM_GRACE + signs.stretch, term_age, alone(signs, PERIODS_ALONE_NEW_TERM))
        }
    };
    if !is_lost {
        return if matches!(signs.session, Session::Never { .. }) { Verdict::Waiting } else { Verdict::Alive };
    }
    if signs.restart_announced.is_some_and(|announced| announced <= RESTART_ALLOWANCE + signs.stretch) {
        return Verdict::Waiting;
    }
    if signs.restart_announced.is_some() {
        return Verdict::Down("node did not come back from its restart");
    }
    if signs.is_dead_in_gossip || silence > alone {
        return Verdict::Down("heartbeat failure");
    }
    Verdict::Waiting
}

/// Silence of an open stream that counts as a lost session: the period, its random tenth, a margin.
fn overdue(signs: &Signs) -> Duration {
    signs.period + signs.period / 10 + HEARTBEAT_MARGIN + signs.stretch
}

fn alone(signs: &Signs, periods: u32) -> Duration {
    signs.period * periods + signs.stretch
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: Verdict = Verdict::Alive;
    const WAITING: Verdict = Verdict::Waiting;
    const LOST: Verdict = Verdict::Down("heartbeat failure");

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn signs(session: Session) -> Signs {
        Signs {
            session,
            is_dead_in_gossip: false,
            restart_announced: None,
            is_leaving: false,
            is_stopping: false,
            period: secs(5),
            stretch: Duration::ZERO,
        }
    }

    fn open(seconds: u64) -> Signs {
        signs(Session::Open { silent: secs(seconds) })
    }

    fn ended(seconds: u64) -> Signs {
        signs(Session::Ended { ago: secs(seconds) })
    }

    fn never(seconds: u64) -> Signs {
        signs(Session::Never { term_age: secs(seconds) })
    }

    fn dead(signs: Signs) -> Signs {
        Signs { is_dead_in_gossip: true, ..signs }
    }

    #[test]
    fn a_node_is_down_by_session_and_gossip_or_by_a_long_silence_never_by_gossip_alone() {
        let check = |signs: Signs, expected: Verdict| assert_eq!(judge(&signs), expected, "{signs:?}");

        check(open(0), ALIVE);
        check(dead(open(0)), ALIVE);
        check(dead(open(6)), ALIVE);
        check(open(7), WAITING);
        check(dead(open(7)), LOST);
        check(open(15), WAITING);
        check(open(16), LOST);
        check(ended(0), WAITING);
        check(dead(ended(0)), LOST);
        check(ended(15), WAITING);
        check(ended(16), LOST);
    }

    #[test]
    fn a_new_leader_gives_nodes_the_time_to_find_it() {
        let check = |signs: Signs, expected: Verdict| assert_eq!(judge(&signs), expected, "{signs:?}");

        check(dead(never(5)), WAITING);
        check(dead(never(6)), LOST);
        check(never(30), WAITING);
        check(never(31), LOST);
    }

    #[test]
    fn an_announced_restart_gets_twenty_seconds() {
        let restart = |signs: Signs, ago: u64| Signs { restart_announced: Some(secs(ago)), ..signs };
        let check = |signs: Signs, expected: Verdict| assert_eq!(judge(&signs), expected, "{signs:?}");

        check(restart(dead(ended(20)), 20), WAITING);
        check(restart(ended(21), 21), Verdict::Down("node did not come back from its restart"));
        check(restart(open(1), 1), ALIVE);
    }

    #[test]
    fn a_node_that_leaves_is_down_at_once() {
        let leaving = Signs { is_leaving: true, ..open(0) };

        assert_eq!(judge(&leaving), Verdict::Down("node has left the swarm"));
    }

    #[test]
    fn a_node_that_stops_for_good_is_down_at_once() {
        let stopping = Signs { is_stopping: true, ..open(0) };

        assert_eq!(judge(&stopping), Verdict::Down("node was stopped"));
    }

    #[test]
    fn limits_stretch_with_the_measured_delay_of_scheduling() {
        let stretched = |signs: Signs| Signs { stretch: secs(3), ..signs };
        let check = |signs: Signs, expected: Verdict| assert_eq!(judge(&signs), expected, "{signs:?}");

        check(stretched(dead(open(9))), ALIVE);
        check(stretched(dead(open(10))), LOST);
        check(stretched(ended(18)), WAITING);
        check(stretched(ended(19)), LOST);
    }
}
