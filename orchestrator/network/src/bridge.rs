//! The bridge network of a node: which container has which address and ports, and what the kernel is told of it.
//!
//! Nothing is made of the host before the first container wants to be in it. Addresses and ports are given under one
//! lock; what the kernel does for a single container is done outside of it. Rules are replaced by whoever changed them
//! first, for all who changed them meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use links::{Process, conntrack, nft, sysctl};

use crate::link::{self, BRIDGE, BridgeLink};
use crate::ports::{self, FIRST_DYNAMIC, Reservation};
use crate::rules::{self, TABLE};
use crate::{Endpoint, HardwareAddress, NetworkError, PortRequest, Protocol, PublishedPort, Subnet, forwarding};

/// Whose the bridge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSettings {
    /// The engine, by its id: a bridge of another one is left alone.
    pub owner: String,
    /// Where it is kept how the host was before; made when it is needed.
    pub folder: PathBuf,
}

/// What a container wants of the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRequest {
    /// The endpoint's id, where it is a new one: 64 hexadecimal digits.
    pub id: String,
    /// The container's name, for messages.
    pub name: String,
    /// The hardware address of its link; one of ours where `None`.
    pub hardware_address: Option<HardwareAddress>,
    /// The ports that are to be reached from outside.
    pub ports: Vec<PortRequest>,
}

/// The bridge network of a node.
#[derive(Debug)]
pub struct Bridge {
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
    next_port: u16,
}

#[derive(Debug)]
struct Held {
    endpoint: Endpoint,
    /// Whether its ports lead to it already, or still.
    is_connected: bool,
    /// Its ports of the host.
    _reservations: Vec<Reservation>,
}

impl Bridge {
    /// The bridge network of these settings. Makes nothing.
    pub fn new(settings: BridgeSettings) -> Self {
        let state = State { endpoints: BTreeMap::new(), subnet: None, version: 0, next_port: FIRST_DYNAMIC };
        Self { settings, state: Mutex::new(state), applied: Mutex::new(0) }
    }

    /// Takes over what an earlier process left: endpoints, by the ids of their containers, which may have ended since.
    /// On return the bridge and the rules are as they would be had that process gone on; what belongs to nobody is gone.
    /// A host that has nothing of ours is left alone.
    pub fn adopt(&self, endpoints: Vec<(String, Endpoint)>) -> Result<(), NetworkError> {
        let has_bridge = match link::find(&self.settings.owner) {
            Ok(found) => found.is_some(),
            Err(NetworkError::Foreign(_)) => false,
            Err(error) => return Err(error),
        };
        if endpoints.is_empty() && !has_bridge {
            return Ok(());
        }
        let mut state = self.state();
        let wanted = endpoints.first().map(|(_, endpoint)| range_of(endpoint));
        for (container, endpoint) in endpoints {
            let reservations = endpoint.ports.iter().filter_map(|port| reserve_again(&container, port)).collect();
            let held = Held { endpoint, is_connected: true, _reservations: reservations };
            state.endpoints.insert(container, held);
        }
        let containers: Vec<String> = state.endpoints.keys().cloned().collect();
        let bridge = self.ensure(&mut state, wanted)?;
        state.version += 1;
        drop(state);
        link::settle(bridge.index, &containers)?;
        self.apply()?;
        Ok(nft::admit(TABLE, BRIDGE)?)
    }

    /// Gives a container an address and ports of the host, and makes the bridge where it is the first. One that has an
    /// endpoint keeps it.
    pub fn reserve(&self, container: &str, request: &EndpointRequest) -> Result<Endpoint, NetworkError> {
        let mut state = self.state();
        if let Some(held) = state.endpoints.get(container) {
            return Ok(held.endpoint.clone());
        }
        let subnet = self.ensure(&mut state, None)?.subnet;
        let taken: BTreeSet<Ipv4Addr> = state.endpoints.values().map(|held| held.endpoint.address).collect();
        let address = subnet.lowest_free(&taken).ok_or(NetworkError::NoAddress)?;
        let (ports, reservations) = state.reserve_ports(request)?;
        let endpoint = Endpoint {
            id: request.id.clone(),
            address,
            prefix_length: subnet.prefix_length,
            gateway: subnet.gateway,
            hardware_address: request.hardware_address.unwrap_or_else(|| HardwareAddress::of(address)),
            ports,
        };
        let held = Held { endpoint: endpoint.clone(), is_connected: false, _reservations: reservations };
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
        link::connect(bridge.index, container, &endpoint, process)?;
        self.set_connected(container, true);
        let applied = self.apply().and_then(|()| forget_flows(&endpoint));
        if applied.is_err() {
            self.set_connected(container, false);
            link::disconnect(container)?;
        }
        applied
    }

