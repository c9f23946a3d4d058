//! Virtual machines: making, changing and deleting them.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::answer::{Answer, Answered, Body, Refusal};
use crate::bodies::{self, InterfaceConfiguration, MachineBody, MachineProperties, Tags};
use crate::fault::ShortageHow;
use crate::judgment;
use crate::network::{AddressRecord, InterfaceRecord, key_of, location_required, reserved};
use crate::route::{Kind, Route, Target};
use crate::world::{Item, Key, Progress, What, World, not_found};

/// A virtual machine.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "what goes with it is said of each by itself")]
pub(crate) struct MachineRecord {
    pub(crate) properties: MachineProperties,
    pub(crate) disk: Key,
    pub(crate) interface: Key,
    /// The identities that it is lent.
    pub(crate) lent: Vec<Key>,
    pub(crate) takes_disk_along: bool,
    pub(crate) takes_interface_along: bool,
    pub(crate) takes_address_along: bool,
    pub(crate) is_deallocated: bool,
    /// When it is up, where it is on its way.
    pub(crate) boots_at: Instant,
}

impl World {
    pub(crate) fn put_machine(&mut self, group: &str, name: &str, body: &[u8]) -> Answered {
        self.group_to_write(group)?;
        let body: MachineBody = bodies::read(body)?;
        let location = body.location.clone().ok_or_else(location_required)?;
        let key = Key::new(group, Kind::Machine, name);
        let lent = self.lent(body.identity.as_ref())?;
        if let Some(answered) = self.put_again(&key, &body, &lent) {
            return answered;
        }
        judgment::machine(&body)?;
        let configuration = judgment::interface(&body.properties.network_profile)?;
        let interface = self.interface_to_make(&key, configuration, &location)?;
        self.check_capacity(&body)?;

        let zones = body.zones.clone().unwrap_or_default();
        let failure = self.failure_to_come(name, &body);
        let takes = self.settings.boot;
        let made_of = self.groups.get(&key.group).map_or_else(|| group.to_owned(), |group| group.name.clone());
        let item = |name: &str, tags: Tags, progress, appears_at, what| Item {
            group: made_of.clone(),
            name: name.to_owned(),
            location: location.clone(),
            tags,
            zones: zones.clone(),
            progress,
            appears_at,
            what,
        };
        let seen_at = self.now + self.settings.addresses_after;
        let until = self.now + takes;
        let addressing = &configuration.properties.ip_configurations[0].properties;
        let interface_key = Key::new(group, Kind::Interface, &configuration.name);
        let mut record = interface;
        if let Some(wanted) = &addressing.public_address {
            let address = Key::new(group, Kind::Address, &wanted.name);
            let public = self.next_public()?;
            let what = What::Address(AddressRecord { public, interface: Some(interface_key.clone()) });
            self.items
                .insert(address.clone(), item(&wanted.name, wanted.tags.clone(), Progress::Succeeded, seen_at, what));
            record.address = Some(address);
        }
        record.machine = Some(key.clone());
        let what = What::Interface(Box::new(record));
        self.items.insert(
            interface_key.clone(),
            item(&configuration.name, configuration.tags.clone(), Progress::Succeeded, seen_at, what),
        );
        let os_disk = &body.properties.storage_profile.os_disk;
        let disk_name = os_disk.name.clone().unwrap_or_else(|| format!("{name}_OsDisk_1_{:x}", self.next_number()));
        let disk = Key::new(group, Kind::Disk, &disk_name);
        let size_gb = os_disk.disk_size_gb.unwrap_or(30);
        let what = What::Disk { machine: Some(key.clone()), size_gb };
        self.items.insert(disk.clone(), item(&disk_name, Tags::new(), Progress::Succeeded, seen_at, what));
        let takes_along = |option: &Option<String>| option.as_deref() == Some("Delete");
        let machine = MachineRecord {
            disk,
            interface: interface_key,
            lent,
            takes_disk_along: takes_along(&os_disk.delete_option),
            takes_interface_along: takes_along(&configuration.properties.delete_option),
            takes_address_along: addressing
                .public_address
                .as_ref()
                .is_some_and(|address| takes_along(&address.properties.delete_option)),
            is_deallocated: false,
            boots_at: until,
            properties: body.properties.clone(),
        };
        let progress = Progress::Running { state: "Creating", until, failure };
        self.items
            .insert(key.clone(), item(name, body.tags.clone(), progress, self.now, What::Machine(Box::new(machine))));
        let answer = Answer::json(201, self.view(&key));
        Ok(self.with_operation(answer, &key, takes, failure))
    }

