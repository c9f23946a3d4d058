//! A bridge network: which container has which address and ports, and what the kernel is told of it.
//!
//! Addresses are given under one lock; what the kernel does for a single container is done outside of it. Rules are
//! replaced by whoever changed them first, for all who changed them meanwhile. Nothing is made of the host for the node's
//! own bridge before the first container wants to be in it; any other stands from when its network is made.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use links::{Process, conntrack, nft, sysctl};

use crate::link::{self, BridgeLink};
use crate::{
    BridgeSettings, Endpoint, HardwareAddress, Host, NetworkError, PortHold, PortRequest, Protocol, Subnet, removal,
    rules,
};

/// What a container wants of the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRequest {
    /// The endpoint's id, where it is a new one: 64 hexadecimal digits.
    pub id: String,
    /// The container's name, for messages.
    pub name: String,
    /// The hardware address of its link; one of ours where `None`.
    pub hardware_address: Option<HardwareAddress>,
    /// Its address; the lowest that is free where `None`.
    pub address: Option<Ipv4Addr>,
    /// The ports that are to be reached from outside.
    pub ports: Vec<PortRequest>,
    /// The name of the container's link.
    pub link: String,
    /// Whether everything outside of the container's networks is reached by this one.
    pub leads_out: bool,
}

/// A bridge network of a node.
#[derive(Debug)]
pub struct Bridge {
    host: Arc<Host>,
    settings: BridgeSettings,
    state: Mutex<State>,
    /// The version of the rules that the kernel has. Locked while it is told of the next one.
    applied: Mutex<u64>,
}

#[derive(Debug)]
struct State {
    /// By the ids of containers.
    endpoints: BTreeMap<String, Held>,
    /// The range, once the bridge stands.
    subnet: Option<Subnet>,
    /// The version of the rules that are wanted.
    version: u64,
    /// Whether its network was removed, so that nothing is to be made of it any more.
    is_removed: bool,
}

#[derive(Debug)]
struct Held {
    endpoint: Endpoint,
    /// Whether its ports lead to it already, or still.
    is_connected: bool,
    /// Its ports of the host.
    ports: PortHold,
}

impl Bridge {
    /// The bridge network of these settings. Makes nothing.
    pub fn new(host: Arc<Host>, settings: BridgeSettings) -> Self {
        let state = State { endpoints: BTreeMap::new(), subnet: None, version: 0, is_removed: false };
        Self { host, settings, state: Mutex::new(state), applied: Mutex::new(0) }
    }

    /// What it is.
    pub fn settings(&self) -> &BridgeSettings {
        &self.settings
    }

    /// Has the bridge stand, also before anybody is in it.
    pub fn stand(&self) -> Result<(), NetworkError> {
        let subnet = self.own_subnet();
        self.ensure(&mut self.state(), subnet)?;
        self.apply()
    }

    /// Takes the bridge away for good, unless a container is in it: whether that was so. Nobody gets into it afterwards.
    pub fn remove(&self) -> Result<bool, NetworkError> {
        let mut state = self.state();
        if !state.endpoints.is_empty() {
            return Ok(false);
        }
        match link::find(self.host.owner(), &self.settings) {
            // Where others took the link away, its table is there all the same.
            Ok(_) => removal::remove_bridge(&self.settings.link)?,
            Err(NetworkError::Foreign(_)) => {}
            Err(error) => return Err(error),
        }
        state.is_removed = true;
        Ok(true)
    }

    /// Takes over what an earlier process left: endpoints, by the ids of their containers, which may have ended since.
    /// On return the bridge and the rules are as they would be had that process gone on; what belongs to nobody is gone.
    /// A host that has nothing of ours is left alone.
    pub fn adopt(&self, endpoints: Vec<(String, Endpoint)>) -> Result<(), NetworkError> {
        if endpoints.is_empty() && self.settings.addresses.is_none() && !self.is_standing()? {
            return Ok(());
        }
        let mut state = self.state();
        let wanted = self.own_subnet().or_else(|| endpoints.first().map(|(_, endpoint)| range_of(endpoint)));
        for (container, endpoint) in endpoints {
            let ports = self.host.take_again(&container, &endpoint.ports);
            state.endpoints.insert(container, Held { endpoint, is_connected: true, ports });
        }
        let links: Vec<String> =
            state.endpoints.iter().map(|(id, held)| link::port_of(&self.settings, id, &held.endpoint)).collect();
        let bridge = self.ensure(&mut state, wanted)?;
        state.version += 1;
        drop(state);
        link::settle(bridge.index, &links)?;
        self.apply()?;
        self.admit()
    }

