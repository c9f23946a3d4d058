//! Machines as Compute Engine shows them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use driver::{Access, ClusterId, DriverError, Instance, InstanceId, InstanceState, Resource, SshAccess, TAG_ID};
use google_cloud_compute_v1::model;
use google_cloud_compute_v1::model::instance::Status;
use google_cloud_compute_v1::model::scheduling::ProvisioningModel;
use jiff::Timestamp;

use crate::cloud::{Cloud, LISTS};
use crate::marking;
use crate::price::{Bought, price};
use crate::settings::Settings;
use crate::sizes::arch_of;

/// No list has more pages: at 500 machines each.
const MOST_PAGES: usize = 1000;

/// Where a machine is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Running,
    /// On its way down, to be stopped or to be gone.
    Stopping,
    Stopped,
    /// Being taken apart.
    Vanishing,
}

/// A machine that carries a mark.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) zone: String,
    pub(crate) phase: Phase,
    /// What the mark says.
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) labels: HashMap<String, String>,
    /// Which labels they are, for those who change them.
    pub(crate) fingerprint: bytes::Bytes,
    pub(crate) scheduling: model::Scheduling,
    /// When Compute Engine ends it, where it does.
    pub(crate) ends: Option<Timestamp>,
    description: Option<String>,
    /// Its machine type.
    kind: String,
    disk_gb: u32,
    wants_public: bool,
    private: Option<IpAddr>,
    public: Option<IpAddr>,
}

/// What follows the last slash of a link.
pub(crate) fn tail(link: Option<&str>) -> &str {
    link.map_or("", |link| link.rsplit('/').next().unwrap_or_default())
}

/// Zone and name of a machine with this id; `None` where it is no id of ours.
pub(crate) fn place(id: &InstanceId) -> Option<(&str, &str)> {
    id.0.split_once('/').filter(|(zone, name)| !zone.is_empty() && !name.is_empty() && !name.contains('/'))
}

impl Machine {
    /// A machine as it was shown; `None` where it carries no mark.
    pub(crate) fn read(instance: model::Instance) -> Option<Self> {
        let tags = marking::tags(&instance.labels, instance.description.as_deref());
        tags.get(TAG_ID)?;
        let interface = instance.network_interfaces.first();
        let config = interface.and_then(|interface| interface.access_configs.first());
        let address = |text: Option<&String>| text.and_then(|text| text.parse().ok());
        let ends = instance.resource_status.as_ref().and_then(|status| status.scheduling.as_ref());
        let ends = ends.and_then(|scheduling| scheduling.termination_timestamp.as_deref()?.parse().ok());
        let disk = instance.disks.first().and_then(|disk| disk.disk_size_gb);
        Some(Self {
            zone: tail(instance.zone.as_deref()).to_owned(),
            phase: phase(instance.status.as_ref()),
            tags,
            fingerprint: instance.label_fingerprint.clone().unwrap_or_default(),
            scheduling: instance.scheduling.clone().unwrap_or_default(),
            ends,
            kind: tail(instance.machine_type.as_deref()).to_owned(),
            disk_gb: disk.and_then(|size| u32::try_from(size).ok()).unwrap_or_default(),
            wants_public: config.is_some(),
            private: address(interface.and_then(|interface| interface.network_ip.as_ref())),
            public: address(config.and_then(|config| config.nat_ip.as_ref())),
            labels: instance.labels,
            description: instance.description,
            name: instance.name?,
        })
    }

    pub(crate) fn id(&self) -> InstanceId {
        InstanceId(format!("{}/{}", self.zone, self.name))
    }

    /// Whether everything is known that there is to know: a stopped machine has no address outside.
    pub(crate) fn is_addressed(&self) -> bool {
        let is_up = matches!(self.phase, Phase::Starting | Phase::Running);
        self.private.is_some() && (!is_up || !self.wants_public || self.public.is_some())
    }

    /// Whether it is about to be something else without anybody's doing.
    pub(crate) fn is_changing(&self) -> bool {
        matches!(self.phase, Phase::Stopping | Phase::Vanishing)
    }

    fn is_spot(&self) -> bool {
        self.scheduling.provisioning_model == Some(ProvisioningModel::Spot)
    }

