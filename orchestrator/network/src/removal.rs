//! Taking bridges away from a host.

use links::nft;
use links::route::Connection;

use crate::link::{self, BRIDGE};
use crate::rules::{FAMILY, TABLE};
use crate::settings::table_of;
use crate::{Host, NetworkError};

/// Takes away all that an engine has made of its host: tables, the rules in the host's own firewall, bridges; and puts its
/// forwarding back. Containers have none of it any more. Fine where there is nothing, or another engine's.
pub fn remove(host: &Host) -> Result<(), NetworkError> {
    remove_all_but(host, &[])?;
    let mut connection = Connection::open()?;
    let bridge = connection.link(BRIDGE)?;
    let owner = bridge.as_ref().and_then(|bridge| bridge.alias.as_ref());
    if owner.is_some_and(|owner| owner != host.owner()) {
        return Ok(());
    }
    remove_table(TABLE)?;
    host.put_back()?;
    if let Some(bridge) = bridge {
        // A network namespace goes a moment after its last process.
        link::settle(bridge.index, &[])?;
        connection.remove_link(BRIDGE)?;
    }
    Ok(())
}

/// Takes away the bridges of networks that nobody knows: all but those with these links and the node's own. Another
/// engine's are left alone.
pub fn remove_all_but(host: &Host, known: &[String]) -> Result<(), NetworkError> {
    for bridge in link::all_of(host.owner())? {
        if bridge.name == BRIDGE || known.contains(&bridge.name) {
            continue;
        }
        tracing::info!(link = bridge.name, "a bridge of no network is removed");
        remove_bridge(&bridge.name)?;
    }
    Ok(())
}

/// Takes a bridge away, with its table and what is plugged into it; fine where there is none. The link goes last: by it
/// what was left half done is found.
pub(crate) fn remove_bridge(name: &str) -> Result<(), NetworkError> {
    remove_table(&table_of(name))?;
    let mut connection = Connection::open()?;
    if let Some(bridge) = connection.link(name)? {
        link::settle(bridge.index, &[])?;
        connection.remove_link(name)?;
    }
    Ok(())
}

fn remove_table(table: &str) -> Result<(), NetworkError> {
    nft::remove(FAMILY, table)?;
    if !nft::tables()?.is_empty() {
        nft::retract(table)?;
    }
    Ok(())
}
