//! The security group of a cluster: all its machines are in it, and its rules tell who may reach them.

use aws_sdk_ec2::types::{Filter, ResourceType, SecurityGroup};
use driver::{ClusterId, ClusterRequest, DriverError, Wait, wait_until};
use tracing::debug;

use crate::api::{Api, Call, pages};
use crate::rates::{
    AUTHORIZE_INGRESS, CREATE_SECURITY_GROUP, DELETE_SECURITY_GROUP, DESCRIBE_SECURITY_GROUPS, REVOKE_INGRESS,
};
use crate::tags::{self, filter};
use crate::{failure, rule};

/// A group that was created a moment ago is not known everywhere yet.
pub(crate) const NOT_YET: &[&str] = &["InvalidGroup.NotFound", "InvalidGroupId.NotFound"];
/// Rules are compared and changed so often at most: another process may change them meanwhile.
const ROUNDS: usize = 5;

/// The groups with a cluster's mark; with `None`, with any cluster's.
pub(crate) async fn marked(api: &Api, cluster: Option<&ClusterId>) -> Result<Vec<SecurityGroup>, DriverError> {
    let filters = vec![tags::marked(cluster)];
    described(api, "list security groups", filters).await
}

/// The groups with these ids.
pub(crate) async fn with_ids(api: &Api, ids: &[String]) -> Result<Vec<SecurityGroup>, DriverError> {
    described(api, "look at security groups", vec![filter("group-id", ids)]).await
}

async fn described(api: &Api, action: &str, filters: Vec<Filter>) -> Result<Vec<SecurityGroup>, DriverError> {
    let filters = &filters;
    pages(action, |page| async move {
        let answer = api.call(Call::new(DESCRIBE_SECURITY_GROUPS, action), || {
            let request = api.client.describe_security_groups().set_filters(Some(filters.clone()));
            request.set_next_token(page.clone()).send()
        });
        let answer = answer.await?;
        Ok((answer.security_groups.unwrap_or_default(), answer.next_token))
    })
    .await
}

/// Makes sure that the cluster's group exists in this VPC and has exactly the rules asked for; returns its id. `there`
/// are the groups with the cluster's mark.
pub(crate) async fn ensure(
    api: &Api,
    request: &ClusterRequest,
    vpc: &str,
    there: &[SecurityGroup],
) -> Result<String, DriverError> {
    let there = there.iter().find(|group| group.vpc_id() == Some(vpc)).cloned();
    let mut group = match there {
        Some(group) => group,
        None => create(api, request, vpc).await?,
    };
    let id = group.group_id().unwrap_or_default().to_owned();
    let wanted = rule::wanted(&request.firewall, &id)?;
    for _ in 0..ROUNDS {
        let (add, remove) = rule::changes(&rule::described(group.ip_permissions()), &wanted);
        debug!(group = id, add = add.len(), remove = remove.len(), "comparing the firewall's rules");
        let mut is_settled = true;
        if !add.is_empty() {
            let action = format!("add rules to security group `{id}`");
            let call = Call::new(AUTHORIZE_INGRESS, action).after_creation(NOT_YET);
            let added = api.call(call, || {
                let request = api.client.authorize_security_group_ingress().group_id(&id);
                request.set_ip_permissions(Some(add.clone())).send()
            });
            is_settled &= unless(added.await.map(drop), &["InvalidPermission.Duplicate"])?;
        }
        if !remove.is_empty() {
            let removed =
                api.call(Call::new(REVOKE_INGRESS, format!("remove rules from security group `{id}`")), || {
                    let request = api.client.revoke_security_group_ingress().group_id(&id);
                    request.set_ip_permissions(Some(remove.clone())).send()
                });
            is_settled &= unless(removed.await.map(drop), &["InvalidPermission.NotFound"])?;
        }
        if is_settled {
            return Ok(id);
        }
        // A call whose answer was lost was executed, or somebody else was here: look again.
        group = with_ids(api, std::slice::from_ref(&id))
            .await?
            .pop()
            .ok_or_else(|| DriverError::provider(format!("find security group `{id}`"), "it is gone"))?;
    }
    let action = format!("settle the rules of security group `{id}`");
    Err(DriverError::provider(action, "somebody else keeps changing them"))
}

/// Whether it was done; a refusal with one of these codes means that it was not.
fn unless(result: Result<(), DriverError>, codes: &[&str]) -> Result<bool, DriverError> {
    match result {
        Ok(()) => Ok(true),
        Err(failure) if failure::is_one_of(&failure, codes) => Ok(false),
        Err(failure) => Err(failure),
    }
}

async fn create(api: &Api, request: &ClusterRequest, vpc: &str) -> Result<SecurityGroup, DriverError> {
    let name = format!("swarmup-{}", request.id);
    let tags = tags::of_mark(&request.mark(), &request.name);
    let call = Call::new(CREATE_SECURITY_GROUP, format!("create security group `{name}`"))
        // The VPC may be our own, of a moment ago.
        .after_creation(&["InvalidVpcID.NotFound"]);
    let created = api.call(call, || {
        let create = api.client.create_security_group().group_name(&name).vpc_id(vpc);
        create
            .description(format!("Machines of the swarm {}", request.id))
            .tag_specifications(tags::specification(ResourceType::SecurityGroup, tags.clone()))
            .send()
    });
    match created.await {
        Ok(created) => Ok(SecurityGroup::builder().set_group_id(created.group_id).vpc_id(vpc).build()),
        // Its answer was lost, or another process was faster: the name belongs to this cluster alone.
        Err(failure) if failure::is_one_of(&failure, &["InvalidGroup.Duplicate"]) => {
            // It may be told of only after a while.
            let wait = Wait { limit: api.patience.consistency, ..api.patience.machines };
            let there = wait_until(&wait, format!("see security group `{name}`"), || async {
                let filters = vec![filter("group-name", [name.as_str()]), filter("vpc-id", [vpc])];
                Ok(described(api, "look at the security group", filters).await?.pop())
            });
            let is_ours = |group: &SecurityGroup| tags::is_marked(group.tags(), &request.id);
            Some(there.await?).filter(is_ours).ok_or(failure)
        }
        Err(failure) => Err(failure),
    }
}

/// Deletes a group; one that is gone counts as deleted.
pub(crate) async fn delete(api: &Api, id: &str) -> Result<(), DriverError> {
    let call = Call::new(DELETE_SECURITY_GROUP, format!("delete security group `{id}`"));
    let deleted = api.call(call, || api.client.delete_security_group().group_id(id).send()).await.map(drop);
    unless(deleted, NOT_YET).map(drop)
}
