//! The timings and bounds of the raft group, in one place.

use std::time::Duration;

/// Timings and bounds. The defaults are what the agent runs with; tests may shorten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftSettings {
    /// How often a leader lets its followers hear from it.
    pub heartbeat: Duration,
    /// How long one append may take before it counts as failed and is sent again. Above [`heartbeat`](Self::heartbeat),
    /// so that one slow fsync of a follower is not a failure.
    pub append_timeout: Duration,
    /// For how long after hearing from a leader a voter refuses every other candidate.
    pub lease: Duration,
    /// Silent for the lease and up to this much longer, drawn afresh for each attempt, a leader is asked whether it still
    /// leads.
    pub doubt_spread: Duration,
    /// The shortest silence after which a follower asks for an election.
    pub election_min: Duration,
    /// The longest one; the silence is drawn between the two, afresh for each attempt.
    pub election_max: Duration,
    /// The silence above which a voter grants a pre-vote; where the leader is known to be gone, the lease is enough.
    pub pre_vote_silence: Duration,
    /// The silence of a member above which the leader calls it unreachable.
    pub unreachable_after: Duration,
    /// How long a leader without a quorum still waits for one before it stops answering.
    pub quorum_patience: Duration,
    /// The most that measured scheduling delays add to the limits above.
    pub max_stretch: Duration,
    /// How long a proposal may take once it is in the log.
    pub propose_timeout: Duration,
    /// How long a planned hand-over may hold proposals before it is given up.
    pub handover_timeout: Duration,
    /// How long a new member may take to catch up before it is not made a voter.
    pub catch_up_timeout: Duration,
    /// How long one chunk of a snapshot may take.
    pub snapshot_chunk_timeout: Duration,
    /// Entries in the log before a snapshot is taken and the log is cut.
    pub max_log_entries: u64,
    /// Bytes in the log before a snapshot is taken and the log is cut.
    pub max_log_bytes: u64,
    /// Entries kept behind a snapshot for followers that lag.
    pub kept_entries: u64,
    /// Bytes that the kept entries may take.
    pub kept_bytes: u64,
}

impl Default for RaftSettings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            append_timeout: Duration::from_millis(300),
            lease: Duration::from_millis(400),
            doubt_spread: Duration::from_millis(150),
            election_min: Duration::from_secs(1),
            election_max: Duration::from_millis(1500),
            pre_vote_silence: Duration::from_millis(700),
            unreachable_after: Duration::from_secs(1),
            quorum_patience: Duration::from_millis(1500),
            max_stretch: Duration::from_millis(1500),
            propose_timeout: Duration::from_secs(10),
            handover_timeout: Duration::from_millis(950),
            catch_up_timeout: Duration::from_secs(30),
            snapshot_chunk_timeout: Duration::from_secs(5),
            max_log_entries: 10_000,
            max_log_bytes: 64 << 20,
            kept_entries: 500,
            kept_bytes: 16 << 20,
        }
    }
}
