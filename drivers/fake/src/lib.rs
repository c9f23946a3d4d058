//! Machines that exist in a file only, with faults on demand: for tests of everything above the drivers.
//!
//! The whole contract is implemented, expiry included. State lives in a folder, so that several processes see the same
//! machines; ids and addresses are the same in every run. `--fault` makes a call fail the way real providers do:
//!
//! ```text
//! --fault create:1=partial:2    the first create makes two machines, then fails
//! --fault create:1=lost         it makes them all, and the answer is lost
//! --fault find=throttled:50     every find is refused, with 50 ms to wait
//! --fault any=slow:20           every call takes 20 ms
//! ```

#![forbid(unsafe_code)]

mod fault;
mod provider;
mod state;

use std::path::Path;
use std::sync::Arc;

use driver::{Driver, DriverError, OptionSpec, Options};

pub use fault::{Call, Fault, FaultKind, InvalidFault};
pub use provider::Fake;

/// The provider's name.
pub const NAME: &str = "fake";
/// What it is, as a clause for help.
pub const ABOUT: &str = "machines that exist in a file only, for tests and dry runs";
/// Its options.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "state-dir",
        env: Some("SWARMUP_FAKE_STATE_DIR"),
        value_name: "DIR",
        default: None,
        is_repeated: false,
        help: "The folder that holds the machines",
    },
    OptionSpec {
        name: "fault",
        env: Some("SWARMUP_FAKE_FAULT"),
        value_name: "CALL[:N]=KIND",
        default: None,
        is_repeated: true,
        help: "Make a call, or its N-th repetition, go wrong: fail, transient, throttled[:MS], quota, lost, slow:MS, \
               partial:MACHINES",
    },
];

/// Opens the provider; `state` is where its machines are kept unless an option names another folder.
pub fn open(options: &Options, state: &Path) -> Result<Arc<dyn Driver>, DriverError> {
    let folder = options.one("state-dir").map_or(state, Path::new);
    let faults = options.many("fault").into_iter().map(parse_fault).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Fake::open(folder, faults)))
}

fn parse_fault(text: &str) -> Result<Fault, DriverError> {
    text.parse().map_err(|error: InvalidFault| DriverError::InvalidOption {
        option: "fault".to_owned(),
        reason: error.to_string(),
    })
}
