//! Machines as EC2 describes them, and as the contract sees them.

use std::net::IpAddr;

use aws_sdk_ec2::types::{Filter, Instance as Described, InstanceStateName, Reservation, Tag};
use driver::cloud::Arch;
use driver::{Access, ClusterId, DriverError, Instance, InstanceId, InstanceState, SshAccess};

use crate::api::{Api, Call, pages};
use crate::rates::DESCRIBE_INSTANCES;
use crate::settings::Settings;
use crate::size::ec2_name;
use crate::{batch, tags};

/// Machines a page; EC2's most.
const PAGE: i32 = 1000;
/// Values that a filter takes at most.
pub(crate) const FILTER_VALUES: usize = 200;
/// The states of machines that exist.
const EXISTING: [&str; 5] = ["pending", "running", "stopping", "stopped", "shutting-down"];

/// A machine as EC2 describes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Machine {
    pub(crate) id: InstanceId,
    pub(crate) name: String,
    /// Its number in its cluster, where its tags tell.
    pub(crate) number: Option<u32>,
    pub(crate) life: Life,
    pub(crate) instance_type: String,
    pub(crate) private_address: Option<IpAddr>,
    pub(crate) public_address: Option<IpAddr>,
    pub(crate) is_spot: bool,
    pub(crate) tags: Vec<Tag>,
    /// The ids of what goes with it: disks, network interfaces, its spot request.
    pub(crate) parts: Vec<String>,
    arch: Option<Arch>,
    /// When it was launched, in seconds.
    launched: i64,
    /// Why it is in this state, where EC2 says so.
    reason: Option<String>,
}

/// Where a machine is in its life; in this order, except that it may be started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Life {
    Starting,
    Running,
    Stopping,
    Stopped,
    /// Shutting down for good; charged no more.
    Vanishing,
    Gone,
}

impl Life {
    pub(crate) fn of(name: Option<&InstanceStateName>) -> Self {
        match name.map_or("", InstanceStateName::as_str) {
            "running" => Self::Running,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            "shutting-down" => Self::Vanishing,
            "terminated" => Self::Gone,
            _ => Self::Starting,
        }
    }

    /// Whether the machine is there to stay.
    pub(crate) fn is_staying(self) -> bool {
        self < Self::Vanishing
    }
}

impl Machine {
    fn of(described: &Described) -> Option<Self> {
        let tags = described.tags().to_vec();
        let index = described.ami_launch_index().and_then(|index| u32::try_from(index).ok());
        let number =
            tags::value(&tags, tags::NUMBERS).zip(index).and_then(|(list, index)| batch::number_at(list, index));
        let id = described.instance_id()?.to_owned();
        let name = tags::value(&tags, tags::NAMING)
            .zip(number)
            .map_or_else(|| id.clone(), |(naming, number)| batch::name(naming, number));
        let disks = described.block_device_mappings().iter().filter_map(|mapping| mapping.ebs()?.volume_id());
        let interfaces = described.network_interfaces().iter().filter_map(|one| one.network_interface_id());
        let parts = disks.chain(interfaces).chain(described.spot_instance_request_id());
        let address = |text: Option<&str>| text.and_then(|text| text.parse().ok());
        Some(Self {
            name,
            number,
            life: Life::of(described.state().and_then(|state| state.name())),
            instance_type: described.instance_type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
            private_address: address(described.private_ip_address()),
            public_address: address(described.public_ip_address()),
            is_spot: described.instance_lifecycle().is_some_and(|kind| kind.as_str() == "spot"),
            parts: parts.map(ToOwned::to_owned).collect(),
            arch: described.architecture().and_then(|arch| Arch::ALL.into_iter().find(|one| ec2_name(*one) == *arch)),
            launched: described.launch_time().map_or(0, aws_time),
            reason: described.state_reason().and_then(|reason| reason.message()).map(ToOwned::to_owned),
            id: InstanceId(id),
            tags,
        })
    }

