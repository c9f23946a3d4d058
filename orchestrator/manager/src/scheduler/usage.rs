//! What the tasks of a node take of it.

use std::collections::HashMap;

use model::{ServiceId, Task};

/// A port that a task publishes on its node alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct HostPort {
    protocol: String,
    port: u32,
}

/// The ports that a task wants on its node; those that the node finds itself collide with nothing.
pub(super) fn host_ports(task: &Task) -> impl Iterator<Item = HostPort> {
    task.state
        .ports
        .iter()
        .filter(|port| port.is_host_mode() && port.published_port != 0)
        .map(|port| HostPort { protocol: port.protocol().to_owned(), port: port.published_port })
}

/// What is taken of a node. What a task takes is free once it has ended; it counts as one of its service's for as long
/// as it is wanted.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// Processors × 10⁹ that are reserved.
    pub(super) nano_cpus: i64,
    /// Memory (bytes) that is reserved.
    pub(super) memory_bytes: i64,
    /// Tasks that are wanted.
    wanted: u32,
    wanted_of: HashMap<ServiceId, u32>,
    /// Tasks that take something, wanted or not.
    tasks: usize,
    ports: HashMap<HostPort, u32>,
}

impl Usage {
    /// A task begins to take its share.
    pub(super) fn add(&mut self, task: &Task, is_wanted: bool) {
        self.tasks += 1;
        if let Some(reserved) = task.spec.reservations() {
            self.nano_cpus = self.nano_cpus.saturating_add(reserved.nano_cpus);
            self.memory_bytes = self.memory_bytes.saturating_add(reserved.memory_bytes);
        }
        for port in host_ports(task) {
            *self.ports.entry(port).or_default() += 1;
        }
        if is_wanted {
            self.wanted += 1;
            match self.wanted_of.get_mut(&task.state.service_id) {
                Some(number) => *number += 1,
                None => drop(self.wanted_of.insert(task.state.service_id.clone(), 1)),
            }
        }
    }

    /// A task that was added the same way gives its share back.
    pub(super) fn remove(&mut self, task: &Task, is_wanted: bool) {
        self.tasks -= 1;
        if let Some(reserved) = task.spec.reservations() {
            self.nano_cpus = self.nano_cpus.saturating_sub(reserved.nano_cpus);
            self.memory_bytes = self.memory_bytes.saturating_sub(reserved.memory_bytes);
        }
        for port in host_ports(task) {
            count_down(&mut self.ports, &port);
        }
        if is_wanted {
            self.wanted -= 1;
            count_down(&mut self.wanted_of, &task.state.service_id);
        }
    }

    /// Whether nothing is taken.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks == 0
    }

    /// How many tasks are wanted.
    pub(super) fn wanted(&self) -> u32 {
        self.wanted
    }

    /// How many tasks of a service are wanted.
    pub(super) fn wanted_of(&self, service: &ServiceId) -> u32 {
        self.wanted_of.get(service).copied().unwrap_or(0)
    }

    /// Whether a port is taken.
    pub(super) fn has_port(&self, port: &HostPort) -> bool {
        self.ports.contains_key(port)
    }
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(number) = counts.get_mut(key) {
        *number -= 1;
        if *number == 0 {
            counts.remove(key);
        }
    }
}
