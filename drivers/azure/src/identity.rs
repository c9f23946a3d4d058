//! The identity by which managers delete their own resource group, and the one right that it has.
//!
//! ```text
//!   group ──> identity (beside the network) ──> its right (beside the machines)
//!                        └──> machines of managers
//! ```
//! Both go with the group: an assignment of a role is a part of its scope. The role is the least of Azure's own with which
//! a group can be deleted: it reads, writes and deletes the group, and nothing that is in it by itself. A role of our own
//! could do without `write`, and would outlive the group: its definition belongs to the directory.

use driver::{DriverError, Wait, wait_until};
use serde::Deserialize;
use serde_json::json;

use crate::client::{Call, Client};
use crate::documents::{self, Tags};
use crate::names::{ASSIGNMENTS, AUTHORIZATION, Group, IDENTITIES, IDENTITY, MANAGED_IDENTITY};

/// `Resource Group Contributor`, as Azure numbers its own roles in every cloud.
const ROLE: &str = "94877a25-7520-40c5-9c42-68e02e4758bd";
/// Who may lend rights.
pub(crate) const LENDERS: &str = "Role Based Access Control Administrator, User Access Administrator or Owner";

/// The identity of a cluster's managers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its resource id.
    pub(crate) id: String,
    /// What the directory calls it.
    pub(crate) principal: String,
}

/// An identity, as far as it is looked at.
#[derive(Debug, Deserialize)]
struct Answer {
    properties: Properties,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    principal_id: String,
}

/// The resource id of the identity of a group's managers.
pub(crate) fn id(group: &Group) -> String {
    group.resource(IDENTITIES, IDENTITY)
}

/// Makes the identity of a group's managers; one that exists stays as it is. It has no rights yet.
pub(crate) async fn make(client: &Client, group: &Group, region: &str, tags: &Tags) -> Result<Identity, DriverError> {
    let id = id(group);
    let body = documents::identity(region, tags);
    let call = Call::put(&id, MANAGED_IDENTITY, "make the identity of the managers", body).in_new_group();
    let answer = client.call(&call).await?;
    let Answer { properties } = client.read(&call, answer.body)?;
    Ok(Identity { id, principal: properties.principal_id })
}

/// Lends an identity the right to delete its group.
///
/// # Errors
/// [`DriverError::Unmet`] where whoever is signed in may lend no rights.
pub(crate) async fn entitle(client: &Client, group: &Group, identity: &Identity) -> Result<(), DriverError> {
    // An assignment is named by a GUID. There is one for each principal, so it takes the principal's: that is the same
    // whenever this is done again.
    let path = group.resource(ASSIGNMENTS, &identity.principal);
    let role =
        format!("/subscriptions/{}/providers/Microsoft.Authorization/roleDefinitions/{ROLE}", group.subscription);
    let action = "let the managers delete their resource group";
    // Where the type is named, Azure does not look the principal up, which the directory may not show everywhere yet.
    let body = json!({
        "properties": {
            "roleDefinitionId": role,
            "principalId": identity.principal,
            "principalType": "ServicePrincipal",
        },
    });
    let call = Call::put(path, AUTHORIZATION, action, body).in_new_group();
    let wait = Wait { limit: client.patience.operation, interval: client.patience.pause };
    wait_until(&wait, action, || async {
        match client.ask(&call).await? {
            Ok(_) => Ok(Some(())),
            Err(refusal) if refusal.code == "RoleAssignmentExists" => Ok(Some(())),
            // The directory has not told it everywhere.
            Err(refusal) if refusal.code == "PrincipalNotFound" => Ok(None),
            Err(refusal) if refusal.status == 403 => Err(DriverError::Unmet {
                what: format!("Azure does not permit to {action}: {}", refusal.message),
                hint: format!("ask for the role {LENDERS} on the subscription, or leave out --self-delete"),
            }),
            Err(refusal) => Err(client.error(&call, refusal)),
        }
    })
    .await
}
