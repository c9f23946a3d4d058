//! How fast Azure Resource Manager may be called.
//!
//! By subscription, principal and region, as "Understand how Azure Resource Manager throttles requests" publishes it since
//! 2024. The providers behind it have limits of their own, which are wider for what a cluster takes, and are answered
//! with `Retry-After` where they are reached.

use driver::Rate;
use reqwest::Method;

/// Reads.
pub(crate) const READS: Rate = Rate { bucket: "azure-reads", burst: 250.0, per_second: 25.0 };
/// Writes, and actions on machines.
pub(crate) const WRITES: Rate = Rate { bucket: "azure-writes", burst: 200.0, per_second: 10.0 };
/// Deletes.
pub(crate) const DELETES: Rate = Rate { bucket: "azure-deletes", burst: 200.0, per_second: 10.0 };

/// The bucket that a call takes from.
pub(crate) fn rate_of(method: &Method) -> Rate {
    if method == Method::GET {
        READS
    } else if method == Method::DELETE {
        DELETES
    } else {
        WRITES
    }
}
