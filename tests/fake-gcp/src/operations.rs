//! Operations: they wait, run and end by the clock, and change what exists when they begin and end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};
use crate::clock::{Moment, shown};
use crate::state::{Power, State};

/// Where an operation happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    Global,
    Region(String),
    Zone(String),
}

impl Scope {
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Global => "global".to_owned(),
            Self::Region(region) => format!("regions/{region}"),
            Self::Zone(zone) => format!("zones/{zone}"),
        }
    }
}

/// An error inside an operation.
#[derive(Debug, Clone)]
pub(crate) struct OperationError {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// What an operation changes.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    InsertNetwork(String),
    DeleteNetwork(String),
    InsertSubnetwork(String, String),
    DeleteSubnetwork(String, String),
    InsertFirewall(String),
    PatchFirewall(String, serde_json::Map<String, Value>),
    DeleteFirewall(String),
    InsertInstances(String, Vec<String>),
    DeleteInstance(String, String),
    StopInstance(String, String),
    StartInstance(String, String),
    SetLabels(String, String, std::collections::BTreeMap<String, String>),
    SetScheduling(String, String, serde_json::Map<String, Value>),
}

/// An operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) id: u64,
    pub(crate) kind: &'static str,
    pub(crate) scope: Scope,
    pub(crate) target: String,
    pub(crate) inserted: Moment,
    pub(crate) begins: Moment,
    pub(crate) ends: Moment,
    pub(crate) has_begun: bool,
    pub(crate) is_done: bool,
    pub(crate) error: Option<OperationError>,
    pub(crate) effect: Effect,
}

impl State {
    /// Starts an operation on something of the project and shows it.
    pub(crate) fn start_operation(
        &mut self,
        kind: &'static str,
        scope: Scope,
        target: &str,
        effect: Effect,
        request_id: Option<&str>,
    ) -> Value {
        let id = self.id();
        let inserted = self.clock.now();
        let took = self.settings.operation;
        let name = format!("operation-{id}");
        let operation = Operation {
            id,
            kind,
            scope,
            target: self.link(target),
            inserted,
            begins: inserted + took / 4,
            ends: inserted + took,
            has_begun: false,
            is_done: false,
            error: self.doom.take(),
            effect,
        };
        self.mark_busy(&operation.effect, Some(&name));
        let shown = self.show_operation(&name, &operation);
        self.operations.insert(name.clone(), operation);
        if let Some(request_id) = request_id {
            self.by_request.insert(request_id.to_owned(), name);
        }
        shown
    }

    /// The operation that an earlier request with the same id started.
    pub(crate) fn replayed(&self, request_id: Option<&str>) -> Option<Value> {
        let name = self.by_request.get(request_id?)?;
        Some(self.show_operation(name, self.operations.get(name)?))
    }

    /// An operation of a scope.
    pub(crate) fn operation(&self, scope: &Scope, name: &str) -> Answer {
        match self.operations.get(name) {
            Some(operation) if operation.scope == *scope => Ok(self.show_operation(name, operation)),
            _ => Err(Refusal::not_found(&self.named(&format!("{}/operations/{name}", scope.path())))),
        }
    }

    /// Whether an operation that exists is still to end.
    pub(crate) fn is_pending(&self, name: &str) -> bool {
        self.operations.get(name).is_some_and(|operation| !operation.is_done)
    }

    fn show_operation(&self, name: &str, operation: &Operation) -> Value {
        let status = match (operation.is_done, operation.has_begun) {
            (true, _) => "DONE",
            (false, true) => "RUNNING",
            (false, false) => "PENDING",
        };
        let scope = operation.scope.path();
        let mut shown = json!({
            "kind": "compute#operation",
            "id": operation.id.to_string(),
            "name": name,
            "operationType": operation.kind,
            "targetLink": operation.target,
            "status": status,
            "user": "somebody@example.com",
            "progress": if operation.is_done { 100 } else { 0 },
            "insertTime": shown(operation.inserted),
            "selfLink": self.link(&format!("{scope}/operations/{name}")),
        });
        match &operation.scope {
            Scope::Zone(_) => shown["zone"] = json!(self.link(&scope)),
            Scope::Region(_) => shown["region"] = json!(self.link(&scope)),
            Scope::Global => {}
        }
        if operation.has_begun {
            shown["startTime"] = json!(crate::clock::shown(operation.begins));
        }
        if operation.is_done {
            shown["endTime"] = json!(crate::clock::shown(operation.ends));
            if let Some(error) = &operation.error {
                shown["error"] = json!({ "errors": [{ "code": error.code, "message": error.message }] });
                shown["httpErrorStatusCode"] = json!(400);
                shown["httpErrorMessage"] = json!("BAD REQUEST");
            }
        }
        shown
    }

    /// Lets everything happen that the clock has reached, in its order.
    pub(crate) fn catch_up(&mut self) {
        let now = self.clock.now();
        loop {
            let due =
                self.operations.iter().filter(|(_, operation)| !operation.is_done).filter_map(|(name, operation)| {
                    let next = if operation.has_begun { operation.ends } else { operation.begins };
                    (next <= now).then(|| (next, name.clone()))
                });
            let Some((_, name)) = due.min() else { break };
            let Some(mut operation) = self.operations.get(&name).cloned() else { break };
            if operation.has_begun {
                operation.is_done = true;
                if operation.error.is_none() {
                    self.finish(&operation);
                } else {
                    self.take_back(&operation.effect);
                }
                self.mark_busy(&operation.effect, None);
            } else {
                operation.has_begun = true;
                self.begin(&operation);
            }
            self.operations.insert(name, operation);
        }
        self.expire(now);
    }