    /// The machine as the contract shows it.
    pub(crate) fn instance(&self, settings: &Settings, host_key: Option<&str>) -> Instance {
        let outside = self.public.filter(|_| !settings.is_private);
        let host = outside.or(self.private.filter(|_| settings.is_private || !self.wants_public));
        let access = host.map(|host| {
            Access::Ssh(SshAccess {
                host: host.to_string(),
                port: 22,
                user: settings.user.clone(),
                key_file: None,
                host_key: host_key.map(ToOwned::to_owned),
            })
        });
        Instance {
            id: self.id(),
            name: marking::requested_name(&self.name, self.description.as_deref()),
            state: match self.phase {
                Phase::Starting => InstanceState::Starting,
                Phase::Running => InstanceState::Running,
                Phase::Stopping | Phase::Stopped | Phase::Vanishing => InstanceState::Stopped,
            },
            arch: Some(arch_of(&self.kind).name().to_owned()),
            private_address: self.private,
            public_address: outside,
            access,
        }
    }

    /// The machine as something that carries a mark.
    pub(crate) fn resource(&self) -> Option<Resource> {
        let resource = marking::resource("machine", &self.name, &self.tags)?;
        let bought = Bought {
            machine_type: &self.kind,
            region: self.zone.rsplit_once('-').map_or("", |(region, _)| region),
            disk_gb: self.disk_gb,
            is_spot: self.is_spot(),
            is_public: self.wants_public,
            runs: self.phase != Phase::Stopped,
        };
        Some(Resource {
            instance: Some(self.id()),
            price: price(&bought, 1),
            is_vanishing: self.phase == Phase::Vanishing,
            ..resource
        })
    }
}

fn phase(status: Option<&Status>) -> Phase {
    match status.and_then(Status::name).unwrap_or_default() {
        "RUNNING" | "REPAIRING" => Phase::Running,
        "STOPPING" | "PENDING_STOP" | "SUSPENDING" => Phase::Stopping,
        "STOPPED" | "TERMINATED" | "SUSPENDED" => Phase::Stopped,
        "DEPROVISIONING" => Phase::Vanishing,
        _ => Phase::Starting,
    }
}

impl Cloud {
    /// The machines that carry a cluster's mark, or any cluster's, in the order of their names.
    pub(crate) async fn machines(&self, cluster: Option<&ClusterId>) -> Result<Vec<Machine>, DriverError> {
        let filter = match cluster {
            Some(cluster) => format!("labels.{TAG_ID}=\"{}\"", marking::label(&cluster.0)),
            None => format!("labels.{TAG_ID}:*"),
        };
        let mut machines = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .call(LISTS, "list the machines", |clients| {
                    let call = clients.instances.aggregated_list().set_project(&clients.project);
                    call.set_filter(&filter).set_or_clear_page_token(token.clone()).send()
                })
                .await?;
            if let Some(zone) = page.unreachables.first() {
                return Err(DriverError::provider("list the machines", format!("`{zone}` cannot be reached")));
            }
            let instances = page.items.into_values().flat_map(|scope| scope.instances);
            machines.extend(instances.filter_map(Machine::read));
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        machines.retain(|machine| cluster.is_none_or(|cluster| machine.tags.get(TAG_ID) == Some(&cluster.0)));
        machines.sort_by(|one, other| (&one.name, &one.zone).cmp(&(&other.name, &other.zone)));
        Ok(machines)
    }

    /// The machines with these ids, in that order.
    ///
    /// # Errors
    /// [`DriverError::NoSuchMachine`] where one does not exist or carries no mark.
    pub(crate) async fn machines_with(&self, ids: &[InstanceId]) -> Result<Vec<Machine>, DriverError> {
        let machines = self.machines(None).await?;
        let find = |id: &InstanceId| machines.iter().find(|machine| machine.id() == *id).cloned();
        ids.iter().map(|id| find(id).ok_or_else(|| DriverError::NoSuchMachine { id: id.to_string() })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_zone_and_a_name() {
        let place = |id: &str| place(&InstanceId(id.to_owned())).map(|(zone, name)| format!("{zone} {name}"));

        assert_eq!(place("us-east1-b/lab-node-1").as_deref(), Some("us-east1-b lab-node-1"));
        assert_eq!(place("lab-node-1"), None);
        assert_eq!(place("us-east1-b/a/b"), None);
    }

    #[test]
    fn an_instance_without_a_mark_is_no_machine_of_ours() {
        assert!(Machine::read(model::Instance::new().set_name("web-1")).is_none());
    }
}
