//! Taking the bridge network away from a host.

use links::nft;
use links::route::Connection;

use crate::link::{self, BRIDGE};
use crate::rules::{FAMILY, TABLE};
use crate::{BridgeSettings, NetworkError, forwarding};

/// Takes away all that the engine with these settings has made of the host: the table, the rules in the host's own
/// firewall, the bridge; and puts its forwarding back. Containers have none of it any more. Fine where there is nothing,
/// or another engine's.
pub fn remove(settings: &BridgeSettings) -> Result<(), NetworkError> {
    let mut connection = Connection::open()?;
    let bridge = connection.link(BRIDGE)?;
    let owner = bridge.as_ref().and_then(|bridge| bridge.alias.as_ref());
    if owner.is_some_and(|owner| *owner != settings.owner) {
        return Ok(());
    }
    nft::remove(FAMILY, TABLE)?;
    if !nft::tables()?.is_empty() {
        nft::retract(TABLE)?;
    }
    forwarding::put_back(&settings.folder)?;
    if let Some(bridge) = bridge {
        // A network namespace goes a moment after its last process.
        link::settle(bridge.index, &[])?;
        connection.remove_link(BRIDGE)?;
    }
    Ok(())
}