    /// Takes a container out of the bridge: its ports lead nowhere, its links are gone, its address is free. Fine where
    /// it is not in it; on an error it keeps its address, and may be released again.
    pub fn release(&self, container: &str) -> Result<(), NetworkError> {
        let endpoint = self.state().endpoints.get(container).map(|held| held.endpoint.clone());
        let Some(endpoint) = endpoint else { return Ok(()) };
        self.set_connected(container, false);
        self.apply()?;
        forget_flows(&endpoint)?;
        link::disconnect(container)?;
        self.state().endpoints.remove(container);
        Ok(())
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
            if !nft::tables()?.iter().any(|(_, name)| name == TABLE) {
                tracing::warn!(table = TABLE, "the rules of the bridge were gone; they are put back");
                state.version += 1;
            }
        }
        self.apply()?;
        Ok(nft::admit(TABLE, BRIDGE)?)
    }

    /// The range of the bridge; where it does not stand yet, the one that it would have.
    pub fn subnet(&self) -> Result<Subnet, NetworkError> {
        let known = self.state().subnet;
        known.map_or_else(link::free_range, Ok)
    }

    /// The endpoints, by the ids of their containers.
    pub fn endpoints(&self) -> BTreeMap<String, Endpoint> {
        let state = self.state();
        state.endpoints.iter().map(|(container, held)| (container.clone(), held.endpoint.clone())).collect()
    }

    /// Has the bridge stand, and the host let packets through.
    fn ensure(&self, state: &mut State, wanted: Option<Subnet>) -> Result<BridgeLink, NetworkError> {
        let (bridge, is_new) = link::ensure(&self.settings.owner, wanted)?;
        forwarding::turn_on(&self.settings.folder)?;
        sysctl::write(&sysctl::route_localnet(BRIDGE), "1")?;
        if is_new {
            nft::admit(TABLE, BRIDGE)?;
        }
        if is_new || state.subnet != Some(bridge.subnet) {
            state.subnet = Some(bridge.subnet);
            state.version += 1;
        }
        Ok(bridge)
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
            (state.version, rules::ruleset(subnet, connected))
        };
        nft::replace(&ruleset)?;
        *applied = version;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the ports that a container wants: all of them or none.
    fn reserve_ports(
        &mut self,
        request: &EndpointRequest,
    ) -> Result<(Vec<PublishedPort>, Vec<Reservation>), NetworkError> {
        let mut others: Vec<PublishedPort> =
            self.endpoints.values().flat_map(|held| held.endpoint.ports.iter().copied()).collect();
        let (mut taken, mut reservations) = (Vec::new(), Vec::new());
        for wanted in &request.ports {
            let found = ports::reserve(wanted, &others, &mut self.next_port);
            let (port, reservation) = found.map_err(|source| NetworkError::Ports {
                name: request.name.clone(),
                endpoint: request.id.clone(),
                source,
            })?;
            others.push(port);
            taken.push(port);
            reservations.push(reservation);
        }
        Ok((taken, reservations))
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

/// Takes a port again that a container had before this process. Whoever has it meanwhile keeps it: packets go to the
/// container all the same.
fn reserve_again(container: &str, port: &PublishedPort) -> Option<Reservation> {
    let taken = Reservation::of(port);
    taken
        .inspect_err(|error| {
            tracing::warn!(container, port = %port.host(), %error, "a published port is another process's, too");
        })
        .ok()
}