    /// What a request for a machine that exists comes to.
    fn put_again(&mut self, key: &Key, body: &MachineBody, lent: &[Key]) -> Option<Answered> {
        let Item { progress, what: What::Machine(machine), .. } = self.items.get(key)? else { return None };
        match progress {
            Progress::Deleting { .. } => return Some(Err(marked_for_deletion())),
            Progress::Running { .. } => return Some(Err(conflict())),
            Progress::Succeeded | Progress::Failed { .. } => {}
        }
        if machine.properties != body.properties {
            let message = "Changing property 'osProfile.customData' or another that is set once is not allowed.";
            return Some(Err(Refusal::new(409, "PropertyChangeNotAllowed", message)));
        }
        let item = self.items.get_mut(key)?;
        item.tags.clone_from(&body.tags);
        if let What::Machine(machine) = &mut item.what {
            lent.clone_into(&mut machine.lent);
        }
        Some(Ok(Answer::json(200, self.view(key))))
    }

    /// The interface that a machine would get.
    fn interface_to_make(
        &self,
        machine: &Key,
        configuration: &InterfaceConfiguration,
        location: &str,
    ) -> Result<InterfaceRecord, Refusal> {
        let addressing = &configuration.properties.ip_configurations[0].properties;
        let Target::Subnet { group, network, name } = Route::read(&addressing.subnet.id).target else {
            let message = format!("Property id '{}' is no subnet.", addressing.subnet.id);
            return Err(Refusal::new(400, "LinkedInvalidPropertyId", message));
        };
        let network = Key::new(&group, Kind::Network, &network);
        let found = self.referenced(&network, Some(location))?;
        let record = found.what.network().ok_or_else(|| not_found(&network))?;
        let subnet = record.subnet(&name).ok_or_else(|| {
            let message = format!("Resource {} referenced by the machine was not found.", addressing.subnet.id);
            Refusal::new(400, "InvalidResourceReference", message)
        })?;
        let security_group = configuration.properties.network_security_group.as_ref().map(key_of).transpose()?;
        if let Some(key) = &security_group {
            self.referenced(key, Some(location))?;
        }
        for reference in addressing.application_security_groups.iter().flatten() {
            self.referenced(&key_of(reference)?, Some(location))?;
        }
        let own = Key::new(&machine.group, Kind::Interface, &configuration.name);
        if let Some(other) = self.items.get(&own).and_then(|item| item.what.interface()) {
            if other.reserved_until.is_some_and(|until| until > self.now) {
                return Err(reserved());
            }
            let message = format!("The network interface {} exists already.", configuration.name);
            return Err(Refusal::new(409, "NicInUse", message));
        }
        Ok(InterfaceRecord {
            private: self.next_private(&network, subnet)?,
            subnet: (network, subnet.name.to_lowercase()),
            security_group,
            application_groups: addressing
                .application_security_groups
                .iter()
                .flatten()
                .map(|reference| reference.id.to_lowercase())
                .collect(),
            address: None,
            machine: None,
            reserved_until: None,
        })
    }

    fn check_capacity(&self, body: &MachineBody) -> Result<(), Refusal> {
        let size = &body.properties.hardware_profile.vm_size;
        if self.shortage(body) == Some(ShortageHow::AtOnce) {
            let message =
                format!("The requested VM size '{size}' is currently not available in this location or zone.");
            return Err(Refusal::new(409, "SkuNotAvailable", message));
        }
        let wanted = judgment::cores(size).unwrap_or_default();
        if self.cores_in_use() + wanted > self.settings.cores {
            let message = format!(
                "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. \
                 Additional details - Current Limit: {}, Current Usage: {}, Additional Required: {wanted}.",
                self.settings.cores,
                self.cores_in_use()
            );
            return Err(Refusal::new(409, "QuotaExceeded", message));
        }
        Ok(())
    }

    /// How many cores the machines have that are not deallocated.
    pub(crate) fn cores_in_use(&self) -> u32 {
        let machines = self.items.values().filter_map(|item| item.what.machine());
        let charged = machines.filter(|machine| !machine.is_deallocated);
        charged.filter_map(|machine| judgment::cores(&machine.properties.hardware_profile.vm_size)).sum()
    }

    fn shortage(&self, body: &MachineBody) -> Option<ShortageHow> {
        let size = &body.properties.hardware_profile.vm_size;
        let zone = body.zones.as_ref().and_then(|zones| zones.first());
        let is_meant = |zone_of_shortage: Option<&String>| zone_of_shortage.is_none_or(|own| Some(own) == zone);
        let mut short = self.shortages.iter().filter(|shortage| shortage.size == *size);
        short.find(|shortage| is_meant(shortage.zone.as_ref())).map(|shortage| shortage.how)
    }

