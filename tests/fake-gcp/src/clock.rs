//! The fake's clock: the workstation's, which tests can advance.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};

/// A moment, as the time since 1970.
pub(crate) type Moment = Duration;

/// The fake's clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead: Duration,
}

impl Clock {
    pub(crate) fn now(&self) -> Moment {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + self.ahead
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.ahead += by;
    }
}

/// A moment as Compute Engine writes it.
pub(crate) fn shown(moment: Moment) -> String {
    let since = SignedDuration::try_from(moment).unwrap_or_default();
    Timestamp::from_duration(since).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A moment as HTTP writes it.
pub(crate) fn dated(moment: Moment) -> String {
    let since = SignedDuration::try_from(moment).unwrap_or_default();
    let timestamp = Timestamp::from_duration(since).unwrap_or(Timestamp::UNIX_EPOCH);
    timestamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A moment as a client wrote it.
pub(crate) fn read(text: &str) -> Option<Moment> {
    Duration::try_from(text.parse::<Timestamp>().ok()?.as_duration()).ok()
}
