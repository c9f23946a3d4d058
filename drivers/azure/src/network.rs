//! The resource group of a cluster, with its network and firewall in it.
//!
//! ```text
//!   group ──┬──> security group ──┐                 group ──> application group ──> security group ──> machines
//!           ├──> virtual network ─┼──> machines     (in a subnet that exists, which others may share)
//!           └──> identity, if any ┘
//! ```
//! Every step is a PUT of the whole, so that doing it again, with other rules, is the same as doing it once. The
//! security group guards the interfaces rather than the subnet: so it need not wait for the network, nor the network
//! for it, and a subnet that is not ours stays as it is.

use driver::{ClusterRequest, DriverError, MachineRequest, Network, OptionValue, Options};
use serde_json::Value;

use crate::answers::{GroupAnswer, SubnetAnswer};
use crate::client::{Call, Client};
use crate::documents::{self, Attachment, SUBNET_PREFIX, Tags};
use crate::identity::{self, Identity};
use crate::names::{
    APPLICATION_GROUP, APPLICATION_GROUPS, Group, NETWORK, NETWORKS, RESOURCES, SECURITY_GROUP, SECURITY_GROUPS,
    SUBNET, VIRTUAL_NETWORK,
};
use crate::provider::Azure;
use crate::rules::{Members, security_rules};

/// What the network's handles hold.
const SUBSCRIPTION: &str = "subscription";
const GROUP: &str = "group";
const REGION: &str = "region";
const FIREWALL: &str = "firewall";
const SUBNET_ID: &str = "subnet";
const MEMBERS: &str = "members";
const IDENTITY: &str = "identity";
const PRINCIPAL: &str = "principal";

/// How often something is written again that failed after it was accepted.
const WRITES: u32 = 3;

/// Where machines of a cluster are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) group: Group,
    pub(crate) region: String,
    pub(crate) attachment: Attachment,
    /// What managers delete the group by, where they do.
    pub(crate) identity: Option<Identity>,
}

impl Place {
    /// Reads the handles of a network that this driver made.
    pub(crate) fn read(network: &Network) -> Result<Self, DriverError> {
        let handle = |name: &str| {
            network.handles.one(name).map(str::to_owned).ok_or_else(|| {
                let action = format!("find the network of cluster `{}`", network.cluster);
                DriverError::provider(action, format!("its record has no `{name}`"))
            })
        };
        Ok(Self {
            group: Group { subscription: handle(SUBSCRIPTION)?, name: handle(GROUP)? },
            region: handle(REGION)?,
            attachment: Attachment {
                subnet: handle(SUBNET_ID)?,
                security_group: handle(FIREWALL)?,
                application_group: handle(MEMBERS).ok(),
            },
            identity: handle(IDENTITY).and_then(|id| Ok(Identity { id, principal: handle(PRINCIPAL)? })).ok(),
        })
    }

    /// The identity that a machine is lent.
    pub(crate) fn lent_to(&self, request: &MachineRequest) -> Option<&Identity> {
        self.identity.as_ref().filter(|_| request.is_manager)
    }

    fn handles(&self) -> Options {
        let mut handles = vec![
            (SUBSCRIPTION, &self.group.subscription),
            (GROUP, &self.group.name),
            (REGION, &self.region),
            (FIREWALL, &self.attachment.security_group),
            (SUBNET_ID, &self.attachment.subnet),
        ];
        handles.extend(self.attachment.application_group.as_ref().map(|id| (MEMBERS, id)));
        let identity = self.identity.as_ref();
        handles.extend(identity.iter().flat_map(|own| [(IDENTITY, &own.id), (PRINCIPAL, &own.principal)]));
        let handle = |(name, value): (&str, &String)| (name.to_owned(), OptionValue::One(value.clone()));
        Options(handles.into_iter().map(handle).collect())
    }
}

