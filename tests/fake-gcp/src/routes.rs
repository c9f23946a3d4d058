//! Which method of Compute Engine a request calls.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::answer::{Answer, Refusal};
use crate::operations::Scope;
use crate::shape::Shape;
use crate::shapes::NOTHING;
use crate::state::State;

/// The parameters that every method takes.
const SYSTEM_PARAMETERS: [&str; 4] = ["$alt", "$apiVersion", "alt", "prettyPrint"];
/// The parameters of lists.
const OF_LISTS: &[&str] = &["filter", "maxResults", "orderBy", "pageToken"];
/// The parameters of lists over all zones.
const OF_AGGREGATES: &[&str] =
    &["filter", "includeAllScopes", "maxResults", "orderBy", "pageToken", "returnPartialSuccess"];
/// The parameter of methods that change something.
const OF_CHANGES: &[&str] = &["requestId"];
/// The most items that may be asked for at once.
const MOST_ITEMS: usize = 500;

/// A request, read as far as every method needs it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// What follows `/compute/v1/projects/`.
    pub(crate) path: Vec<String>,
    pub(crate) query: BTreeMap<String, String>,
    /// Absent where nothing was sent.
    pub(crate) body: Option<Value>,
}

impl Request {
    /// Reads a request's line and body; `None` where the path is not Compute Engine's.
    pub(crate) fn read(method: &str, path: &str, query: &str, body: Option<Value>) -> Option<Self> {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let path = path.strip_prefix("/compute/v1/projects/")?;
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v)));
        Some(Self {
            method: method.to_owned(),
            path: path.split('/').map(decode).collect(),
            query: query.collect(),
            body,
        })
    }

    /// A request that came from no client.
    pub(crate) fn of_test(body: Value) -> Self {
        Self { method: "POST".to_owned(), path: Vec::new(), query: BTreeMap::new(), body: Some(body) }
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The id by which a repetition of it is known.
    pub(crate) fn id(&self) -> Option<&str> {
        self.query("requestId")
    }

    /// The body, where it has the right shape.
    pub(crate) fn body(&self, shape: &'static Shape) -> Result<Map<String, Value>, Refusal> {
        let body = self
            .body
            .as_ref()
            .ok_or_else(|| Refusal::new(400, "required", "Required field 'resource' not specified"))?;
        match shape.objection(body, "resource") {
            Some(objection) => Err(Refusal::invalid(objection)),
            None => Ok(body.as_object().cloned().unwrap_or_default()),
        }
    }

    pub(crate) fn page_size(&self, usual: usize) -> Result<usize, Refusal> {
        let Some(text) = self.query("maxResults") else { return Ok(usual) };
        let asked = text.parse::<usize>().ok().filter(|asked| (1..=MOST_ITEMS).contains(asked));
        asked.map(|asked| asked.min(usual)).ok_or_else(|| Refusal::invalid("Invalid value for field 'maxResults'"))
    }

    /// The method's name as the discovery document has it; empty where there is none.
    pub(crate) fn kind(&self) -> &'static str {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match (self.method.as_str(), path.get(1..).unwrap_or_default()) {
            ("GET", []) => "projects.get",
            ("GET", ["regions", _]) => "regions.get",
            ("GET", ["aggregated", "instances"]) => "instances.aggregatedList",
            ("GET", ["zones", _, "instances"]) => "instances.list",
            ("GET", ["zones", _, "instances", _]) => "instances.get",
            ("POST", ["zones", _, "instances", "bulkInsert"]) => "instances.bulkInsert",
            ("DELETE", ["zones", _, "instances", _]) => "instances.delete",
            ("POST", ["zones", _, "instances", _, "start"]) => "instances.start",
            ("POST", ["zones", _, "instances", _, "stop"]) => "instances.stop",
            ("POST", ["zones", _, "instances", _, "setLabels"]) => "instances.setLabels",
            ("POST", ["zones", _, "instances", _, "setScheduling"]) => "instances.setScheduling",
            ("POST", ["zones", _, "instances", _, "testIamPermissions"]) => "instances.testIamPermissions",
            ("GET", ["zones", _, "instances", _, "serialPort"]) => "instances.getSerialPortOutput",
            ("GET", ["global", "firewalls"]) => "firewalls.list",
            ("POST", ["global", "firewalls"]) => "firewalls.insert",
            ("GET", ["global", "firewalls", _]) => "firewalls.get",
            ("PATCH", ["global", "firewalls", _]) => "firewalls.patch",
            ("DELETE", ["global", "firewalls", _]) => "firewalls.delete",
            ("GET", ["global", "networks"]) => "networks.list",
            ("POST", ["global", "networks"]) => "networks.insert",
            ("GET", ["global", "networks", _]) => "networks.get",
            ("DELETE", ["global", "networks", _]) => "networks.delete",
            ("GET", ["regions", _, "subnetworks"]) => "subnetworks.list",
            ("POST", ["regions", _, "subnetworks"]) => "subnetworks.insert",
            ("GET", ["regions", _, "subnetworks", _]) => "subnetworks.get",
            ("DELETE", ["regions", _, "subnetworks", _]) => "subnetworks.delete",
            ("POST", ["regions", _, "subnetworks", _, "testIamPermissions"]) => "subnetworks.testIamPermissions",
            ("GET", ["zones", _, "operations", _]) => "zoneOperations.get",
            ("POST", ["zones", _, "operations", _, "wait"]) => "zoneOperations.wait",
            ("GET", ["regions", _, "operations", _]) => "regionOperations.get",
            ("POST", ["regions", _, "operations", _, "wait"]) => "regionOperations.wait",
            ("GET", ["global", "operations", _]) => "globalOperations.get",
            ("POST", ["global", "operations", _, "wait"]) => "globalOperations.wait",
            _ => "",
        }
    }

    /// The operation that a request asks for.
    pub(crate) fn operation(&self) -> Option<(Scope, &str)> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let name = self.path.iter().skip_while(|part| *part != "operations").nth(1)?;
        match path.get(1..)? {
            ["zones", zone, "operations", ..] => Some((Scope::Zone((*zone).to_owned()), name)),
            ["regions", region, "operations", ..] => Some((Scope::Region((*region).to_owned()), name)),
            ["global", "operations", ..] => Some((Scope::Global, name)),
            _ => None,
        }
    }

    fn check_query(&self, kind: &str) -> Result<(), Refusal> {
        let (_, method) = kind.split_once('.').unwrap_or_default();
        let allowed: &[&str] = match method {
            "aggregatedList" => OF_AGGREGATES,
            "getSerialPortOutput" => &["port", "start"],
            "delete" | "stop" if kind.starts_with("instances.") => &["noGracefulShutdown", "requestId"],
            "list" => OF_LISTS,
            "get" | "wait" | "testIamPermissions" => &[],
            _ => OF_CHANGES,
        };
        let known = |name: &String| allowed.contains(&name.as_str()) || SYSTEM_PARAMETERS.contains(&name.as_str());
        if let Some(name) = self.query.keys().find(|name| !known(name)) {
            return Err(Refusal::invalid(format!(
                "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter."
            )));
        }
        match self.id() {
            Some(id) if !is_request_id(id) => {
                Err(Refusal::invalid(format!("Invalid value for field 'requestId': '{id}'")))
            }
            _ => Ok(()),
        }
    }
}

