//! What exists, and how it changes with time.
//!
//! Nothing happens in the background: each request first brings what is due up to its moment, so that what a request
//! sees depends on its time alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::answer::Refusal;
use crate::authority::Caller;
use crate::bodies::Tags;
use crate::bodies::{Named, RuleProperties};
use crate::fault::Shortage;
use crate::identities::{Assignment, IdentityRecord};
use crate::machines::MachineRecord;
use crate::network::{AddressRecord, InterfaceRecord, NetworkRecord};
use crate::route::Kind;
use crate::settings::Settings;

/// A resource's group, type and name, lower-case: ids are compared without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) group: String,
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(group: &str, kind: Kind, name: &str) -> Self {
        Self { group: group.to_lowercase(), kind, name: name.to_lowercase() }
    }
}

/// A resource group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) location: String,
    pub(crate) tags: Tags,
    /// When it is gone, where it is being deleted.
    pub(crate) gone_at: Option<Instant>,
}

/// A resource.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Its group and name as they were first written.
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) location: String,
    pub(crate) tags: Tags,
    pub(crate) zones: Vec<String>,
    pub(crate) progress: Progress,
    /// Before that it can be seen by nobody.
    pub(crate) appears_at: Instant,
    pub(crate) what: What,
}

/// How far a resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is being made or changed, and then succeeds or fails with a code.
    Running {
        state: &'static str,
        until: Instant,
        failure: Option<&'static str>,
    },
    Succeeded,
    Failed {
        code: &'static str,
    },
    Deleting {
        until: Instant,
    },
}

impl Progress {
    /// As `provisioningState` shows it.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            Self::Running { state, .. } => state,
            Self::Succeeded => "Succeeded",
            Self::Failed { .. } => "Failed",
            Self::Deleting { .. } => "Deleting",
        }
    }
}

/// What a resource is.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Machine(Box<MachineRecord>),
    Disk { machine: Option<Key>, size_gb: u32 },
    Interface(Box<InterfaceRecord>),
    Address(AddressRecord),
    SecurityGroup { rules: Vec<Named<RuleProperties>> },
    Network(NetworkRecord),
    ApplicationGroup,
    Identity(IdentityRecord),
}

impl What {
    pub(crate) fn machine(&self) -> Option<&MachineRecord> {
        if let Self::Machine(machine) = self { Some(machine) } else { None }
    }

    pub(crate) fn interface(&self) -> Option<&InterfaceRecord> {
        if let Self::Interface(interface) = self { Some(interface) } else { None }
    }

    pub(crate) fn address(&self) -> Option<&AddressRecord> {
        if let Self::Address(address) = self { Some(address) } else { None }
    }

    pub(crate) fn identity(&self) -> Option<&IdentityRecord> {
        if let Self::Identity(identity) = self { Some(identity) } else { None }
    }

    pub(crate) fn network(&self) -> Option<&NetworkRecord> {
        if let Self::Network(network) = self { Some(network) } else { None }
    }
}

/// What is answered about a resource that does not exist.
pub(crate) fn not_found(key: &Key) -> Refusal {
    let what = format!("{}/{}/{}", key.kind.namespace(), key.kind.name(), key.name);
    let message = format!("The Resource '{what}' under resource group '{}' was not found.", key.group);
    Refusal::new(404, "ResourceNotFound", message)
}

/// An operation that goes on after its answer.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) until: Instant,
    pub(crate) failure: Option<&'static str>,
    /// When it may be asked after next.
    pub(crate) ask_from: Instant,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    /// Where the fake is reached, for the URLs in its answers.
    pub(crate) base: String,
    pub(crate) now: Instant,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) items: BTreeMap<Key, Item>,
    pub(crate) operations: BTreeMap<String, Operation>,
    pub(crate) shortages: Vec<Shortage>,
    /// Machines whose provisioning fails: name, code, and how often still.
    pub(crate) failing: BTreeMap<String, (&'static str, u32)>,
    /// The roles that are assigned at the scopes of groups: by the group, lower-case, and the assignment's name.
    pub(crate) assignments: BTreeMap<(String, String), Assignment>,
    /// The tokens that were given out, until when they are good, and to whom.
    pub(crate) tokens: BTreeMap<String, (Instant, Caller)>,
    /// How full the buckets of reads, writes and deletes are, and when that was reckoned.
    pub(crate) buckets: [(f64, Option<Instant>); 3],
    pub(crate) counter: u64,
}

impl World {
    pub(crate) fn new(settings: Settings, base: String) -> Self {
        let now = Instant::now();
        let buckets = settings.calls_left.map_or([(0.0, None); 3], |left| [(left, Some(now)); 3]);
        Self {
            settings,
            base,
            now,
            groups: BTreeMap::new(),
            items: BTreeMap::new(),
            operations: BTreeMap::new(),
            shortages: Vec::new(),
            failing: BTreeMap::new(),
            assignments: BTreeMap::new(),
            tokens: BTreeMap::new(),
            buckets,
            counter: 0,
        }
    }

