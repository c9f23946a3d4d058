//! What is checked before anything is made: credentials, subscription, quotas, permissions. Nothing is changed by it.

use driver::{ClusterRequest, DriverError, Preflight};

use crate::answers::{PermissionAnswer, SubscriptionAnswer, UsageAnswer};
use crate::choice::Choice;
use crate::client::{Call, Client};
use crate::identity::LENDERS;
use crate::names::{AUTHORIZATION, COMPUTE, NETWORK, SUBSCRIPTIONS};
use crate::provider::Azure;
use crate::sizes;

/// The cores of a machine: every size has two.
const CORES: u32 = 2;
/// What the quota of public addresses is called; the name has changed over time.
const ADDRESS_QUOTAS: [&str; 3] =
    ["StandardPublicIPAddresses", "StandardSkuPublicIpAddresses", "IPv4StandardSkuPublicIpAddresses"];
/// What creating and destroying a cluster does.
const ACTIONS: [&str; 11] = [
    "Microsoft.Resources/subscriptions/resourceGroups/write",
    "Microsoft.Resources/subscriptions/resourceGroups/delete",
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Compute/virtualMachines/delete",
    "Microsoft.Compute/virtualMachines/start/action",
    "Microsoft.Compute/virtualMachines/deallocate/action",
    "Microsoft.Network/virtualNetworks/write",
    "Microsoft.Network/virtualNetworks/subnets/join/action",
    "Microsoft.Network/networkSecurityGroups/write",
    "Microsoft.Network/networkInterfaces/write",
    "Microsoft.Network/publicIPAddresses/write",
];

/// What it does besides, where managers are lent an identity.
const IDENTITY_ACTIONS: [&str; 3] = [
    "Microsoft.ManagedIdentity/userAssignedIdentities/write",
    "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    LENDING,
];
/// Lending rights, which the role Contributor does not permit.
const LENDING: &str = "Microsoft.Authorization/roleAssignments/write";

impl Azure {
    pub(crate) async fn check_all(&self, request: &ClusterRequest) -> Result<Preflight, DriverError> {
        let choice = self.choice(&request.options)?;
        let client = self.client().await?;
        client.sign_in().await?;
        let subscription = format!("/subscriptions/{}", self.subscription(client).await?);
        let mut preflight = Preflight { checked: vec!["credentials".to_owned()], unchecked: Vec::new() };

        let machines = request.managers + request.workers;
        let (state, cores, addresses, permissions) = tokio::join!(
            check_subscription(client, &subscription),
            check_cores(client, &subscription, &choice, machines),
            check_addresses(client, &subscription, &choice, machines),
            check_permissions(client, &subscription, choice.deletes_itself),
        );
        for (what, outcome) in [
            ("the subscription", state),
            ("the quota of cores", cores),
            ("the quota of public addresses", addresses),
            ("the permissions", permissions),
        ] {
            match outcome {
                Ok(Checked::Well(what)) => preflight.checked.push(what),
                Ok(Checked::Unknown(why)) => preflight.unchecked.push(format!("{what}: {why}")),
                Err(error @ (DriverError::Unmet { .. } | DriverError::QuotaExhausted { .. })) => return Err(error),
                Err(error) => preflight.unchecked.push(format!("{what}: {}", reason(&error))),
            }
        }
        preflight.unchecked.push(format!("whether {} has the capacity for {}", choice.region, choice.types[0]));
        Ok(preflight)
    }
}

/// What came of a check that found nothing wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Checked {
    /// What was checked.
    Well(String),
    /// Why it could not be checked.
    Unknown(String),
}

/// An error with its causes.
fn reason(error: &DriverError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        text = format!("{text}: {current}");
        cause = current.source();
    }
    text
}

async fn check_subscription(client: &Client, subscription: &str) -> Result<Checked, DriverError> {
    let call = Call::get(subscription, SUBSCRIPTIONS, "look at the subscription");
    let answer = client.call(&call).await?;
    let found: SubscriptionAnswer = client.read(&call, answer.body)?;
    if found.state == "Enabled" {
        return Ok(Checked::Well(format!("subscription `{}`", found.display_name)));
    }
    Err(DriverError::Unmet {
        what: format!("the subscription `{}` is {}, not Enabled", found.display_name, found.state),
        hint: "name another by --subscription or AZURE_SUBSCRIPTION_ID".to_owned(),
    })
}

