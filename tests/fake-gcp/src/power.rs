//! Starting and stopping instances, and ending those whose time is up.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal};
use crate::clock::{Moment, read, shown};
use crate::operations::{Effect, Scope};
use crate::routes::Request;
use crate::shapes::{SCHEDULING, SET_LABELS};
use crate::state::{Instance, Power, State};

/// The shortest and the longest run time that can be asked for.
const RUN_TIMES: std::ops::RangeInclusive<u64> = 30..=10_368_000;

impl Instance {
    /// The status as Compute Engine shows it.
    pub(crate) fn status(&self, now: Moment, boot: Duration) -> &'static str {
        match self.power {
            Power::Announced => "PENDING",
            Power::Up(since) if now < since + boot / 2 => "PROVISIONING",
            Power::Up(since) if now < since + boot => "STAGING",
            Power::Up(_) => "RUNNING",
            Power::Stopping | Power::Deleting => "STOPPING",
            Power::Off => "TERMINATED",
        }
    }

    /// When Compute Engine ends it, while it is up.
    pub(crate) fn ends(&self) -> Option<Moment> {
        let Power::Up(since) = self.power else { return None };
        if let Some(time) = self.scheduling.get("terminationTime").and_then(Value::as_str) {
            return read(time);
        }
        let seconds = self.scheduling.get("maxRunDuration")?["seconds"].as_str()?.parse().ok()?;
        Some(since + Duration::from_secs(seconds))
    }
}

/// What is wrong with the limits of a run time.
pub(crate) fn check_scheduling(scheduling: &Map<String, Value>, now: Moment) -> Result<(), Refusal> {
    let duration = scheduling.get("maxRunDuration");
    let time = scheduling.get("terminationTime").and_then(Value::as_str);
    if duration.is_some() && time.is_some() {
        return Err(Refusal::invalid("maxRunDuration and terminationTime cannot both be set."));
    }
    if let Some(duration) = duration {
        let seconds = duration["seconds"].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        if !RUN_TIMES.contains(&seconds) {
            return Err(Refusal::invalid("Max run duration must be between 30 seconds and 120 days."));
        }
    }
    if let Some(time) = time
        && read(time).is_none_or(|time| time < now + Duration::from_secs(30))
    {
        return Err(Refusal::invalid("Termination time must be at least 30 seconds in the future."));
    }
    let is_spot = scheduling.get("provisioningModel").and_then(Value::as_str) == Some("SPOT");
    let is_limited = duration.is_some() || time.is_some();
    if scheduling.contains_key("instanceTerminationAction") && !is_spot && !is_limited {
        return Err(Refusal::invalid(
            "You cannot specify a termination action for a VM instance that has the standard provisioning model \
             and no limited run time.",
        ));
    }
    if (is_spot || is_limited) && scheduling.get("automaticRestart") != Some(&json!(false)) {
        return Err(Refusal::invalid("Scheduling must have automaticRestart be false."));
    }
    if is_spot && scheduling.get("onHostMaintenance") == Some(&json!("MIGRATE")) {
        return Err(Refusal::invalid("Spot instances must have onHostMaintenance be TERMINATE."));
    }
    Ok(())
}

impl State {
    /// Ends the instances whose time is up.
    pub(crate) fn expire(&mut self, now: Moment) {
        let is_over = |instance: &Instance| instance.ends().is_some_and(|end| end <= now);
        let deletes =
            |instance: &Instance| instance.scheduling.get("instanceTerminationAction") == Some(&json!("DELETE"));
        self.instances.retain(|_, instance| !(is_over(instance) && deletes(instance)));
        for instance in self.instances.values_mut().filter(|instance| is_over(instance)) {
            instance.power = Power::Off;
            instance.public = None;
        }
    }

    /// An instance on which nothing is at work.
    fn ready(&self, zone: &str, name: &str) -> Result<&Instance, Refusal> {
        let named = self.named(&format!("zones/{zone}/instances/{name}"));
        let instance = self.instances.get(&(zone.to_owned(), name.to_owned()));
        let instance = instance.filter(|instance| instance.power != Power::Announced);
        let instance = instance.ok_or_else(|| Refusal::not_found(&named))?;
        if instance.busy.is_some() { Err(Refusal::not_ready(&named)) } else { Ok(instance) }
    }