    /// How long until something happens that is not due yet, as far as operations tell.
    pub(crate) fn until_done(&self, name: &str) -> Duration {
        let now = self.clock.now();
        self.operations.get(name).map_or(Duration::ZERO, |operation| operation.ends.saturating_sub(now))
    }

    fn begin(&mut self, operation: &Operation) {
        match &operation.effect {
            Effect::InsertInstances(zone, names) => {
                for name in names {
                    let public = self.public_address();
                    if let Some(instance) = self.instances.get_mut(&(zone.clone(), name.clone())) {
                        instance.power = Power::Up(operation.begins);
                        instance.public = instance.wants_public.then_some(public);
                    }
                }
            }
            Effect::DeleteInstance(zone, name) => self.set_power(zone, name, Power::Deleting),
            Effect::StopInstance(zone, name) => self.set_power(zone, name, Power::Stopping),
            Effect::StartInstance(zone, name) => {
                let public = self.public_address();
                if let Some(instance) = self.instances.get_mut(&(zone.clone(), name.clone()))
                    && instance.power == Power::Off
                {
                    instance.power = Power::Up(operation.begins);
                    instance.public = instance.wants_public.then_some(public);
                }
            }
            Effect::InsertNetwork(_)
            | Effect::DeleteNetwork(_)
            | Effect::InsertSubnetwork(..)
            | Effect::DeleteSubnetwork(..)
            | Effect::InsertFirewall(_)
            | Effect::PatchFirewall(..)
            | Effect::DeleteFirewall(_)
            | Effect::SetLabels(..)
            | Effect::SetScheduling(..) => {}
        }
    }

    fn finish(&mut self, operation: &Operation) {
        match operation.effect.clone() {
            Effect::DeleteNetwork(name) => drop(self.networks.remove(&name)),
            Effect::DeleteSubnetwork(region, name) => drop(self.subnetworks.remove(&(region, name))),
            Effect::DeleteFirewall(name) => drop(self.firewalls.remove(&name)),
            Effect::PatchFirewall(name, body) => {
                if let Some(firewall) = self.firewalls.get_mut(&name) {
                    firewall.body.extend(body);
                }
            }
            Effect::DeleteInstance(zone, name) => drop(self.instances.remove(&(zone, name))),
            Effect::StopInstance(zone, name) => {
                if let Some(instance) = self.instances.get_mut(&(zone, name)) {
                    instance.power = Power::Off;
                    instance.public = None;
                }
            }
            Effect::SetLabels(zone, name, labels) => {
                if let Some(instance) = self.instances.get_mut(&(zone, name)) {
                    instance.labels = labels;
                    instance.labels_version += 1;
                }
            }
            Effect::SetScheduling(zone, name, scheduling) => {
                if let Some(instance) = self.instances.get_mut(&(zone, name)) {
                    instance.scheduling = scheduling;
                }
            }
            Effect::InsertNetwork(_)
            | Effect::InsertSubnetwork(..)
            | Effect::InsertFirewall(_)
            | Effect::InsertInstances(..)
            | Effect::StartInstance(..) => {}
        }
    }

    /// Takes back what a failed operation made.
    fn take_back(&mut self, effect: &Effect) {
        match effect.clone() {
            Effect::InsertNetwork(name) => drop(self.networks.remove(&name)),
            Effect::InsertSubnetwork(region, name) => drop(self.subnetworks.remove(&(region, name))),
            Effect::InsertFirewall(name) => drop(self.firewalls.remove(&name)),
            Effect::InsertInstances(zone, names) => {
                for name in names {
                    self.instances.remove(&(zone.clone(), name));
                }
            }
            Effect::DeleteInstance(zone, name) | Effect::StopInstance(zone, name) => {
                let now = self.clock.now();
                self.set_power(&zone, &name, Power::Up(now));
            }
            Effect::DeleteNetwork(_)
            | Effect::DeleteSubnetwork(..)
            | Effect::PatchFirewall(..)
            | Effect::DeleteFirewall(_)
            | Effect::StartInstance(..)
            | Effect::SetLabels(..)
            | Effect::SetScheduling(..) => {}
        }
    }

    fn set_power(&mut self, zone: &str, name: &str, power: Power) {
        if let Some(instance) = self.instances.get_mut(&(zone.to_owned(), name.to_owned())) {
            instance.power = power;
        }
    }

    /// Notes on what an operation changes that it is at work there, or no more.
    fn mark_busy(&mut self, effect: &Effect, operation: Option<&str>) {
        let busy = operation.map(ToOwned::to_owned);
        match effect {
            Effect::InsertNetwork(name) | Effect::DeleteNetwork(name) => {
                self.networks.entry(name.clone()).and_modify(|network| network.busy = busy);
            }
            Effect::InsertSubnetwork(region, name) | Effect::DeleteSubnetwork(region, name) => {
                self.subnetworks.entry((region.clone(), name.clone())).and_modify(|subnetwork| subnetwork.busy = busy);
            }
            Effect::InsertFirewall(name) | Effect::PatchFirewall(name, _) | Effect::DeleteFirewall(name) => {
                self.firewalls.entry(name.clone()).and_modify(|firewall| firewall.busy = busy);
            }
            Effect::InsertInstances(zone, names) => {
                for name in names {
                    let instance = self.instances.entry((zone.clone(), name.clone()));
                    instance.and_modify(|instance| instance.busy.clone_from(&busy));
                }
            }
            Effect::DeleteInstance(zone, name)
            | Effect::StopInstance(zone, name)
            | Effect::StartInstance(zone, name)
            | Effect::SetLabels(zone, name, _)
            | Effect::SetScheduling(zone, name, _) => {
                let instance = self.instances.entry((zone.clone(), name.clone()));
                instance.and_modify(|instance| instance.busy = busy);
            }
        }
    }
}
