//! How long the driver waits for Azure, and how often it looks.

use std::time::Duration;

use driver::Backoff;

/// How long the driver waits for Azure, and how often it looks.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How a call is tried again.
    pub backoff: Backoff,
    /// The pause between two looks at something that goes on; longer where Azure asks for it.
    pub pause: Duration,
    /// How long a network, or a change of a machine, may take.
    pub operation: Duration,
    /// How long it may take until a new machine has its addresses.
    pub addresses: Duration,
    /// How long an interface may stay reserved for a machine that is gone; Azure says 180 seconds.
    pub reservation: Duration,
    /// How long a resource group that is being deleted may take to go.
    pub group: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            pause: Duration::from_secs(1),
            operation: Duration::from_mins(10),
            addresses: Duration::from_mins(5),
            reservation: Duration::from_mins(5),
            group: Duration::from_mins(15),
        }
    }
}