    pub(crate) fn delete_instance(&mut self, zone: &str, name: &str, request: &Request) -> Answer {
        self.ready(zone, name)?;
        let effect = Effect::DeleteInstance(zone.to_owned(), name.to_owned());
        Ok(self.on_instance("delete", zone, name, effect, request))
    }

    pub(crate) fn stop_instance(&mut self, zone: &str, name: &str, request: &Request) -> Answer {
        self.ready(zone, name)?;
        let effect = Effect::StopInstance(zone.to_owned(), name.to_owned());
        Ok(self.on_instance("stop", zone, name, effect, request))
    }

    pub(crate) fn start_instance(&mut self, zone: &str, name: &str, request: &Request) -> Answer {
        self.ready(zone, name)?;
        let effect = Effect::StartInstance(zone.to_owned(), name.to_owned());
        Ok(self.on_instance("start", zone, name, effect, request))
    }

    pub(crate) fn set_labels(&mut self, zone: &str, name: &str, request: &Request) -> Answer {
        let body = request.body(&SET_LABELS)?;
        let instance = self.ready(zone, name)?;
        if body.get("labelFingerprint").and_then(Value::as_str) != Some(&instance.fingerprint()) {
            return Err(Refusal::new(
                412,
                "conditionNotMet",
                "Labels fingerprint either invalid or resource labels have changed",
            ));
        }
        let labels = labels(body.get("labels"))?;
        let effect = Effect::SetLabels(zone.to_owned(), name.to_owned(), labels);
        Ok(self.on_instance("setLabels", zone, name, effect, request))
    }

    pub(crate) fn set_scheduling(&mut self, zone: &str, name: &str, request: &Request) -> Answer {
        let body = request.body(&SCHEDULING)?;
        check_scheduling(&body, self.clock.now())?;
        if self.ready(zone, name)?.power != Power::Off {
            return Err(Refusal::invalid("Instance must be in TERMINATED state to set its scheduling."));
        }
        let effect = Effect::SetScheduling(zone.to_owned(), name.to_owned(), body);
        Ok(self.on_instance("setScheduling", zone, name, effect, request))
    }

    pub(crate) fn serial_port(&self, zone: &str, name: &str) -> Answer {
        let now = self.clock.now();
        let named = self.named(&format!("zones/{zone}/instances/{name}"));
        let instance = self.instances.get(&(zone.to_owned(), name.to_owned()));
        let instance = instance.ok_or_else(|| Refusal::not_found(&named))?;
        let line = format!("[{}] {name} is {}\n", shown(now), instance.status(now, self.settings.boot));
        Ok(
            json!({ "kind": "compute#serialPortOutput", "contents": line, "start": "0", "next": line.len().to_string() }),
        )
    }

    fn on_instance(&mut self, kind: &'static str, zone: &str, name: &str, effect: Effect, request: &Request) -> Value {
        let target = format!("zones/{zone}/instances/{name}");
        self.start_operation(kind, Scope::Zone(zone.to_owned()), &target, effect, request.id())
    }
}

/// Labels that may be put on a resource.
pub(crate) fn labels(labels: Option<&Value>) -> Result<BTreeMap<String, String>, Refusal> {
    let fields = labels.and_then(Value::as_object).cloned().unwrap_or_default();
    let is_inner = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-' || character == '_'
    };
    let mut read = BTreeMap::new();
    for (key, value) in fields {
        let value = value.as_str().unwrap_or_default();
        let is_key =
            key.len() <= 63 && key.starts_with(|first: char| first.is_ascii_lowercase()) && key.chars().all(is_inner);
        if !is_key || value.len() > 63 || !value.chars().all(is_inner) {
            return Err(Refusal::invalid(format!("Invalid value for field 'labels': label '{key}' = '{value}'")));
        }
        read.insert(key, value.to_owned());
    }
    if read.len() > 64 { Err(Refusal::invalid("A resource can have at most 64 labels")) } else { Ok(read) }
}
