//! Another host: a network namespace behind a link of this one.

use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use links::route::{Connection, VethPair};
use links::{Prefix, Process, namespace};

/// The link to the other host, on this side.
pub(crate) const LINK: &str = "toward";

/// Another host, and the link to it.
pub(crate) struct Neighbor {
    child: Child,
    /// The process that holds its namespaces.
    pub(crate) process: Process,
}

impl Neighbor {
    /// Makes a host with addresses there, and others here.
    pub(crate) fn connect(here: &[&str], there: &[&str]) -> Self {
        let mut command = Command::new("sleep");
        command.arg("100000").stdin(Stdio::null());
        let child = namespace::spawn_isolated(command, Vec::new()).unwrap();
        let process = Process::of(child.id()).unwrap();
        let mut own = Connection::open().unwrap();
        let pair = VethPair {
            name: LINK,
            master: None,
            peer_of: process.pid,
            peer_name: "eth0",
            peer_hardware_address: [2, 0, 0, 0, 0, 1],
        };
        own.add_veth(&pair).unwrap();
        let mut other = Connection::open_inside(&process).unwrap();
        for (connection, link, addresses) in [(&mut own, LINK, here), (&mut other, "eth0", there)] {
            let index = connection.link(link).unwrap().unwrap().index;
            connection.set_up(index).unwrap();
            for address in addresses {
                connection.ensure_address(index, address.parse::<Prefix>().unwrap()).unwrap();
            }
        }
        Self { child, process }
    }

    /// Runs something on the other host.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        namespace::inside_network(&self.process, what).unwrap()
    }

    /// The addresses of the link there, but for those that the kernel gives by itself.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let mut connection = Connection::open_inside(&self.process).unwrap();
        let index = connection.link("eth0").unwrap().unwrap().index;
        let addresses = connection.addresses().unwrap();
        let own = addresses.iter().filter(|address| address.link == index).map(|address| address.prefix.address);
        own.filter(|address| !address.to_string().starts_with("fe80")).collect()
    }
}

impl Drop for Neighbor {
    fn drop(&mut self) {
        // The namespaces of the whole test end with it; this only spares the next part of the same test the link.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