    /// Gives a container an address and ports of the host, and makes the bridge where it does not stand. One that has an
    /// endpoint keeps it.
    pub fn reserve(&self, container: &str, request: &EndpointRequest) -> Result<Endpoint, NetworkError> {
        let mut state = self.state();
        if let Some(held) = state.endpoints.get(container) {
            return Ok(held.endpoint.clone());
        }
        let wanted = self.own_subnet();
        let subnet = self.ensure(&mut state, wanted)?.subnet;
        let address = self.address_for(&state, subnet, request)?;
        let ports = self.host.take_ports(&request.ports).map_err(|source| NetworkError::Ports {
            name: request.name.clone(),
            endpoint: request.id.clone(),
            source,
        })?;
        let endpoint = Endpoint {
            id: request.id.clone(),
            address,
            prefix_length: subnet.prefix_length,
            gateway: subnet.gateway,
            hardware_address: request.hardware_address.unwrap_or_else(|| HardwareAddress::of(address)),
            ports: ports.ports().to_vec(),
            link: request.link.clone(),
            leads_out: request.leads_out,
        };
        let held = Held { endpoint: endpoint.clone(), is_connected: false, ports };
        state.endpoints.insert(container.to_owned(), held);
        Ok(endpoint)
    }

    /// Joins the network namespace of a container's process to the bridge, and has its ports lead to it. On an error
    /// nothing of it is joined.
    pub fn connect(&self, container: &str, process: &Process) -> Result<(), NetworkError> {
        let (bridge, endpoint) = {
            let mut state = self.state();
            let subnet = state.subnet;
            let bridge = self.ensure(&mut state, subnet)?;
            let held = state.endpoints.get(container).ok_or(NetworkError::NoEndpoint)?;
            (bridge, held.endpoint.clone())
        };
        let name = link::port_of(&self.settings, container, &endpoint);
        link::connect(bridge.index, &self.settings, &name, &endpoint, process)?;
        self.set_connected(container, true);
        let applied = self.apply().and_then(|()| forget_flows(&endpoint));
        if applied.is_err() {
            self.set_connected(container, false);
            link::disconnect(&name)?;
        }
        applied
    }

    /// Has a container that is in the bridge reach everything outside of its networks by it, and these ports lead to it.
    pub fn lead_out(&self, container: &str, process: &Process, ports: PortHold) -> Result<Endpoint, NetworkError> {
        let endpoint = {
            let mut state = self.state();
            let held = state.endpoints.get_mut(container).ok_or(NetworkError::NoEndpoint)?;
            held.endpoint.leads_out = true;
            held.endpoint.ports = ports.ports().to_vec();
            held.ports = ports;
            let endpoint = held.endpoint.clone();
            state.version += 1;
            endpoint
        };
        link::lead_out(process, endpoint.gateway)?;
        self.apply()?;
        forget_flows(&endpoint)?;
        Ok(endpoint)
    }

    /// Takes a container out of the bridge: its ports lead nowhere, its links are gone, its address is free. Its ports are
    /// free once the caller drops them. Fine where it is not in it; on an error it keeps its address, and may be released
    /// again.
    pub fn release(&self, container: &str) -> Result<PortHold, NetworkError> {
        let endpoint = self.state().endpoints.get(container).map(|held| held.endpoint.clone());
        let Some(endpoint) = endpoint else { return Ok(PortHold::none(&self.host)) };
        self.set_connected(container, false);
        self.apply()?;
        forget_flows(&endpoint)?;
        link::disconnect(&link::port_of(&self.settings, container, &endpoint))?;
        let held = self.state().endpoints.remove(container);
        Ok(held.map_or_else(|| PortHold::none(&self.host), |held| held.ports))
    }

    /// Puts back what others may have taken away: the table, and our rules in the host's own firewall. Does nothing while
    /// no container is in the bridge.
    pub fn tend(&self) -> Result<(), NetworkError> {
        {
            let mut state = self.state();
            if state.endpoints.is_empty() {
                return Ok(());
            }
            let subnet = state.subnet;
            self.ensure(&mut state, subnet)?;
            let table = self.settings.table();
            if !nft::tables()?.iter().any(|(_, name)| *name == table) {
                tracing::warn!(table, "the rules of a bridge were gone; they are put back");
                state.version += 1;
            }
        }
        self.apply()?;
        self.admit()
    }

    /// Whether it stands: its range is given.
    pub fn stands(&self) -> bool {
        self.state().subnet.is_some()
    }

