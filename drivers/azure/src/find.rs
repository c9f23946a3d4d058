//! What carries a cluster's mark: its resource group, found by its tags, and everything in it.
//!
//! A group that is being deleted takes everything in it along, so it alone is shown, as vanishing. What is in a group
//! without a mark of its own and did not come with a machine was put there by somebody else: it is remembered, and the
//! group is not deleted over it.

use driver::{ClusterId, DriverError, InstanceId, Resource, TAG_CLUSTER, TAG_EXPIRES, TAG_ID};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

use crate::answers::{GroupAnswer, ResourceAnswer};
use crate::client::{Call, Client};
use crate::documents::Tags;
use crate::names::{DISK_SUFFIX, Group, MachineId, RESOURCES, TAG_DISK, TAG_TYPE, address_of, kind_of};
use crate::provider::{Azure, Known};
use crate::sizes;

/// How many groups are looked at, or resources changed, at once.
const AT_ONCE: usize = 16;

impl Azure {
    pub(crate) async fn find_marked(&self, cluster: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError> {
        let client = self.client().await?;
        let groups = groups(self, client, cluster).await?;
        let looks = groups.into_iter().map(|(group, answer)| self.look_into(client, group, answer));
        let found: Vec<Vec<Resource>> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// A group and what is in it; what it was found to hold is remembered.
    async fn look_into(
        &self,
        client: &Client,
        group: Group,
        answer: GroupAnswer,
    ) -> Result<Vec<Resource>, DriverError> {
        let Some(own) = resource("group", &answer.name, &answer.tags) else { return Ok(Vec::new()) };
        if answer.is_vanishing() {
            return Ok(vec![Resource { is_vanishing: true, ..own }]);
        }
        let Some(inside) = resources(client, &group).await? else { return Ok(Vec::new()) };
        let strangers = inside.iter().filter(|resource| is_stranger(resource)).map(describe).collect();
        self.remember_all(&own.cluster, Known { group: group.clone(), strangers: Some(strangers) });
        let has_address = |machine: &str| has_address(&inside, machine);
        let ours = inside.iter().filter(|resource| !is_stranger(resource));
        let shown = ours.filter_map(|found| inside_of(&group, &answer.tags, found, has_address));
        Ok([own].into_iter().chain(shown).collect())
    }

    /// Writes a new expiry to everything of a cluster.
    pub(crate) async fn move_expiry(&self, cluster: &ClusterId, expires: Timestamp) -> Result<(), DriverError> {
        let client = self.client().await?;
        let mut changes = Vec::new();
        let mut change = |path: String, version: &str, name: &str, tags: &Tags| {
            let mut tags = tags.clone();
            tags.insert(TAG_EXPIRES.to_owned(), expires.as_second().to_string());
            let action = format!("move the expiry of `{name}`");
            changes.push(Call::new(Method::PATCH, path, version, action).with_body(json!({ "tags": tags })));
        };
        for (group, answer) in groups(self, client, Some(cluster)).await? {
            change(group.path(), RESOURCES, &answer.name, &answer.tags);
            for resource in resources(client, &group).await?.unwrap_or_default() {
                if let (Some(version), true) = (kind_of(&resource.full_type).1, resource.tags.contains_key(TAG_ID)) {
                    change(resource.id.clone(), version, &resource.name, &resource.tags);
                }
            }
        }
        let patience = driver::Wait { limit: client.patience.operation, interval: client.patience.pause };
        let changing = changes.into_iter().map(|call| async move {
            driver::wait_until(&patience, "move the expiry", || async {
                match client.ask(&call).await? {
                    Ok(_) => Ok(Some(())),
                    // What is being made takes no change yet; what is gone needs none.
                    Err(refusal) if refusal.code == "Conflict" => Ok(None),
                    Err(refusal) if refusal.is_missing() => Ok(Some(())),
                    Err(refusal) => Err(client.error(&call, refusal)),
                }
            })
            .await
        });
        stream::iter(changing).buffer_unordered(AT_ONCE).try_collect().await
    }
}

/// The groups of a cluster, or of all.
async fn groups(
    azure: &Azure,
    client: &Client,
    cluster: Option<&ClusterId>,
) -> Result<Vec<(Group, GroupAnswer)>, DriverError> {
    let subscription = azure.subscription(client).await?;
    let filter = match cluster {
        None => format!("tagName eq '{TAG_ID}'"),
        Some(id) => format!("tagName eq '{TAG_ID}' and tagValue eq '{}'", id.0.replace('\'', "''")),
    };
    let path = format!("/subscriptions/{subscription}/resourcegroups");
    let call = Call::get(path, RESOURCES, "list the resource groups of clusters").with_query("$filter", filter);
    let found = client.list::<GroupAnswer>(&call).await?.unwrap_or_default();
    // What was asked for is looked at again: nothing is taken for ours by a filter alone.
    let is_wanted = |answer: &GroupAnswer| {
        let mark = answer.tags.get(TAG_ID);
        mark.is_some_and(|mark| cluster.is_none_or(|cluster| cluster.0 == *mark))
    };
    let group =
        |answer: GroupAnswer| (Group { subscription: subscription.to_owned(), name: answer.name.clone() }, answer);
    Ok(found.into_iter().filter(is_wanted).map(group).collect())
}

/// The groups of a cluster that stand, with the strangers in them.
pub(crate) async fn groups_of(azure: &Azure, client: &Client, cluster: &ClusterId) -> Result<Vec<Known>, DriverError> {
    let groups = groups(azure, client, Some(cluster)).await?;
    let standing = groups.into_iter().filter(|(_, answer)| !answer.is_vanishing());
    let looks = standing.map(|(group, _)| async move {
        let inside = resources(client, &group).await?.unwrap_or_default();
        let strangers = inside.iter().filter(|resource| is_stranger(resource)).map(describe).collect();
        Ok(Known { group, strangers: Some(strangers) })
    });
    stream::iter(looks).buffered(AT_ONCE).try_collect().await
}

/// Everything in a group; `None` where the group does not exist.
pub(crate) async fn resources(client: &Client, group: &Group) -> Result<Option<Vec<ResourceAnswer>>, DriverError> {
    let path = format!("{}/resources", group.path());
    let call = Call::get(path, RESOURCES, format!("list what is in `{}`", group.name))
        .with_query("$expand", "provisioningState");
    client.list(&call).await
}

/// Whether somebody else put it there: it has no mark, is no machine's disk, and no part of something that is ours.
fn is_stranger(resource: &ResourceAnswer) -> bool {
    let is_part = resource.full_type.matches('/').count() > 1;
    let is_disk = kind_of(&resource.full_type).0 == "disk" && resource.name.ends_with(DISK_SUFFIX);
    !resource.tags.contains_key(TAG_ID) && !is_disk && !is_part
}

fn describe(resource: &ResourceAnswer) -> String {
    format!("`{}` ({})", resource.name, resource.full_type)
}

fn resource(kind: &str, name: &str, tags: &Tags) -> Option<Resource> {
    Resource::of_tags(kind, name, |tag| {
        tags.iter().find(|(own, _)| own.eq_ignore_ascii_case(tag)).map(|(_, value)| value.as_str())
    })
}

/// Whether a machine's public address is among what is in a group.
fn has_address(inside: &[ResourceAnswer], machine: &str) -> bool {
    let name = address_of(machine);
    inside.iter().any(|resource| resource.name == name && kind_of(&resource.full_type).0 == "address")
}

/// Something in a group; what has no tags of its own, such as a disk, has the group's.
fn inside_of(
    group: &Group,
    of_group: &Tags,
    found: &ResourceAnswer,
    has_address: impl Fn(&str) -> bool,
) -> Option<Resource> {
    let (kind, _) = kind_of(&found.full_type);
    let tags = if found.tags.contains_key(TAG_ID) { &found.tags } else { of_group };
    let mut resource = resource(kind, &found.name, tags)?;
    resource.is_vanishing = found.provisioning_state.as_deref() == Some("Deleting");
    resource.cluster_name = resource.cluster_name.or_else(|| of_group.get(TAG_CLUSTER).cloned());
    if kind == "machine" {
        let InstanceId(id) = MachineId::new(group, &found.name).instance();
        resource.instance = Some(InstanceId(id));
        resource.price = found.tags.get(TAG_TYPE).and_then(|machine_type| {
            let disk = found.tags.get(TAG_DISK).and_then(|size| size.parse().ok()).unwrap_or_default();
            sizes::price(machine_type, disk, has_address(&found.name))
        });
    }
    Some(resource)
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn check(full_type: &str, has_mark: bool, expected: bool) {
        let tags = if has_mark { json!({ TAG_ID: "x" }) } else { json!({}) };
        let found = json!({ "id": "/i", "name": "lab-node-1-disk", "type": full_type, "tags": tags });

        assert_eq!(is_stranger(&from_value(found).unwrap()), expected, "{full_type}");
    }

    #[test]
    fn what_somebody_else_put_into_a_group_is_told_from_what_came_with_machines() {
        check("Microsoft.Storage/storageAccounts", false, true);
        check("Microsoft.Network/networkInterfaces", false, true);
        check("Microsoft.Network/networkInterfaces", true, false);
        check("Microsoft.Compute/disks", false, false);
        check("Microsoft.Compute/virtualMachines/extensions", false, false);
    }
}