    /// A number that was not given out before.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Brings everything that is due up to this moment.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.now = now;
        let due: Vec<Key> = self
            .items
            .iter()
            .filter(|(_, item)| match item.progress {
                Progress::Running { until, .. } | Progress::Deleting { until } => until <= now,
                Progress::Succeeded | Progress::Failed { .. } => false,
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            let Some(item) = self.items.get_mut(&key) else { continue };
            match item.progress {
                Progress::Running { failure: Some(code), .. } => item.progress = Progress::Failed { code },
                Progress::Running { failure: None, .. } => item.progress = Progress::Succeeded,
                Progress::Deleting { until } => self.remove(&key, until),
                Progress::Succeeded | Progress::Failed { .. } => {}
            }
        }
        let gone: Vec<String> = self
            .groups
            .iter()
            .filter(|(_, group)| group.gone_at.is_some_and(|at| at <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.groups.remove(&name);
            self.items.retain(|key, _| key.group != name);
            // An assignment is a part of its scope.
            self.assignments.retain(|(group, _), _| *group != name);
        }
    }

    /// Takes a resource away, and with a machine what is to go with it.
    fn remove(&mut self, key: &Key, at: Instant) {
        let Some(item) = self.items.remove(key) else { return };
        match item.what {
            What::Machine(machine) => self.remove_with_machine(&machine, at),
            What::Interface(interface) => {
                let address = interface.address.and_then(|key| self.items.get_mut(&key));
                if let Some(Item { what: What::Address(address), .. }) = address {
                    address.interface = None;
                }
            }
            What::Disk { .. }
            | What::Address(_)
            | What::SecurityGroup { .. }
            | What::Network(_)
            | What::ApplicationGroup
            | What::Identity(_) => {}
        }
    }

    fn remove_with_machine(&mut self, machine: &MachineRecord, at: Instant) {
        if machine.takes_disk_along {
            self.items.remove(&machine.disk);
        } else if let Some(Item { what: What::Disk { machine, .. }, .. }) = self.items.get_mut(&machine.disk) {
            *machine = None;
        }
        let reserved = self.settings.interface_reserved;
        let Some(Item { what: What::Interface(interface), .. }) = self.items.get_mut(&machine.interface) else {
            return;
        };
        interface.machine = None;
        let address = interface.address.clone();
        if !reserved.is_zero() {
            // The cascade fails: the interface stays, and its address with it.
            interface.reserved_until = Some(at + reserved);
            return;
        }
        if machine.takes_interface_along {
            self.items.remove(&machine.interface);
            if let Some(key) = address {
                if machine.takes_address_along {
                    self.items.remove(&key);
                } else if let Some(Item { what: What::Address(address), .. }) = self.items.get_mut(&key) {
                    address.interface = None;
                }
            }
        }
    }

    /// A group that stands and is not being deleted.
    pub(crate) fn group(&self, name: &str) -> Result<&Group, Refusal> {
        let group = self.groups.get(&name.to_lowercase()).ok_or_else(|| {
            Refusal::new(404, "ResourceGroupNotFound", format!("Resource group '{name}' could not be found."))
        })?;
        Ok(group)
    }

    /// A group that may be written to.
    pub(crate) fn group_to_write(&self, name: &str) -> Result<&Group, Refusal> {
        let group = self.group(name)?;
        if group.gone_at.is_some() {
            let message =
                format!("The resource group '{name}' is in deprovisioning state and cannot perform this operation.");
            return Err(Refusal::new(409, "ResourceGroupBeingDeleted", message));
        }
        Ok(group)
    }

    /// A resource that can be seen.
    pub(crate) fn item(&self, key: &Key) -> Option<&Item> {
        self.items.get(key).filter(|item| item.appears_at <= self.now)
    }

    /// Begins an operation that takes a while; its number.
    pub(crate) fn begin(&mut self, takes: Duration, failure: Option<&'static str>) -> String {
        let id = format!("{:08x}-0000-4000-8000-000000000000", self.next_number());
        let ask_from = self.now + Duration::from_secs(self.settings.retry_after_seconds);
        self.operations.insert(id.clone(), Operation { until: self.now + takes, failure, ask_from });
        id
    }

    /// The id of a resource, as it was first written.
    pub(crate) fn id(&self, key: &Key) -> String {
        let (group, name) = match self.items.get(key) {
            Some(item) => (item.group.as_str(), item.name.as_str()),
            None => (key.group.as_str(), key.name.as_str()),
        };
        format!(
            "/subscriptions/{}/resourceGroups/{group}/providers/{}/{}/{name}",
            self.settings.subscription,
            key.kind.namespace(),
            key.kind.name()
        )
    }
}
