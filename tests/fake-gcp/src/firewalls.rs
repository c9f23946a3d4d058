//! Firewall rules.

use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal};
use crate::clock::shown;
use crate::listing::{Filter, list};
use crate::operations::{Effect, Scope};
use crate::routes::{Request, is_name, tail};
use crate::shapes::FIREWALL;
use crate::state::{Firewall, State};

/// The protocols that have a name.
const PROTOCOLS: [&str; 8] = ["ah", "all", "esp", "icmp", "ipip", "sctp", "tcp", "udp"];
/// Those that have ports.
const WITH_PORTS: [&str; 3] = ["sctp", "tcp", "udp"];

impl State {
    pub(crate) fn insert_firewall(&mut self, request: &Request) -> Answer {
        let body = request.body(&FIREWALL)?;
        if let Some(operation) = self.replayed(request.id()) {
            return Ok(operation);
        }
        let name = body.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !is_name(&name) {
            return Err(Refusal::invalid(format!("Invalid value for field 'resource.name': '{name}'")));
        }
        if self.firewalls.contains_key(&name) {
            return Err(Refusal::exists(&self.named(&format!("global/firewalls/{name}"))));
        }
        let network =
            tail(body.get("network").and_then(Value::as_str).unwrap_or("global/networks/default"), "networks/")?;
        let named = self.named(&format!("global/networks/{network}"));
        let found = self.networks.get(&network).ok_or_else(|| Refusal::not_found(&named))?;
        if found.busy.is_some() {
            return Err(Refusal::not_ready(&named));
        }
        check(&body)?;
        let firewall = Firewall { id: self.id(), created: self.clock.now(), body, network, busy: None };
        self.firewalls.insert(name.clone(), firewall);
        Ok(self.on_firewall("insert", &name, Effect::InsertFirewall(name.clone()), request))
    }

    /// Makes a rule without waiting for its operation.
    pub(crate) fn insert_firewall_at_once(&mut self, body: &Value) {
        let request = Request::of_test(body.clone());
        let usual = std::mem::take(&mut self.settings.operation);
        self.insert_firewall(&request).expect("a test asks for a rule that may be made");
        self.settings.operation = usual;
        self.catch_up();
    }

    pub(crate) fn patch_firewall(&mut self, name: &str, request: &Request) -> Answer {
        let body = request.body(&FIREWALL)?;
        let firewall = self.ready_firewall(name)?;
        if body.get("name").is_some_and(|given| given != name) {
            return Err(Refusal::invalid("The name of a firewall cannot be changed."));
        }
        if let Some(network) = body.get("network").and_then(Value::as_str)
            && tail(network, "networks/")? != firewall.network
        {
            return Err(Refusal::invalid("The network of a firewall cannot be changed."));
        }
        let mut whole = firewall.body.clone();
        whole.extend(body.clone());
        check(&whole)?;
        Ok(self.on_firewall("patch", name, Effect::PatchFirewall(name.to_owned(), body), request))
    }

    pub(crate) fn delete_firewall(&mut self, name: &str, request: &Request) -> Answer {
        self.ready_firewall(name)?;
        Ok(self.on_firewall("delete", name, Effect::DeleteFirewall(name.to_owned()), request))
    }

    pub(crate) fn get_firewall(&self, name: &str) -> Answer {
        let firewall = self.firewalls.get(name);
        firewall
            .map(|firewall| self.show_firewall(firewall))
            .ok_or_else(|| Refusal::not_found(&self.named(&format!("global/firewalls/{name}"))))
    }

    pub(crate) fn list_firewalls(&self, request: &Request) -> Answer {
        let filter = Filter::read(request.query("filter"))?;
        let items = self.firewalls.values().map(|firewall| self.show_firewall(firewall));
        let items = items.filter(|item| filter.accepts(item)).collect();
        list("compute#firewallList", items, request.query("pageToken"), request.page_size(self.settings.page)?)
    }

    fn ready_firewall(&self, name: &str) -> Result<&Firewall, Refusal> {
        let named = self.named(&format!("global/firewalls/{name}"));
        let firewall = self.firewalls.get(name).ok_or_else(|| Refusal::not_found(&named))?;
        if firewall.busy.is_some() { Err(Refusal::not_ready(&named)) } else { Ok(firewall) }
    }