async fn usages(client: &Client, path: String, version: &str, what: &str) -> Result<Vec<UsageAnswer>, DriverError> {
    let call = Call::get(path, version, format!("look at the quota of {what}"));
    Ok(client.list(&call).await?.unwrap_or_default())
}

async fn check_cores(
    client: &Client,
    subscription: &str,
    choice: &Choice,
    machines: u32,
) -> Result<Checked, DriverError> {
    let path = format!("{subscription}/providers/Microsoft.Compute/locations/{}/usages", choice.region);
    let found = usages(client, path, COMPUTE, "cores").await?;
    judge_cores(&found, choice, machines * CORES)
}

/// The region must have the cores, and so must the family of one of the types.
fn judge_cores(found: &[UsageAnswer], choice: &Choice, wanted: u32) -> Result<Checked, DriverError> {
    let all = if choice.is_spot { "lowPriorityCores" } else { "cores" };
    let Some(total) = usage(found, all) else {
        return Ok(Checked::Unknown(format!("Azure names no quota `{all}` in {}", choice.region)));
    };
    if !has_room(total, wanted) {
        return Err(exhausted(total, &choice.region));
    }
    let families: Vec<_> = choice.types.iter().filter_map(|name| usage(found, sizes::family(name)?)).collect();
    let is_known = !choice.is_spot && families.len() == choice.types.len();
    if is_known && !families.iter().any(|family| has_room(family, wanted)) {
        return Err(exhausted(families[0], &choice.region));
    }
    Ok(Checked::Well(format!("quota of {wanted} cores in {}", choice.region)))
}

async fn check_addresses(
    client: &Client,
    subscription: &str,
    choice: &Choice,
    machines: u32,
) -> Result<Checked, DriverError> {
    if choice.is_private {
        return Ok(Checked::Well("no public address is needed".to_owned()));
    }
    let path = format!("{subscription}/providers/Microsoft.Network/locations/{}/usages", choice.region);
    let found = usages(client, path, NETWORK, "public addresses").await?;
    match ADDRESS_QUOTAS.iter().find_map(|name| usage(&found, name)) {
        None => Ok(Checked::Unknown(format!("Azure names no such quota in {}", choice.region))),
        Some(quota) if has_room(quota, machines) => {
            Ok(Checked::Well(format!("quota of {machines} public addresses in {}", choice.region)))
        }
        Some(quota) => Err(exhausted(quota, &choice.region)),
    }
}

fn usage<'a>(found: &'a [UsageAnswer], name: &str) -> Option<&'a UsageAnswer> {
    found.iter().find(|usage| usage.name.value.eq_ignore_ascii_case(name))
}

fn has_room(usage: &UsageAnswer, wanted: u32) -> bool {
    usage.limit - usage.current_value >= f64::from(wanted)
}

fn exhausted(usage: &UsageAnswer, region: &str) -> DriverError {
    let UsageAnswer { name, current_value, limit } = usage;
    let shown = if name.localized_value.is_empty() { &name.value } else { &name.localized_value };
    DriverError::QuotaExhausted {
        quota: format!("{shown} ({current_value} of {limit} used)"),
        region: region.to_owned(),
    }
}

async fn check_permissions(client: &Client, subscription: &str, deletes_itself: bool) -> Result<Checked, DriverError> {
    let path = format!("{subscription}/providers/Microsoft.Authorization/permissions");
    let call = Call::get(path, AUTHORIZATION, "look at the permissions");
    let Some(found) = client.list::<PermissionAnswer>(&call).await? else {
        return Ok(Checked::Unknown("Azure lists none".to_owned()));
    };
    judge_permissions(&found, deletes_itself)
}

fn judge_permissions(found: &[PermissionAnswer], deletes_itself: bool) -> Result<Checked, DriverError> {
    let of_identity = if deletes_itself { IDENTITY_ACTIONS.as_slice() } else { &[] };
    let wanted = ACTIONS.iter().chain(of_identity);
    let missing: Vec<_> = wanted.copied().filter(|action| !permits(found, action)).collect();
    if missing.is_empty() {
        return Ok(Checked::Well("permissions".to_owned()));
    }
    let hint = if missing == [LENDING] {
        format!("ask for the role {LENDERS} on the subscription, or leave out --self-delete")
    } else {
        "ask for the role Contributor on the subscription, or sign in as somebody who has it".to_owned()
    };
    Err(DriverError::Unmet { what: format!("Azure does not permit {}", missing.join(", ")), hint })
}