    /// The code with which the machine's provisioning will fail.
    fn failure_to_come(&mut self, name: &str, body: &MachineBody) -> Option<&'static str> {
        if self.shortage(body) == Some(ShortageHow::Later) {
            let has_zone = body.zones.as_ref().is_some_and(|zones| !zones.is_empty());
            return Some(if has_zone { "ZonalAllocationFailed" } else { "AllocationFailed" });
        }
        let (code, times) = self.failing.get_mut(name)?;
        *times = times.checked_sub(1)?;
        Some(code)
    }

    pub(crate) fn delete_machine(&mut self, key: &Key) -> Answered {
        self.group_to_write(&key.group)?;
        let takes = self.settings.machine_change;
        let until = self.now + takes;
        match self.items.get_mut(key) {
            None => return Ok(Answer::empty(204)),
            Some(Item { progress: Progress::Deleting { .. }, .. }) => {}
            Some(item) => item.progress = Progress::Deleting { until },
        }
        Ok(self.with_operation(Answer::empty(202), key, takes, None))
    }

    pub(crate) fn delete_disk(&mut self, key: &Key) -> Answered {
        self.group_to_write(&key.group)?;
        match self.item(key).map(|item| &item.what) {
            None => Ok(Answer::empty(204)),
            Some(What::Disk { machine: Some(_), .. }) => {
                let message = format!("Disk {} is attached to a machine.", key.name);
                Err(Refusal::new(409, "OperationNotAllowed", message))
            }
            Some(_) => {
                self.items.remove(key);
                Ok(self.with_operation(Answer::empty(202), key, Duration::ZERO, None))
            }
        }
    }

    /// Starts, deallocates, or shows what a machine wrote to its console.
    pub(crate) fn act_on_machine(&mut self, key: &Key, method: &str, action: &str) -> Answered {
        let takes = self.settings.machine_change;
        let (now, boot, base) = (self.now, self.settings.boot, self.base.clone());
        let not_found = not_found(key);
        let Some(Item { progress, what: What::Machine(machine), .. }) = self.items.get_mut(key) else {
            return Err(not_found);
        };
        match (method, action.to_lowercase().as_str()) {
            ("GET", "instanceview") => return Ok(self.instance_view(key)),
            ("POST", "retrievebootdiagnosticsdata") => {
                let is_on =
                    machine.properties.diagnostics_profile.as_ref().is_some_and(|on| on.boot_diagnostics.enabled);
                if !is_on {
                    return Err(Refusal::new(
                        409,
                        "OperationNotAllowed",
                        "Boot diagnostics is not enabled for this machine.",
                    ));
                }
                let uri = format!("{base}/blob/{}?sig=signed", machine.properties.os_profile.computer_name);
                return Ok(Answer::json(200, json!({ "serialConsoleLogBlobUri": uri })));
            }
            ("POST", "start" | "deallocate") => {}
            _ => return Err(Refusal::new(404, "InvalidResourceType", format!("There is no action '{action}'."))),
        }
        match progress {
            Progress::Deleting { .. } => return Err(marked_for_deletion()),
            Progress::Running { state: "Creating", .. } if action.eq_ignore_ascii_case("start") => {
                return Err(conflict());
            }
            Progress::Running { .. } | Progress::Succeeded | Progress::Failed { .. } => {}
        }
        let is_start = action.eq_ignore_ascii_case("start");
        if is_start && machine.is_deallocated {
            machine.boots_at = now + boot;
        }
        machine.is_deallocated = !is_start;
        *progress = Progress::Running { state: "Updating", until: now + takes, failure: None };
        Ok(self.with_operation(Answer::empty(202), key, takes, None))
    }

    fn instance_view(&self, key: &Key) -> Answer {
        let mut statuses = Vec::new();
        if let Some(Item { progress, what: What::Machine(machine), .. }) = self.items.get(key) {
            let state = if let Progress::Failed { code } = progress {
                format!("ProvisioningState/failed/{code}")
            } else {
                format!("ProvisioningState/{}", progress.state().to_lowercase())
            };
            statuses.push(json!({ "code": state, "level": "Info" }));
            let power = if machine.is_deallocated { "PowerState/deallocated" } else { "PowerState/running" };
            statuses.push(json!({ "code": power, "level": "Info" }));
        }
        Answer::json(200, json!({ "statuses": statuses }))
    }

    /// What a machine wrote to its serial console, as a storage account shows it.
    pub(crate) fn serial_log(id: &str) -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: Body::Text(format!("[    0.000000] Linux version 6.8.0\n{id} login: ")),
        }
    }

    /// The user data that a machine was given.
    pub(crate) fn custom_data(machine: &MachineRecord) -> Option<String> {
        let data = machine.properties.os_profile.custom_data.as_ref()?;
        STANDARD.decode(data).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn conflict() -> Refusal {
    Refusal::new(409, "Conflict", "The request failed due to conflict with a concurrent request.")
}

fn marked_for_deletion() -> Refusal {
    let message = "Operation is not allowed on the machine since it is marked for deletion. You can only retry the Delete \
                   operation (or wait for an ongoing one to complete).";
    Refusal::new(409, "OperationNotAllowed", message)
}
