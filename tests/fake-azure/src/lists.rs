//! Lists: in pages, filtered as their documents say; and what a subscription has left.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answer::{Answer, Answered, Refusal};
use crate::bodies::Tags;
use crate::route::Kind;
use crate::world::{Key, World, not_found};

/// A tag's name, and its value where that is asked for too.
type TagFilter = (String, Option<String>);

impl World {
    pub(crate) fn list_groups(&self, query: &BTreeMap<String, String>, url: &str) -> Answered {
        let filter = tag_filter(query)?;
        let groups = self.groups.iter().filter(|(_, group)| matches(filter.as_ref(), &group.tags));
        Ok(self.page(&groups.map(|(name, _)| self.group_view(name)).collect::<Vec<_>>(), query, url))
    }

    /// The resources of a group, or of all groups. With a filter by tag the list shows no tags, as its document says.
    pub(crate) fn list_resources(&self, group: Option<&str>, query: &BTreeMap<String, String>, url: &str) -> Answered {
        let filter = tag_filter(query)?;
        let expands = match query.get("$expand").map(String::as_str) {
            None => false,
            Some(names)
                if names.split(',').all(|name| matches!(name, "createdTime" | "changedTime" | "provisioningState")) =>
            {
                names.contains("provisioningState")
            }
            Some(other) => return Err(Refusal::new(400, "InvalidExpand", format!("'{other}' cannot be expanded."))),
        };
        if let Some(group) = group {
            self.group(group)?;
        }
        let group = group.map(str::to_lowercase);
        let items = self.items.iter().filter(|(key, item)| {
            item.appears_at <= self.now
                && group.as_ref().is_none_or(|group| *group == key.group)
                && matches(filter.as_ref(), &item.tags)
        });
        let lines: Vec<_> = items.map(|(key, item)| self.line(key, item, expands, filter.is_none())).collect();
        Ok(self.page(&lines, query, url))
    }

    pub(crate) fn list_items(&self, group: &str, kind: Kind, query: &BTreeMap<String, String>, url: &str) -> Answered {
        self.group(group)?;
        let group = group.to_lowercase();
        let items = self
            .items
            .iter()
            .filter(|(key, item)| key.group == group && key.kind == kind && item.appears_at <= self.now);
        Ok(self.page(&items.map(|(key, _)| self.view(key)).collect::<Vec<_>>(), query, url))
    }

    fn page(&self, all: &[Value], query: &BTreeMap<String, String>, url: &str) -> Answer {
        let from: usize = query.get("$skiptoken").and_then(|token| token.parse().ok()).unwrap_or_default();
        let to = from + self.settings.page;
        let mut body = json!({ "value": all.iter().skip(from).take(self.settings.page).collect::<Vec<_>>() });
        if to < all.len() {
            let base = url.split("&%24skiptoken=").next().unwrap_or(url);
            body["nextLink"] = json!(format!("{base}&%24skiptoken={to}"));
        }
        Answer::json(200, body)
    }

    pub(crate) fn view_item(&self, key: &Key) -> Answered {
        self.group(&key.group)?;
        self.item(key).ok_or_else(|| not_found(key))?;
        Ok(Answer::json(200, self.view(key)))
    }

    pub(crate) fn view_group(&self, name: &str) -> Answered {
        self.group(name)?;
        Ok(Answer::json(200, self.group_view(&name.to_lowercase())))
    }

    pub(crate) fn view_subnet(&self, network: &Key, name: &str) -> Answered {
        let item = self.item(network).ok_or_else(|| not_found(network))?;
        let record = item.what.network().ok_or_else(|| not_found(network))?;
        let subnet = record.subnet(name).ok_or_else(|| Refusal::new(404, "NotFound", "There is no such subnet."))?;
        let mut properties = json!(subnet.properties);
        properties["provisioningState"] = json!(item.progress.state());
        let id = format!("{}/subnets/{}", self.id(network), subnet.name);
        Ok(Answer::json(200, json!({ "id": id, "name": subnet.name, "properties": properties })))
    }

    pub(crate) fn usages(&self, namespace: &str) -> Answer {
        let usage = |name: &str, localized: &str, used: u32, limit: u32| {
            json!({
                "name": { "value": name, "localizedValue": localized },
                "currentValue": used, "limit": limit, "unit": "Count",
            })
        };
        let used =
            |kind: Kind| u32::try_from(self.items.keys().filter(|key| key.kind == kind).count()).unwrap_or(u32::MAX);
        let value = if namespace.eq_ignore_ascii_case("Microsoft.Compute") {
            json!([
                usage("cores", "Total Regional vCPUs", self.cores_in_use(), self.settings.cores),
                usage("virtualMachines", "Virtual Machines", used(Kind::Machine), 25_000),
                usage("lowPriorityCores", "Total Regional Spot vCPUs", 0, self.settings.cores),
                usage("standardBasv2Family", "Standard BASv2 Family vCPUs", self.cores_in_use(), self.settings.cores),
            ])
        } else {
            json!([
                usage(
                    "StandardPublicIPAddresses",
                    "Public IPv4 Addresses - Standard",
                    used(Kind::Address),
                    self.settings.addresses
                ),
                usage("NetworkSecurityGroups", "Network Security Groups", used(Kind::SecurityGroup), 5000),
            ])
        };
        Answer::json(200, json!({ "value": value }))
    }

    pub(crate) fn permissions() -> Answer {
        Answer::json(
            200,
            json!({ "value": [{ "actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": [] }] }),
        )
    }

    fn subscription_view(&self) -> Value {
        let id = &self.settings.subscription;
        json!({
            "id": format!("/subscriptions/{id}"),
            "subscriptionId": id,
            "displayName": "Fake subscription",
            "state": "Enabled",
        })
    }

    pub(crate) fn subscription(&self) -> Answer {
        Answer::json(200, self.subscription_view())
    }

    pub(crate) fn subscriptions(&self) -> Answer {
        Answer::json(200, json!({ "value": [self.subscription_view()] }))
    }
}

/// Reads `tagName eq 'a'` and `tagName eq 'a' and tagValue eq 'b'`.
fn tag_filter(query: &BTreeMap<String, String>) -> Result<Option<TagFilter>, Refusal> {
    let Some(filter) = query.get("$filter") else { return Ok(None) };
    let quoted = |text: &str, name: &str| {
        let value = text.trim().strip_prefix(name)?.trim().strip_prefix("eq ")?.trim();
        Some(value.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'"))
    };
    let read = match filter.split_once(" and ") {
        None => quoted(filter, "tagName").map(|name| (name, None)),
        Some((name, value)) => quoted(name, "tagName").zip(quoted(value, "tagValue").map(Some)),
    };
    read.map(Some)
        .ok_or_else(|| Refusal::new(400, "InvalidFilterInQueryString", format!("Invalid $filter '{filter}'.")))
}

/// Tags' names are compared without regard to case, their values with it.
fn matches(filter: Option<&TagFilter>, tags: &Tags) -> bool {
    filter.is_none_or(|(name, value)| {
        tags.iter().any(|(key, own)| key.eq_ignore_ascii_case(name) && value.as_ref().is_none_or(|value| value == own))
    })
}
