//! A host with somebody outside, and containers, which here are a process each.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use links::route::{Connection, VethPair};
use links::{Process, namespace};
use network::{Addresses, Bridge, BridgeSettings, Endpoint, EndpointRequest, PortRequest, Protocol, Subnet};
use tempfile::TempDir;

/// Between two namespaces of one machine a packet takes microseconds; what has not come by then was dropped.
const PATIENCE: Duration = Duration::from_millis(500);
/// The host's address outside.
pub(crate) const HERE: &str = "192.0.2.1";
/// The address of whoever is outside.
pub(crate) const OUTSIDE: &str = "192.0.2.2";
/// The host's link to the outside.
const LINK: &str = "toward";

/// A process in a network namespace of its own.
#[derive(Debug)]
pub(crate) struct Place {
    child: Child,
    pub(crate) process: Process,
}

impl Place {
    pub(crate) fn new() -> Self {
        let mut command = Command::new("sleep");
        command.arg("100000").stdin(Stdio::null());
        let child = namespace::spawn_isolated(command, Vec::new()).unwrap();
        let process = Process::of(child.id()).unwrap();
        Self { child, process }
    }

    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        namespace::inside_network(&self.process, what).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The host of a test, and who is outside.
pub(crate) struct Host {
    pub(crate) outside: Place,
    pub(crate) folder: TempDir,
}

/// A container in the bridge.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) place: Place,
    pub(crate) endpoint: Endpoint,
}

impl Host {
    pub(crate) fn new() -> Self {
        let outside = Place::new();
        let mut own = Connection::open().unwrap();
        let loopback = own.link("lo").unwrap().unwrap();
        own.set_up(loopback.index).unwrap();
        let pair = VethPair {
            name: LINK,
            master: None,
            peer_of: outside.process.pid,
            peer_name: "eth0",
            peer_hardware_address: [2, 0, 0, 0, 0, 1],
        };
        own.add_veth(&pair).unwrap();
        let mut other = Connection::open_inside(&outside.process).unwrap();
        for (connection, link, address) in [(&mut own, LINK, HERE), (&mut other, "eth0", OUTSIDE)] {
            let index = connection.link(link).unwrap().unwrap().index;
            connection.set_up(index).unwrap();
            connection.ensure_address(index, format!("{address}/24").parse().unwrap()).unwrap();
        }
        // It knows the way into the bridge, so that what it does not reach was kept from it.
        other.ensure_default_route(HERE.parse().unwrap()).unwrap();
        Self { outside, folder: tempfile::tempdir().unwrap() }
    }

    /// What bridges of an engine share.
    pub(crate) fn of(&self, engine: &str) -> Arc<network::Host> {
        Arc::new(network::Host::new(engine.to_owned(), self.folder.path().to_owned()))
    }

    pub(crate) fn bridge(&self) -> Bridge {
        Bridge::new(self.of("engine-1"), BridgeSettings::of_node())
    }
}

/// A port of a container that is to be reached at these of the host.
pub(crate) fn port(protocol: Protocol, target_port: u16, host_address: &str, host_port: u16) -> PortRequest {
    let host_ports: Option<RangeInclusive<u16>> = (host_port != 0).then_some(host_port..=host_port);
    PortRequest { target_port, protocol, host_address: host_address.parse().unwrap(), host_ports }
}

/// What a container with these ports asks for.
pub(crate) fn request(name: &str, ports: Vec<PortRequest>) -> EndpointRequest {
    EndpointRequest {
        id: format!("{name}-endpoint-of-it"),
        name: name.to_owned(),
        hardware_address: None,
        address: None,
        ports,
        link: "eth0".to_owned(),
        leads_out: true,
    }
}

/// A network by this name with the addresses of `10.<number>.0.0/24`.
pub(crate) fn network(name: &str, number: u8) -> BridgeSettings {
    let subnet = Subnet { gateway: [10, number, 0, 1].into(), prefix_length: 24 };
    BridgeSettings {
        network: name.to_owned(),
        link: format!("sw-{name}"),
        addresses: Some(Addresses { subnet, range: None, auxiliary: BTreeSet::new() }),
        is_internal: false,
        masquerades: true,
        longest_packet: None,
    }
}

impl Container {
    /// A container with this letter as name, in the bridge.
    pub(crate) fn join(bridge: &Bridge, letter: char, ports: Vec<PortRequest>) -> Self {
        let id = letter.to_string().repeat(64);
        let place = Place::new();
        let endpoint = bridge.reserve(&id, &request(&letter.to_string().repeat(11), ports)).unwrap();
        bridge.connect(&id, &place.process).unwrap();
        Self { id, place, endpoint }
    }

    pub(crate) fn address(&self) -> String {
        self.endpoint.address.to_string()
    }
}

/// Answers connections to a port of a place, each with the address that it came from.
pub(crate) fn serve(place: &Place, port: u16) {
    let listener = place.run(|| TcpListener::bind(("0.0.0.0", port))).unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let peer = connection.peer_addr().unwrap().ip().to_string();
            let _ = connection.write_all(peer.as_bytes());
        }
    });
}

/// Answers datagrams to a port of a place, each with the address that it came from.
pub(crate) fn serve_datagrams(place: &Place, port: u16) {
    let socket = place.run(|| UdpSocket::bind(("0.0.0.0", port))).unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 16];
        while let Ok((_, peer)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(peer.ip().to_string().as_bytes(), peer);
        }
    });
}

/// What a port answers to whoever calls this; an error where nobody does.
pub(crate) fn ask(address: &str, port: u16) -> io::Result<String> {
    let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The same for datagrams.
pub(crate) fn ask_by_datagram(address: &str, port: u16) -> io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(SocketAddr::new(address.parse::<IpAddr>().unwrap(), port))?;
    socket.send(b"hello")?;
    let mut bytes = [0; 64];
    let length = socket.recv(&mut bytes)?;
    Ok(String::from_utf8(bytes[..length].to_vec()).unwrap())
}
