//! What shall go wrong, and when.

use std::time::Duration;

/// One thing that shall go wrong with requests of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The method; absent: any.
    pub method: Option<&'static str>,
    /// The kind of request: the resource type's name (`virtualMachines`, `resourceGroups`), with an action behind a
    /// slash (`virtualMachines/start`), or `token`, `metadata`, `operations`, `resources`, `usages`, `permissions`; absent: any.
    pub kind: Option<&'static str>,
    /// The first repetition that it strikes, from 1, counted from when the fault was set.
    pub nth: u32,
    /// How many repetitions it strikes.
    pub times: u32,
    /// How it goes wrong.
    pub how: How,
}

/// How a request goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// It is refused, and nothing is done.
    Refuse {
        /// The status.
        status: u16,
        /// The code in the body.
        code: &'static str,
        /// When to come back, where that is said.
        retry_after: Option<u64>,
    },
    /// It is done, and the connection is reset before the answer.
    Lose,
    /// The connection is reset, and nothing is done.
    Reset,
    /// It is never answered, and nothing is done.
    HoldBefore,
    /// It is done, and never answered.
    HoldAfter,
    /// It is done and answered, after so long.
    Delay(Duration),
}

impl Fault {
    /// A fault of the `nth` request of one method and kind.
    pub fn new(method: &'static str, kind: &'static str, nth: u32, how: How) -> Self {
        Self { method: Some(method), kind: Some(kind), nth, times: 1, how }
    }

    /// A fault of the `nth` request of all.
    pub fn of_any(nth: u32, how: How) -> Self {
        Self { method: None, kind: None, nth, times: 1, how }
    }

    /// The same for so many repetitions in a row.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    fn is_about(&self, method: &str, kind: &str) -> bool {
        self.method.is_none_or(|own| own == method) && self.kind.is_none_or(|own| own.eq_ignore_ascii_case(kind))
    }
}

/// The faults that are set, each with how many requests it has seen.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(Fault, u32)>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push((fault, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts a request with every fault that it is about; what the first one to strike does with it.
    pub(crate) fn strike(&mut self, method: &str, kind: &str) -> Option<How> {
        let mut struck = None;
        for (fault, seen) in self.0.iter_mut().filter(|(fault, _)| fault.is_about(method, kind)) {
            *seen += 1;
            let strikes = *seen >= fault.nth && *seen - fault.nth < fault.times;
            if strikes && struck.is_none() {
                struck = Some(fault.how.clone());
            }
        }
        struck
    }
}

/// A machine size that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The size.
    pub size: String,
    /// The zone; absent: everywhere.
    pub zone: Option<String>,
    /// When and how that is said.
    pub how: ShortageHow,
}

/// How a lack of capacity shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortageHow {
    /// The request is refused with `SkuNotAvailable`, and nothing is made.
    AtOnce,
    /// The machine is accepted, and its provisioning fails with `AllocationFailed` or `ZonalAllocationFailed`.
    Later,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_the_repetitions_that_it_names_and_no_other() {
        let mut faults = Faults::default();
        faults.add(Fault::new("PUT", "virtualMachines", 2, How::Lose).times(2));

        let struck: Vec<_> = (0..4).map(|_| faults.strike("PUT", "virtualmachines").is_some()).collect();

        assert_eq!(struck, [false, true, true, false]);
        assert_eq!(faults.strike("GET", "virtualMachines"), None);
    }
}
