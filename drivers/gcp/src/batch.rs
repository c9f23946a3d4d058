//! Machines that are made in one call: of one group, in one zone.

use std::collections::BTreeMap;

use driver::{DriverError, MachineRequest, Network};
use google_cloud_compute_v1::model::access_config::Type as AccessType;
use google_cloud_compute_v1::model::metadata::Items;
use google_cloud_compute_v1::model::scheduling::{InstanceTerminationAction, OnHostMaintenance, ProvisioningModel};
use google_cloud_compute_v1::model::{
    AccessConfig, AttachedDisk, AttachedDiskInitializeParams, BulkInsertInstanceResource,
    BulkInsertInstanceResourcePerInstanceProperties, Duration, InstanceProperties, Metadata, NetworkInterface,
    Scheduling, ServiceAccount, Tags,
};
use jiff::Timestamp;

use crate::farewell::SCOPE;
use crate::marking::{description_of_machines, key, labels, machine_name, request_id};
use crate::network::{NETWORK, SUBNETWORK};
use crate::rules::tag;
use crate::settings::Settings;
use crate::sizes::disk_type;

/// The shortest time for which Compute Engine runs a machine.
const SHORTEST_RUN: i64 = 30;
/// The longest: 120 days.
const LONGEST_RUN: i64 = 120 * 24 * 3600;

/// Machines that are made in one call.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) machines: Vec<&'a MachineRequest>,
    pub(crate) settings: Settings,
    /// The zones to try, the preferred one first.
    pub(crate) zones: Vec<String>,
}

/// Sorts machines into batches. `zones` are the region's, for settings that name none.
pub(crate) fn batches<'a>(
    machines: impl IntoIterator<Item = (&'a MachineRequest, Settings)>,
    zones: &[String],
) -> Vec<Batch<'a>> {
    let mut batches: Vec<Batch<'a>> = Vec::new();
    for (machine, settings) in machines {
        let zones = zones_of(machine.number, &settings, zones);
        let is_like = |batch: &&mut Batch<'_>| {
            let first = batch.machines[0];
            batch.zones == zones
                && (&first.group, first.is_manager) == (&machine.group, machine.is_manager)
                && first.user_data == machine.user_data
                && first.authorized_key == machine.authorized_key
                && first.options == machine.options
        };
        match batches.iter_mut().find(is_like) {
            Some(batch) => batch.machines.push(machine),
            None => batches.push(Batch { machines: vec![machine], settings, zones }),
        }
    }
    batches
}

/// The zones for a machine: those that are named are taken in turn, the region's one after the other.
fn zones_of(number: u32, settings: &Settings, region: &[String]) -> Vec<String> {
    let mut zones = settings.zones.clone();
    if zones.is_empty() {
        return region.to_vec();
    }
    let turn = number.saturating_sub(1) as usize % zones.len();
    zones.rotate_left(turn);
    zones
}

/// The id by which Compute Engine knows a repetition of the call that makes these machines.
pub(crate) fn batch_id(machines: &[&MachineRequest], zone: &str, machine_type: &str, turn: usize) -> String {
    let first = machines[0];
    let mut numbers: Vec<_> = machines.iter().map(|machine| machine.number).collect();
    numbers.sort_unstable();
    let numbers = format!("{numbers:?}");
    request_id(&[&first.mark.cluster.0, &first.group, zone, machine_type, &numbers, &turn.to_string()])
}