impl Azure {
    pub(crate) async fn make_network(&self, request: &ClusterRequest) -> Result<Network, DriverError> {
        let choice = self.choice(&request.options)?;
        let client = self.client().await?;
        let group = Group::of_cluster(self.subscription(client).await?, &request.name, &request.id);
        let security_group = group.resource(SECURITY_GROUPS, SECURITY_GROUP);
        let members = match &choice.subnet {
            None => Members::Prefix(SUBNET_PREFIX.to_owned()),
            Some(_) => Members::Group(group.resource(APPLICATION_GROUPS, APPLICATION_GROUP)),
        };
        let rules = security_rules(&request.firewall, &members)?;
        let tags = documents::tags(&request.mark());

        self.make_group(client, &group, &choice.region, &tags).await?;
        self.remember(&request.id, &group);
        let firewall = documents::security_group(&choice.region, &tags, &rules);
        let firewall = write(client, &security_group, "make the firewall", firewall);
        let network = async {
            match (&choice.subnet, members) {
                (Some(subnet), Members::Group(id)) => {
                    let body = documents::application_group(&choice.region, &tags);
                    let guarded = async {
                        write(client, &id, "make the group of the members", body).await?;
                        firewall.await
                    };
                    let ((), prefix) = tokio::try_join!(guarded, prefix_of(client, subnet))?;
                    Ok((subnet.clone(), prefix, Some(id)))
                }
                (None, _) | (_, Members::Prefix(_)) => {
                    let network = group.resource(NETWORKS, VIRTUAL_NETWORK);
                    let body = documents::network(&choice.region, &tags);
                    tokio::try_join!(firewall, write(client, &network, "make the network", body))?;
                    Ok((format!("{network}/subnets/{SUBNET}"), SUBNET_PREFIX.to_owned(), None))
                }
            }
        };
        let identity = async {
            if !choice.deletes_itself {
                return Ok(None);
            }
            identity::make(client, &group, &choice.region, &tags).await.map(Some)
        };
        let (identity, (subnet, prefix, application_group)) = tokio::try_join!(identity, network)?;
        let attachment = Attachment { subnet, security_group, application_group };
        let place = Place { group, region: choice.region, attachment, identity };
        Ok(Network { cluster: request.id.clone(), prefix: Some(prefix), handles: place.handles() })
    }

    /// Makes the resource group; one of the same name that is on its way out is waited for.
    async fn make_group(&self, client: &Client, group: &Group, region: &str, tags: &Tags) -> Result<(), DriverError> {
        let action = format!("make the resource group `{}`", group.name);
        let call = Call::put(group.path(), RESOURCES, &action, documents::group(region, tags));
        match client.ask(&call).await? {
            Ok(_) => return Ok(()),
            Err(refusal) if refusal.code == "ResourceGroupBeingDeleted" => {}
            Err(refusal) => return Err(client.error(&call, refusal)),
        }
        let wait = driver::Wait { limit: client.patience.group, interval: client.patience.pause };
        let look = Call::get(group.path(), RESOURCES, &action);
        driver::wait_until(&wait, format!("see the resource group `{}` gone", group.name), || async {
            Ok(client.look::<GroupAnswer>(&look).await?.is_none().then_some(()))
        })
        .await?;
        client.call(&call).await?;
        Ok(())
    }
}

/// Writes a resource of the network, and waits until it is made.
async fn write(client: &Client, path: &str, action: &str, body: Value) -> Result<(), DriverError> {
    let call = Call::put(path, NETWORK, action, body).in_new_group();
    let mut attempt = 1;
    loop {
        let answer = client.call(&call).await?;
        match client.finish(&answer, action).await? {
            Ok(()) => return Ok(()),
            Err(refusal) if refusal.is_transient() && attempt < WRITES => attempt += 1,
            Err(refusal) => return Err(client.error(&call, refusal).into_final()),
        }
    }
}

/// The prefix of a subnet that exists.
async fn prefix_of(client: &Client, subnet: &str) -> Result<String, DriverError> {
    let call = Call::get(subnet, NETWORK, format!("find the subnet `{subnet}`"));
    let found = client.look::<SubnetAnswer>(&call).await?.ok_or_else(|| DriverError::Unmet {
        what: format!("there is no subnet `{subnet}`"),
        hint: "name one that exists by --network, or leave it out and one is made".to_owned(),
    })?;
    let mut prefixes = found.properties.address_prefix.into_iter().chain(found.properties.address_prefixes);
    prefixes.next().ok_or_else(|| DriverError::provider("find the subnet's prefix", "it has none"))
}
