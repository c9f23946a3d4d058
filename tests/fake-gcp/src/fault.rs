//! What goes wrong on purpose.

use std::time::Duration;

/// A fault that waits for its requests.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The kind of the requests, as Google names methods: `instances.bulkInsert`; `None` for all of them.
    pub kind: Option<&'static str>,
    /// How many such requests pass before.
    pub skip: usize,
    /// How many are struck.
    pub count: usize,
    /// What happens to them.
    pub what: FaultKind,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// It is refused with a status and a reason.
    Fail {
        /// The HTTP status.
        status: u16,
        /// Google's reason: `rateLimitExceeded`.
        reason: &'static str,
        /// The header `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// It is neither executed nor answered.
    Hold,
    /// It is executed and never answered.
    HoldAfter,
    /// It is not executed, and the connection ends.
    Lose,
    /// It is executed, and the connection ends without an answer.
    LoseAfter,
    /// It takes this much longer.
    Slow(Duration),
    /// The operation that it starts ends with this error; what it made is taken back.
    Operation {
        /// The code: `ZONE_RESOURCE_POOL_EXHAUSTED`.
        code: &'static str,
        /// The message.
        message: &'static str,
    },
    /// One instance is gone before it is executed: the first by name.
    Vanish,
}

impl Fault {
    /// A fault that strikes the first request of a kind.
    pub fn first(kind: &'static str, what: FaultKind) -> Self {
        Self { kind: Some(kind), skip: 0, count: 1, what }
    }

    /// A fault that strikes one request of any kind, counted from 1.
    pub fn nth(number: usize, what: FaultKind) -> Self {
        Self { kind: None, skip: number - 1, count: 1, what }
    }

    /// The same fault for several requests in a row.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        Self { count, ..self }
    }

    /// Whether it strikes this request, which it counts.
    pub(crate) fn strikes(&mut self, kind: &str) -> bool {
        if self.kind.is_some_and(|wanted| wanted != kind) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.count == 0 {
            return false;
        }
        self.count -= 1;
        true
    }
}

impl FaultKind {
    /// Too many requests, as Compute Engine says it.
    pub fn throttled(retry_after: Option<u64>) -> Self {
        Self::Fail { status: 403, reason: "rateLimitExceeded", retry_after }
    }

    /// No capacity in the zone.
    pub fn exhausted() -> Self {
        Self::Operation {
            code: "ZONE_RESOURCE_POOL_EXHAUSTED",
            message: "The zone does not have enough resources available to fulfill the request.",
        }
    }

    /// A quota is used up.
    pub fn quota() -> Self {
        Self::Operation {
            code: "QUOTA_EXCEEDED",
            message: "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.",
        }
    }
}
