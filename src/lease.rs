//! The lease of a cluster that goes with a process: `create --reap-with PID`.
//!
//! ```text
//!   PID lives ── `swarmup hold` on this workstation ── renews it at every manager ──> all nodes stay
//!   PID ends  ── the holder destroys the cluster at once
//!   the holder ends, the workstation dies ── nobody renews ──> the nodes end themselves once its length has passed
//! ```

use std::time::Duration;

use driver::{Driver, Expiry, Mark};
use jiff::SignedDuration;
use model::{LeaseTerms, OnLapse};
use serde::{Deserialize, Serialize};

use crate::platform;

/// The shortest length: two heartbeats of a node, by which it hears of a renewal at another one.
pub const SHORTEST: SignedDuration = SignedDuration::from_secs(10);
/// How often it is renewed in its length: so many renewals may be lost in a row, less one.
const RENEWALS: u32 = 12;

/// The lease of a cluster, as its journal has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The process that the cluster goes with.
    pub process: WatchedProcess,
    /// What the nodes are told.
    pub terms: LeaseTerms,
}

/// A process of this workstation, and no later one that has its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedProcess {
    /// Its number.
    pub pid: u32,
    /// When it started, in the kernel's own count; absent where nobody tells, and then the number must do.
    pub started: Option<u64>,
}

impl WatchedProcess {
    /// The process of that number; nothing where there is none.
    pub fn find(pid: u32) -> Option<Self> {
        platform::process_start(pid).map(|started| Self { pid, started })
    }

    /// Whether it lives.
    pub fn lives(self) -> bool {
        Self::find(self.pid) == Some(self)
    }
}

impl Lease {
    /// How long nobody may hold it.
    pub fn length(&self) -> Duration {
        Duration::from_secs(self.terms.seconds.into())
    }

    /// The pause between two renewals.
    pub fn pause(&self) -> Duration {
        self.length() / RENEWALS
    }
}

/// What nodes at this provider do when their lease lapses; nothing where all that they could do would leave something
/// behind that is charged.
pub fn on_lapse(driver: &dyn Driver, mark: &Mark) -> Option<OnLapse> {
    let capabilities = driver.capabilities();
    if capabilities.machines_are_given {
        return Some(OnLapse::RemoveAgent);
    }
    let is_charged = capabilities.has_user_data;
    let ends_itself = capabilities.expiry == Expiry::Machine || driver.farewell(mark).is_some();
    (ends_itself || !is_charged).then_some(OnLapse::EndMachine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_until_it_ends_and_a_later_one_of_its_number_is_another() {
        let own = WatchedProcess::find(std::process::id()).unwrap();
        let later = WatchedProcess { started: own.started.map(|started| started + 1), ..own };

        assert!(own.lives());
        assert!(own.started.is_none() || !later.lives());
        assert_eq!(WatchedProcess::find(u32::MAX), None);
    }

    #[test]
    fn eleven_renewals_in_a_row_may_be_lost() {
        let terms = LeaseTerms { seconds: 120, on_lapse: OnLapse::EndMachine };
        let lease = Lease { process: WatchedProcess { pid: 1, started: None }, terms };

        assert_eq!((lease.length(), lease.pause()), (Duration::from_mins(2), Duration::from_secs(10)));
    }
}