    /// The range of the bridge; where it does not stand yet, the one that it would have.
    pub fn subnet(&self) -> Result<Subnet, NetworkError> {
        let known = self.state().subnet.or_else(|| self.own_subnet());
        known.map_or_else(link::free_range, Ok)
    }

    /// The endpoints, by the ids of their containers.
    pub fn endpoints(&self) -> BTreeMap<String, Endpoint> {
        let state = self.state();
        state.endpoints.iter().map(|(container, held)| (container.clone(), held.endpoint.clone())).collect()
    }

    /// Has the bridge stand, and the host let packets through.
    fn ensure(&self, state: &mut State, wanted: Option<Subnet>) -> Result<BridgeLink, NetworkError> {
        if state.is_removed {
            return Err(NetworkError::Gone(self.settings.network.clone()));
        }
        let (bridge, is_new) = link::ensure(self.host.owner(), &self.settings, wanted)?;
        if !self.settings.is_internal {
            self.host.forward()?;
            sysctl::write(&sysctl::route_localnet(&self.settings.link), "1")?;
        }
        if is_new {
            self.admit()?;
        }
        if is_new || state.subnet != Some(bridge.subnet) {
            state.subnet = Some(bridge.subnet);
            state.version += 1;
        }
        Ok(bridge)
    }

    /// Has the host's own firewall let packets of the bridge through.
    fn admit(&self) -> Result<(), NetworkError> {
        if self.settings.is_internal { Ok(()) } else { Ok(nft::admit(&self.settings.table(), &self.settings.link)?) }
    }

    /// Whether it stands already, and is ours.
    fn is_standing(&self) -> Result<bool, NetworkError> {
        match link::find(self.host.owner(), &self.settings) {
            Ok(found) => Ok(found.is_some()),
            Err(NetworkError::Foreign(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The range that it was made for.
    fn own_subnet(&self) -> Option<Subnet> {
        self.settings.addresses.as_ref().map(|addresses| addresses.subnet)
    }

    /// The address that a container is to have.
    fn address_for(&self, state: &State, subnet: Subnet, request: &EndpointRequest) -> Result<Ipv4Addr, NetworkError> {
        let mut taken: BTreeSet<Ipv4Addr> = state.endpoints.values().map(|held| held.endpoint.address).collect();
        if let Some(address) = request.address {
            return match (subnet.is_for_containers(address), taken.contains(&address)) {
                (true, false) => Ok(address),
                (true, true) => Err(NetworkError::AddressInUse(address)),
                (false, _) if address == subnet.gateway => Err(NetworkError::AddressInUse(address)),
                (false, _) => Err(NetworkError::NoSuchAddress(address)),
            };
        }
        let addresses = self.settings.addresses.as_ref();
        taken.extend(addresses.iter().flat_map(|addresses| &addresses.auxiliary));
        let part = addresses.and_then(|addresses| addresses.range);
        subnet.lowest_free(part, &taken).ok_or_else(|| NetworkError::NoAddress(self.settings.network.clone()))
    }

    fn set_connected(&self, container: &str, is_connected: bool) {
        let mut state = self.state();
        let Some(held) = state.endpoints.get_mut(container) else { return };
        if held.is_connected != is_connected {
            held.is_connected = is_connected;
            if !held.endpoint.ports.is_empty() {
                state.version += 1;
            }
        }
    }

    /// Tells the kernel of the rules that are wanted, unless it knows them.
    fn apply(&self) -> Result<(), NetworkError> {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, ruleset) = {
            let state = self.state();
            let Some(subnet) = state.subnet.filter(|_| state.version != *applied) else { return Ok(()) };
            let connected = state.endpoints.values().filter(|held| held.is_connected).map(|held| &held.endpoint);
            (state.version, rules::ruleset(&self.settings, subnet, connected))
        };
        nft::replace(&ruleset)?;
        *applied = version;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has datagrams to its ports go by the rules of now, also those of flows that were there before.
fn forget_flows(endpoint: &Endpoint) -> Result<(), NetworkError> {
    let datagrams = endpoint.ports.iter().filter(|port| port.protocol == Protocol::Udp);
    let ports: Vec<u16> = datagrams.map(|port| port.host_port).collect();
    if ports.is_empty() { Ok(()) } else { Ok(conntrack::forget_datagrams(&ports)?) }
}

/// The range that an endpoint was given its address from.
fn range_of(endpoint: &Endpoint) -> Subnet {
    Subnet { gateway: endpoint.gateway, prefix_length: endpoint.prefix_length }
}