impl Batch<'_> {
    /// `lab-node-1, lab-node-2`
    pub(crate) fn names(&self) -> String {
        self.machines.iter().map(|machine| machine.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The call that makes some of the machines.
    pub(crate) fn body(
        &self,
        machines: &[&MachineRequest],
        network: &Network,
        machine_type: &str,
        now: Timestamp,
    ) -> Result<BulkInsertInstanceResource, DriverError> {
        let first = machines[0];
        let key = key(&first.mark.cluster);
        let names: BTreeMap<_, _> =
            machines.iter().map(|machine| (machine.name.as_str(), machine_name(&machine.name, &key))).collect();
        let labels = labels(&first.mark, &first.group);
        let description =
            description_of_machines(&first.mark, names.iter().map(|(asked, name)| (*asked, name.as_str())));
        let count = i64::try_from(machines.len()).unwrap_or(i64::MAX);
        let parameters = AttachedDiskInitializeParams::new()
            .set_source_image(&self.settings.image)
            .set_disk_size_gb(self.settings.disk_gb)
            .set_disk_type(disk_type(machine_type))
            .set_labels(labels.clone());
        let disk = AttachedDisk::new().set_boot(true).set_auto_delete(true).set_initialize_params(parameters);
        let account = self.settings.service_account.as_ref().filter(|_| first.is_manager);
        let account = account.map(|email| ServiceAccount::new().set_email(email).set_scopes([SCOPE]));
        let properties = InstanceProperties::new()
            .set_machine_type(machine_type)
            .set_description(description)
            .set_labels(labels)
            .set_tags(Tags::new().set_items([tag(&key)]))
            .set_disks([disk])
            .set_network_interfaces([self.interface(network)])
            .set_metadata(self.metadata(first))
            .set_service_accounts(account)
            .set_scheduling(self.scheduling(first.mark.expires, now)?);
        let empty = BulkInsertInstanceResourcePerInstanceProperties::new;
        Ok(BulkInsertInstanceResource::new()
            .set_count(count)
            .set_min_count(count)
            .set_per_instance_properties(names.into_values().map(|name| (name, empty())))
            .set_instance_properties(properties))
    }

    fn interface(&self, network: &Network) -> NetworkInterface {
        let name = network.handles.one(NETWORK).unwrap_or("default");
        let mut interface = NetworkInterface::new().set_network(format!("global/networks/{name}"));
        if let Some(subnetwork) = network.handles.one(SUBNETWORK) {
            interface = interface.set_subnetwork(format!("regions/{}/subnetworks/{subnetwork}", self.settings.region));
        }
        if self.settings.is_private {
            return interface;
        }
        interface.set_access_configs([AccessConfig::new().set_type(AccessType::OneToOneNat).set_name("external-nat")])
    }

    fn metadata(&self, machine: &MachineRequest) -> Metadata {
        let item = |key: &str, value: &str| Items::new().set_key(key).set_value(value);
        // Keys of the project and of OS Login would let in others.
        let mut items = vec![item("enable-oslogin", "FALSE"), item("block-project-ssh-keys", "TRUE")];
        items.extend(machine.user_data.as_deref().map(|text| item("user-data", text)));
        let user = &self.settings.user;
        items.extend(machine.authorized_key.as_deref().map(|key| item("ssh-keys", &format!("{user}:{key}"))));
        Metadata::new().set_items(items)
    }

    fn scheduling(&self, expires: Option<Timestamp>, now: Timestamp) -> Result<Scheduling, DriverError> {
        let mut scheduling = Scheduling::new();
        if self.settings.is_spot {
            scheduling = scheduling
                .set_provisioning_model(ProvisioningModel::Spot)
                .set_on_host_maintenance(OnHostMaintenance::Terminate);
        }
        if let Some(expires) = expires {
            let seconds = run_seconds(expires, now)?;
            scheduling = scheduling.set_max_run_duration(Duration::new().set_seconds(seconds));
        }
        if self.settings.is_spot || expires.is_some() {
            scheduling = scheduling
                .set_automatic_restart(false)
                .set_instance_termination_action(InstanceTerminationAction::Delete);
        }
        Ok(scheduling)
    }
}

/// For how long machines run that end at a moment.
fn run_seconds(expires: Timestamp, now: Timestamp) -> Result<i64, DriverError> {
    let seconds = expires.as_second() - now.as_second();
    if seconds > LONGEST_RUN {
        return Err(DriverError::Unmet {
            what: "Compute Engine runs a machine for 120 days at most".to_owned(),
            hint: "give the cluster less time, or none at all".to_owned(),
        });
    }
    if seconds < SHORTEST_RUN {
        return Err(DriverError::Unmet {
            what: format!("the cluster's time is up at {expires}, which is in less than {SHORTEST_RUN} s"),
            hint: "destroy the cluster, and begin a new one".to_owned(),
        });
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use driver::conformance::{cluster_request, machine_request};
    use driver::{OptionValue, Options};

    use super::*;
    use crate::environment::Environment;

    fn settings(zones: &[&str]) -> Settings {
        let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        let options = Options([("zone".to_owned(), OptionValue::Many(zones))].into());
        Settings::read(&options, &Environment::default()).unwrap()
    }

    #[test]
    fn machines_of_one_group_and_zone_are_one_batch() {
        let cluster = cluster_request("mark", "lab");
        let mut machines: Vec<_> = (1..=5).map(|number| machine_request(&cluster, number)).collect();
        for machine in &mut machines[..3] {
            machine.group = "managers".to_owned();
        }
        let sorted = |zones: &[&str]| {
            let asked = machines.iter().map(|machine| (machine, settings(zones)));
            let batches = batches(asked, &["us-east1-b".to_owned(), "us-east1-c".to_owned()]);
            batches.iter().map(|batch| format!("{}: {}", batch.zones[0], batch.names())).collect::<Vec<_>>()
        };

        assert_eq!(
            sorted(&[]),
            ["us-east1-b: lab-node-1, lab-node-2, lab-node-3", "us-east1-b: lab-node-4, lab-node-5"]
        );
        assert_eq!(sorted(&["us-east1-c", "us-east1-d"]).len(), 4);
    }

    #[test]
    fn a_time_that_compute_engine_does_not_take_is_refused_beforehand() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let after = |seconds: i64| run_seconds(Timestamp::from_second(1_700_000_000 + seconds).unwrap(), now);

        assert_eq!(after(3600).unwrap(), 3600);
        assert!(after(LONGEST_RUN + 1).unwrap_err().hint().is_some());
        assert!(after(-5).unwrap_err().hint().is_some());
    }
}
