//! Where there are no Linux namespaces.

use std::path::Path;
use std::sync::Arc;

use driver::{Driver, DriverError, Options};

/// Says that this provider needs Linux.
pub fn open(_options: &Options, _state: &Path) -> Result<Arc<dyn Driver>, DriverError> {
    Err(DriverError::Unmet {
        what: "the provider `local` needs Linux".to_owned(),
        hint: "use `--provider generic` with hosts that you can reach by SSH".to_owned(),
    })
}