    fn on_firewall(&mut self, kind: &'static str, name: &str, effect: Effect, request: &Request) -> Value {
        self.start_operation(kind, Scope::Global, &format!("global/firewalls/{name}"), effect, request.id())
    }

    fn show_firewall(&self, firewall: &Firewall) -> Value {
        let mut shown_rule = Value::Object(firewall.body.clone());
        let name = firewall.body["name"].as_str().unwrap_or_default();
        shown_rule["kind"] = json!("compute#firewall");
        shown_rule["id"] = json!(firewall.id.to_string());
        shown_rule["creationTimestamp"] = json!(shown(firewall.created));
        shown_rule["network"] = json!(self.link(&format!("global/networks/{}", firewall.network)));
        shown_rule["selfLink"] = json!(self.link(&format!("global/firewalls/{name}")));
        if shown_rule.get("direction").is_none() {
            shown_rule["direction"] = json!("INGRESS");
        }
        if shown_rule.get("priority").is_none() {
            shown_rule["priority"] = json!(1000);
        }
        shown_rule
    }
}

/// Checks a rule as a whole.
fn check(body: &Map<String, Value>) -> Result<(), Refusal> {
    let list = |field: &str| body.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let (allowed, denied) = (list("allowed"), list("denied"));
    if allowed.is_empty() == denied.is_empty() {
        return Err(Refusal::invalid("Exactly one of allowed and denied must be specified."));
    }
    for rule in allowed.iter().chain(&denied) {
        let protocol = rule["IPProtocol"].as_str().unwrap_or_default();
        let ports = rule["ports"].as_array().cloned().unwrap_or_default();
        if !PROTOCOLS.contains(&protocol) && protocol.parse::<u8>().is_err() {
            return Err(Refusal::invalid(format!(
                "Invalid value for field 'resource.allowed.IPProtocol': '{protocol}'"
            )));
        }
        if !ports.is_empty() && !WITH_PORTS.contains(&protocol) {
            return Err(Refusal::invalid(format!("Ports may not be specified for protocol '{protocol}'")));
        }
        if let Some(port) = ports.iter().filter_map(Value::as_str).find(|port| !is_port(port)) {
            return Err(Refusal::invalid(format!("Invalid value for field 'resource.allowed.ports': '{port}'")));
        }
    }
    let is_egress = body.get("direction").is_some_and(|direction| direction == "EGRESS");
    if is_egress && !(list("sourceTags").is_empty() && list("sourceRanges").is_empty()) {
        return Err(Refusal::invalid("Sources cannot be specified for EGRESS."));
    }
    if let Some(range) = list("sourceRanges").iter().filter_map(Value::as_str).find(|range| !is_range(range)) {
        return Err(Refusal::invalid(format!("Invalid value for field 'resource.sourceRanges': '{range}'")));
    }
    let tags = list("sourceTags").into_iter().chain(list("targetTags"));
    if let Some(tag) = tags.filter_map(|tag| tag.as_str().map(ToOwned::to_owned)).find(|tag| !is_name(tag)) {
        return Err(Refusal::invalid(format!("Invalid value for field 'resource.targetTags': '{tag}'")));
    }
    let priority = body.get("priority").and_then(Value::as_i64).unwrap_or(1000);
    if !(0..=65_535).contains(&priority) {
        return Err(Refusal::invalid("Invalid value for field 'resource.priority'"));
    }
    Ok(())
}

fn is_port(text: &str) -> bool {
    let number = |text: &str| text.parse::<u16>().ok();
    match text.split_once('-') {
        None => number(text).is_some(),
        Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
    }
}

/// A prefix without bits beyond its length.
fn is_range(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return text.parse::<std::net::IpAddr>().is_ok() };
    let Ok(length) = length.parse::<u32>() else { return false };
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => {
            length <= 32 && u32::from(address).checked_shl(length).unwrap_or_default() == 0
        }
        Ok(std::net::IpAddr::V6(address)) => {
            length <= 128 && u128::from(address).checked_shl(length).unwrap_or_default() == 0
        }
        Err(_) => false,
    }
}
