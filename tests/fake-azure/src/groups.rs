//! Resource groups, and the operations that are asked after.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::answer::{Answer, Answered, Refusal};
use crate::bodies::{self, GroupBody, TagsBody};
use crate::network::location_required;
use crate::world::{Group, Key, Progress, World, not_found};

/// Which machines a group's deletion may force.
const FORCED: &str = "Microsoft.Compute/virtualMachines";
/// Which more a group's deletion may force.
const FORCED_SETS: &str = "Microsoft.Compute/virtualMachineScaleSets";

impl World {
    pub(crate) fn put_group(&mut self, name: &str, body: &[u8]) -> Answered {
        let body: GroupBody = bodies::read(body)?;
        let location = body.location.ok_or_else(location_required)?;
        let is_allowed = |character: char| character.is_alphanumeric() || "-_.()".contains(character);
        if name.len() > 90 || name.ends_with('.') || !name.chars().all(is_allowed) {
            let message = format!("The provided resource group name '{name}' is not valid.");
            return Err(Refusal::new(400, "ResourceGroupNameInvalid", message));
        }
        let key = name.to_lowercase();
        let status = if self.groups.contains_key(&key) { 200 } else { 201 };
        if status == 200 {
            let existing = self.group_to_write(name)?;
            if !existing.location.eq_ignore_ascii_case(&location) {
                let message = format!(
                    "Invalid resource group location '{location}'. The Resource group already exists in location '{}'.",
                    existing.location
                );
                return Err(Refusal::new(409, "InvalidResourceGroupLocation", message));
            }
        }
        let name = self.groups.get(&key).map_or_else(|| name.to_owned(), |group| group.name.clone());
        self.groups.insert(key.clone(), Group { name, location, tags: body.tags, gone_at: None });
        Ok(Answer::json(status, self.group_view(&key)))
    }

    pub(crate) fn patch_group(&mut self, name: &str, body: &[u8]) -> Answered {
        let body: TagsBody = bodies::read(body)?;
        self.group_to_write(name)?;
        let key = name.to_lowercase();
        if let Some(group) = self.groups.get_mut(&key) {
            group.tags = body.tags;
        }
        Ok(Answer::json(200, self.group_view(&key)))
    }

    /// Deletes a group with everything in it. Without force, machines are shut down first, which takes a while; here it
    /// takes ten times as long.
    pub(crate) fn delete_group(&mut self, name: &str, query: &BTreeMap<String, String>) -> Answered {
        self.group(name)?;
        let types: Vec<_> = query.get("forceDeletionTypes").iter().flat_map(|types| types.split(',')).collect();
        if types.iter().any(|kind| *kind != FORCED && *kind != FORCED_SETS) {
            return Err(Refusal::new(400, "InvalidForceDeletionTypes", "The force deletion types are not supported."));
        }
        let key = name.to_lowercase();
        let has_machines = self.items.iter().any(|(own, item)| own.group == key && item.what.machine().is_some());
        let is_forced = types.contains(&FORCED) || !has_machines;
        let mut takes = self.settings.group_deletion * if is_forced { 1 } else { 10 };
        for item in self.items.iter().filter(|(own, _)| own.group == key).map(|(_, item)| item) {
            if let Some(interface) = item.what.interface() {
                let reserved = interface.reserved_until.map(|until| until.saturating_duration_since(self.now));
                takes = takes.max(reserved.unwrap_or_default());
            }
        }
        let gone_at = self.now + takes;
        if let Some(group) = self.groups.get_mut(&key) {
            group.gone_at = Some(group.gone_at.unwrap_or(gone_at));
        }
        for (_, item) in self.items.iter_mut().filter(|(own, _)| own.group == key) {
            // They go with the group, all at once.
            item.progress = Progress::Deleting { until: gone_at + Duration::from_hours(1) };
        }
        let id = self.begin(takes, None);
        let url = format!(
            "{}/subscriptions/{}/operationresults/{id}?api-version=2024-11-01",
            self.base, self.settings.subscription
        );
        Ok(Answer::empty(202).with("location", url).with("retry-after", self.settings.retry_after_seconds.to_string()))
    }

    /// Changes the tags of a resource.
    pub(crate) fn patch_item(&mut self, key: &Key, body: &[u8]) -> Answered {
        let body: TagsBody = bodies::read(body)?;
        self.group_to_write(&key.group)?;
        let item = self.item(key).ok_or_else(|| not_found(key))?;
        if matches!(item.progress, Progress::Running { .. } | Progress::Deleting { .. }) {
            return Err(Refusal::new(409, "Conflict", "The request failed due to conflict with a concurrent request."));
        }
        if let Some(item) = self.items.get_mut(key) {
            item.tags = body.tags;
        }
        Ok(Answer::json(200, self.view(key)))
    }

    /// How far an operation is.
    pub(crate) fn operation(&mut self, id: &str) -> Answered {
        let now = self.now;
        let wait = Duration::from_secs(self.settings.retry_after_seconds);
        let operation = self.ask_after(id)?;
        let is_done = operation.0 <= now;
        let status = match operation.1 {
            _ if !is_done => "InProgress",
            Some(_) => "Failed",
            None => "Succeeded",
        };
        let mut body = json!({ "status": status });
        if let (true, Some(code)) = (is_done, operation.1) {
            body["error"] = json!({ "code": code, "message": format!("The operation failed: {code}.") });
        }
        let answer = Answer::json(200, body);
        Ok(if is_done { answer } else { answer.with("retry-after", wait.as_secs().to_string()) })
    }

    /// Whether an operation without a status of its own is done.
    pub(crate) fn operation_result(&mut self, id: &str) -> Answered {
        let now = self.now;
        let (until, _) = self.ask_after(id)?;
        if until <= now {
            return Ok(Answer::empty(200));
        }
        let url = format!(
            "{}/subscriptions/{}/operationresults/{id}?api-version=2024-11-01",
            self.base, self.settings.subscription
        );
        Ok(Answer::empty(202).with("location", url).with("retry-after", self.settings.retry_after_seconds.to_string()))
    }

    /// When an operation ends and how, unless it is asked after too early.
    fn ask_after(&mut self, id: &str) -> Result<(std::time::Instant, Option<&'static str>), Refusal> {
        let now = self.now;
        let wait = Duration::from_secs(self.settings.retry_after_seconds);
        let operation = self
            .operations
            .get_mut(id)
            .ok_or_else(|| Refusal::new(404, "NotFound", format!("There is no operation '{id}'.")))?;
        // Clocks are read on both sides: a little early is not early.
        if now + Duration::from_millis(50) < operation.ask_from {
            let mut refusal = Refusal::new(429, "TooManyRequests", "The operation was asked after before Retry-After.");
            refusal.retry_after = Some(wait.as_secs());
            return Err(refusal);
        }
        operation.ask_from = now + wait;
        Ok((operation.until, operation.failure))
    }
}