    /// Whether it can be reached by all that lets it be reached: a machine that is stopped cannot, and need not be.
    pub(crate) fn has_addresses(&self, settings: &Settings) -> bool {
        let is_reachable = settings.is_private || self.public_address.is_some();
        self.private_address.is_some() && (is_reachable || self.life == Life::Stopped)
    }

    /// Where the operator reaches it.
    pub(crate) fn address(&self, settings: &Settings) -> Option<IpAddr> {
        if settings.is_private { self.private_address } else { self.public_address }
    }

    /// As the contract sees it; the host key is the one that the machine was given, where the caller knows it.
    pub(crate) fn instance(&self, settings: &Settings, host_key: Option<&String>) -> Instance {
        let access = self.address(settings).map(|address| {
            Access::Ssh(SshAccess {
                host: address.to_string(),
                port: 22,
                user: settings.user.clone(),
                key_file: None,
                host_key: host_key.cloned(),
            })
        });
        Instance {
            id: self.id.clone(),
            name: self.name.clone(),
            // A machine that has its addresses can be dialled: whether it runs yet is told by who answers.
            state: match self.life {
                Life::Starting | Life::Running => InstanceState::Running,
                Life::Stopping | Life::Stopped | Life::Vanishing | Life::Gone => InstanceState::Stopped,
            },
            arch: self.arch.map(|arch| arch.name().to_owned()),
            private_address: self.private_address,
            public_address: self.public_address,
            access,
        }
    }

    /// Why it is no more, as a clause.
    pub(crate) fn end(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason was given");
        format!("machine `{}` ({}) was terminated: {reason}", self.name, self.id)
    }

    /// Which of several machines of one number is the one that stays: the first that was launched.
    pub(crate) fn seniority(&self) -> (i64, &InstanceId) {
        (self.launched, &self.id)
    }
}

fn aws_time(time: &aws_sdk_ec2::primitives::DateTime) -> i64 {
    time.secs()
}

/// The machines of a cluster, with `None` of every cluster; those that are gone, too, for as long as EC2 tells of them.
pub(crate) async fn of_cluster(api: &Api, cluster: Option<&ClusterId>) -> Result<Vec<Machine>, DriverError> {
    described(api, "list machines", vec![tags::marked(cluster)]).await
}

/// The machines of a cluster that exist, those that are vanishing among them.
pub(crate) async fn existing(api: &Api, cluster: &ClusterId) -> Result<Vec<Machine>, DriverError> {
    let state = tags::filter("instance-state-name", EXISTING);
    described(api, "list machines", vec![tags::marked(Some(cluster)), state]).await
}

/// The machines with these ids that carry any cluster's mark; those that EC2 does not know are missing.
pub(crate) async fn with_ids(api: &Api, ids: &[InstanceId]) -> Result<Vec<Machine>, DriverError> {
    let mut machines = Vec::new();
    for some in ids.chunks(FILTER_VALUES) {
        let filters = vec![tags::marked(None), tags::filter("instance-id", some.iter().map(|id| id.0.as_str()))];
        machines.extend(described(api, "look at machines", filters).await?);
    }
    Ok(machines)
}

/// The machines that were launched under a client token.
pub(crate) async fn of_token(api: &Api, token: &str) -> Result<Vec<Machine>, DriverError> {
    described(api, "look for machines", vec![tags::marked(None), tags::filter("client-token", [token])]).await
}

async fn described(api: &Api, action: &str, filters: Vec<Filter>) -> Result<Vec<Machine>, DriverError> {
    let filters = &filters;
    pages(action, |page| async move {
        let answer = api.call(Call::new(DESCRIBE_INSTANCES, action), || {
            let request = api.client.describe_instances().set_filters(Some(filters.clone()));
            request.max_results(PAGE).set_next_token(page.clone()).send()
        });
        let answer = answer.await?;
        let described = answer.reservations().iter().flat_map(Reservation::instances);
        Ok((described.filter_map(Machine::of).collect(), answer.next_token))
    })
    .await
}

/// The machines that a launch answered with.
pub(crate) fn launched(described: &[Described]) -> Vec<Machine> {
    described.iter().filter_map(Machine::of).collect()
}