impl State {
    /// Performs a request. Waiting for an operation is the server's part.
    pub(crate) fn perform(&mut self, request: &Request) -> Answer {
        let kind = request.kind();
        let project = request.path.first().map(String::as_str).unwrap_or_default();
        if project != self.settings.project {
            return Err(Refusal::not_found(&format!("projects/{project}")));
        }
        if kind.is_empty() {
            return Err(Refusal::new(404, "notFound", "There is no such method."));
        }
        request.check_query(kind)?;
        let takes_body = request.method == "PATCH"
            || matches!(
                kind.rsplit('.').next(),
                Some("insert" | "bulkInsert" | "setLabels" | "setScheduling" | "testIamPermissions")
            );
        if !takes_body && request.body.is_some() {
            request.body(&NOTHING)?;
        }
        let part = |index: usize| request.path.get(index).map(String::as_str).unwrap_or_default();
        let (place, name) = (part(2), part(4));
        match kind {
            "projects.get" => Ok(self.get_project()),
            "regions.get" => self.get_region(place),
            "instances.aggregatedList" => self.aggregated_instances(request),
            "instances.list" => self.list_instances(place, request),
            "instances.get" => self.get_instance(place, name),
            "instances.bulkInsert" => self.bulk_insert(place, request),
            "instances.delete" => self.delete_instance(place, name, request),
            "instances.start" => self.start_instance(place, name, request),
            "instances.stop" => self.stop_instance(place, name, request),
            "instances.setLabels" => self.set_labels(place, name, request),
            "instances.setScheduling" => self.set_scheduling(place, name, request),
            "instances.testIamPermissions" => self.test_permissions(place, name, request),
            "instances.getSerialPortOutput" => self.serial_port(place, name),
            "firewalls.list" => self.list_firewalls(request),
            "firewalls.insert" => self.insert_firewall(request),
            "firewalls.get" => self.get_firewall(part(3)),
            "firewalls.patch" => self.patch_firewall(part(3), request),
            "firewalls.delete" => self.delete_firewall(part(3), request),
            "networks.list" => self.list_networks(request),
            "networks.insert" => self.insert_network(request),
            "networks.get" => self.get_network(part(3)),
            "networks.delete" => self.delete_network(part(3), request),
            "subnetworks.list" => self.list_subnetworks(place, request),
            "subnetworks.insert" => self.insert_subnetwork(place, request),
            "subnetworks.get" => self.get_subnetwork(place, name),
            "subnetworks.delete" => self.delete_subnetwork(place, name, request),
            "subnetworks.testIamPermissions" => self.test_subnetwork_permissions(place, name, request),
            _ => match request.operation() {
                Some((scope, name)) => self.operation(&scope, name),
                None => Err(Refusal::new(404, "notFound", "There is no such method.")),
            },
        }
    }
}

/// Whether a text may name a resource or be a tag.
pub(crate) fn is_name(text: &str) -> bool {
    let is_inner = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(is_inner)
}

/// A UUID that is not zero.
fn is_request_id(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').map(str::len).collect();
    let is_hexadecimal = text.chars().all(|character| character.is_ascii_hexdigit() || character == '-');
    groups == [8, 4, 4, 4, 12] && is_hexadecimal && text.chars().any(|character| character != '0' && character != '-')
}

/// The name at the end of a link: `global/networks/x`, with or without what stands before.
pub(crate) fn tail(link: &str, collection: &str) -> Result<String, Refusal> {
    let wrong = || Refusal::invalid(format!("Invalid value: '{link}'. The URL is malformed."));
    let (_, name) = link.rsplit_once(collection).ok_or_else(wrong)?;
    if is_name(name) { Ok(name.to_owned()) } else { Err(wrong()) }
}