/// Whether one of the roles permits an action, and does not take it out again.
fn permits(permissions: &[PermissionAnswer], action: &str) -> bool {
    permissions.iter().any(|role| {
        role.actions.iter().any(|pattern| is_match(pattern, action))
            && !role.not_actions.iter().any(|pattern| is_match(pattern, action))
    })
}

/// Whether a pattern such as `Microsoft.Compute/*/write` holds an action.
fn is_match(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_lowercase(), action.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = action.strip_prefix(first) else { return false };
    let others: Vec<_> = parts.collect();
    let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use driver::Options;
    use serde_json::{from_value, json};

    use super::*;
    use crate::environment::Environment;

    fn check_pattern(pattern: &str, expected: bool) {
        assert_eq!(is_match(pattern, "Microsoft.Compute/virtualMachines/write"), expected, "{pattern}");
    }

    #[test]
    fn patterns_of_actions_are_read_as_azure_reads_them() {
        check_pattern("*", true);
        check_pattern("*/write", true);
        check_pattern("microsoft.compute/*", true);
        check_pattern("Microsoft.Compute/*/write", true);
        check_pattern("Microsoft.Compute/virtualMachines/write", true);
        check_pattern("*/read", false);
        check_pattern("Microsoft.Network/*", false);
        check_pattern("Microsoft.Compute/virtualMachines", false);
    }

    #[test]
    fn what_one_role_takes_out_another_may_give() {
        let role = |actions: &str, without: &str| PermissionAnswer {
            actions: vec![actions.to_owned()],
            not_actions: vec![without.to_owned()],
        };

        assert!(!permits(&[role("*", "Microsoft.Compute/*")], ACTIONS[2]));
        assert!(permits(&[role("*", "Microsoft.Compute/*"), role("*/write", "x")], ACTIONS[2]));
    }

    #[test]
    fn who_may_make_everything_but_lend_rights_is_told_what_is_missing_where_it_is_needed() {
        let contributor = PermissionAnswer {
            actions: vec!["*".to_owned()],
            not_actions: vec!["Microsoft.Authorization/*/Write".to_owned()],
        };
        let lender = PermissionAnswer { actions: vec![LENDING.to_owned()], not_actions: Vec::new() };
        let found = [contributor.clone(), lender];

        assert!(judge_permissions(&found[..1], false).is_ok());
        assert!(judge_permissions(&found, true).is_ok());
        let error = judge_permissions(&found[..1], true).unwrap_err();
        assert!(
            matches!(&error, DriverError::Unmet { what, hint }
                if what.ends_with("permit Microsoft.Authorization/roleAssignments/write")
                    && hint.contains("User Access Administrator") && hint.contains("--self-delete")),
            "{error:?}"
        );
    }

    fn quota(name: &str, used: u32, limit: u32) -> UsageAnswer {
        from_value(json!({ "name": { "value": name }, "currentValue": used, "limit": limit })).unwrap()
    }

    #[test]
    fn the_cores_must_be_left_in_the_region_and_in_one_family() {
        let choice = Choice::read(&Environment::default(), &Options::default(), &Options::default()).unwrap();
        let families = |used| {
            ["standardBasv2Family", "standardBSFamily", "standardBsv2Family"].map(|name| quota(name, used, 10)).to_vec()
        };
        let judged = |total: UsageAnswer, families: Vec<UsageAnswer>| {
            judge_cores(&[vec![total], families].concat(), &choice, 10)
        };

        assert!(matches!(judged(quota("cores", 0, 10), families(0)), Ok(Checked::Well(_))));
        assert!(judged(quota("cores", 1, 10), families(0)).is_err());
        assert!(judged(quota("cores", 0, 10), families(1)).is_err());
        assert!(matches!(judged(quota("cores", 0, 10), Vec::new()), Ok(Checked::Well(_))));
        assert!(matches!(judged(quota("others", 0, 10), Vec::new()), Ok(Checked::Unknown(_))));
    }
}
