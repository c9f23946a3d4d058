//! What all bridges of an engine share of their host: whose they are, the ports that are given, and how the host was.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ports::{self, FIRST_DYNAMIC, Reservation};
use crate::{NetworkError, PortError, PortRequest, PublishedPort, forwarding};

/// The host of an engine's bridges.
#[derive(Debug)]
pub struct Host {
    owner: String,
    folder: PathBuf,
    ports: Mutex<GivenPorts>,
    /// Locked while the host's settings are looked at and changed.
    forwarding: Mutex<()>,
}

#[derive(Debug)]
struct GivenPorts {
    given: Vec<PublishedPort>,
    /// Where the search for any port begins.
    next: u16,
}

impl Host {
    /// The host of an engine, which is named by its id: bridges of another one are left alone. How the host was before is
    /// kept in the folder, which is made when it is needed. Changes nothing.
    pub fn new(owner: String, folder: PathBuf) -> Self {
        let ports = Mutex::new(GivenPorts { given: Vec::new(), next: FIRST_DYNAMIC });
        Self { owner, folder, ports, forwarding: Mutex::new(()) }
    }

    /// The engine's id.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    /// Has the host pass packets on.
    pub(crate) fn forward(&self) -> Result<(), NetworkError> {
        let _one_at_a_time = self.forwarding.lock().unwrap_or_else(PoisonError::into_inner);
        forwarding::turn_on(&self.folder)
    }

    /// Puts the host's settings back as they were.
    pub(crate) fn put_back(&self) -> Result<(), NetworkError> {
        let _one_at_a_time = self.forwarding.lock().unwrap_or_else(PoisonError::into_inner);
        forwarding::put_back(&self.folder)
    }

    /// Takes the ports that a container wants: all of them or none.
    pub fn take_ports(self: &Arc<Self>, requests: &[PortRequest]) -> Result<PortHold, PortError> {
        let mut hold = PortHold::none(self);
        let mut ports = self.ports();
        for request in requests {
            let GivenPorts { given, next } = &mut *ports;
            match ports::reserve(request, given, next) {
                Ok((port, reservation)) => {
                    given.push(port);
                    hold.ports.push(port);
                    hold.reservations.push(reservation);
                }
                Err(error) => {
                    // It gives back what it has, for which it needs the lock.
                    drop(ports);
                    return Err(error);
                }
            }
        }
        Ok(hold)
    }

    /// Takes ports again that a container had before this process. Whoever has one meanwhile keeps it: packets go to the
    /// container all the same.
    pub(crate) fn take_again(self: &Arc<Self>, container: &str, ports: &[PublishedPort]) -> PortHold {
        let mut hold = PortHold::none(self);
        for port in ports {
            match Reservation::of(port) {
                Ok(reservation) => hold.reservations.push(reservation),
                Err(error) => {
                    tracing::warn!(container, port = %port.host(), %error, "a published port is another process's, too");
                }
            }
        }
        hold.ports = ports.to_vec();
        self.ports().given.extend_from_slice(ports);
        hold
    }

    fn ports(&self) -> MutexGuard<'_, GivenPorts> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ports of the host that are a container's as long as this lives.
#[derive(Debug)]
pub struct PortHold {
    host: Arc<Host>,
    ports: Vec<PublishedPort>,
    reservations: Vec<Reservation>,
}

impl PortHold {
    pub(crate) fn none(host: &Arc<Host>) -> Self {
        Self { host: Arc::clone(host), ports: Vec::new(), reservations: Vec::new() }
    }

    /// The ports.
    pub fn ports(&self) -> &[PublishedPort] {
        &self.ports
    }
}

impl Drop for PortHold {
    fn drop(&mut self) {
        // First the sockets: whoever finds a port free is to be able to bind it.
        self.reservations.clear();
        self.host.ports().given.retain(|port| !self.ports.contains(port));
    }
}
