//! Making instances in bulk, and showing them.

use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal};
use crate::catalog::{self, Architecture};
use crate::clock::shown;
use crate::listing::{Filter, list, page};
use crate::metadata::shown_accounts;
use crate::operations::{Effect, Scope};
use crate::power::{check_scheduling, labels};
use crate::routes::{Request, is_name, tail};
use crate::shapes::BULK_INSERT;
use crate::state::{Instance, Power, State};

/// The longest value of metadata.
const LONGEST_METADATA: usize = 262_144;
/// The longest description.
const LONGEST_DESCRIPTION: usize = 2048;
/// How many instances one call makes at most.
const MOST_INSTANCES: usize = 1000;

/// What a network interface asks for.
struct Interface {
    network: String,
    subnetwork: String,
    wants_public: bool,
}

impl Instance {
    pub(crate) fn machine_type(&self) -> &str {
        self.properties.get("machineType").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        let items = self.properties.get("metadata")?["items"].as_array()?;
        items.iter().find(|item| item["key"] == key)?["value"].as_str()
    }

    /// Changes with every change of the labels; base64, as the document says.
    pub(crate) fn fingerprint(&self) -> String {
        format!("bGFiZWxz{:04}", self.labels_version)
    }
}

impl State {
    pub(crate) fn bulk_insert(&mut self, zone: &str, request: &Request) -> Answer {
        let body = request.body(&BULK_INSERT)?;
        if let Some(operation) = self.replayed(request.id()) {
            return Ok(operation);
        }
        let region =
            catalog::region_of(zone).ok_or_else(|| Refusal::not_found(&self.named(&format!("zones/{zone}"))))?;
        let names = self.names(zone, &body)?;
        let properties = body.get("instanceProperties").and_then(Value::as_object).cloned();
        let properties = properties.ok_or_else(|| Refusal::invalid("instanceProperties must be set"))?;
        let cores = check_machine(&properties, zone)?;
        check_metadata(&properties)?;
        self.check_accounts(&properties)?;
        let labels = labels(properties.get("labels"))?;
        let scheduling = properties.get("scheduling").and_then(Value::as_object).cloned().unwrap_or_default();
        check_scheduling(&scheduling, self.clock.now())?;
        let interface = self.interface(&properties, region)?;
        self.check_quota(region, cores * u32::try_from(names.len()).unwrap_or(u32::MAX))?;
        for name in &names {
            let instance = Instance {
                id: self.id(),
                zone: zone.to_owned(),
                created: self.clock.now(),
                power: Power::Announced,
                busy: None,
                properties: properties.clone(),
                labels: labels.clone(),
                labels_version: 1,
                scheduling: scheduling.clone(),
                network: interface.network.clone(),
                subnetwork: interface.subnetwork.clone(),
                private: self.free_address(region, &interface.subnetwork)?,
                public: None,
                wants_public: interface.wants_public,
                cores,
            };
            self.instances.insert((zone.to_owned(), name.clone()), instance);
        }
        let effect = Effect::InsertInstances(zone.to_owned(), names);
        Ok(self.start_operation(
            "bulkInsert",
            Scope::Zone(zone.to_owned()),
            &format!("zones/{zone}"),
            effect,
            request.id(),
        ))
    }

    /// Makes instances without waiting.
    pub(crate) fn insert_at_once(&mut self, zone: &str, body: &Value) {
        let request = Request::of_test(body.clone());
        let usual = std::mem::take(&mut self.settings.operation);
        self.bulk_insert(zone, &request).expect("a test asks for instances that may be made");
        self.settings.operation = usual;
        self.catch_up();
    }

    /// The names that are asked for, none of which exists.
    fn names(&self, zone: &str, body: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
        let number = |field: &str| body.get(field).and_then(Value::as_str).and_then(|text| text.parse::<usize>().ok());
        let count = number("count").filter(|count| (1..=MOST_INSTANCES).contains(count));
        let count = count.ok_or_else(|| Refusal::invalid("count must be from 1 to 1000"))?;
        let least = number("minCount").unwrap_or(count);
        let named = body.get("perInstanceProperties").and_then(Value::as_object).cloned().unwrap_or_default();
        if body.contains_key("namePattern") != named.is_empty() {
            return Err(Refusal::invalid("Either namePattern or perInstanceProperties must be set."));
        }
        if body.contains_key("namePattern") {
            return Err(Refusal::new(501, "notImplemented", "This fake makes no names up."));
        }
        if named.len() != count || least > count {
            return Err(Refusal::invalid(
                "count must be the number of perInstanceProperties, and no less than minCount",
            ));
        }
        for name in named.keys() {
            if !is_name(name) {
                return Err(Refusal::invalid(format!("Invalid value for field 'resource.name': '{name}'")));
            }
            if self.instances.contains_key(&(zone.to_owned(), name.clone())) {
                return Err(Refusal::exists(&self.named(&format!("zones/{zone}/instances/{name}"))));
            }
        }
        Ok(named.keys().cloned().collect())
    }

    fn interface(&self, properties: &Map<String, Value>, region: &str) -> Result<Interface, Refusal> {
        let interfaces = properties.get("networkInterfaces").and_then(Value::as_array);
        let [interface] = interfaces.map(Vec::as_slice).unwrap_or_default() else {
            return Err(Refusal::invalid("Exactly one network interface is needed."));
        };
        let subnetwork = match interface["subnetwork"].as_str() {
            Some(link) => tail(link, "subnetworks/")?,
            None => self.subnetwork_of(&tail(
                interface["network"].as_str().unwrap_or("global/networks/default"),
                "networks/",
            )?)?,
        };
        let key = (region.to_owned(), subnetwork.clone());
        let named = self.named(&format!("regions/{region}/subnetworks/{subnetwork}"));
        let found = self.subnetworks.get(&key).ok_or_else(|| Refusal::not_found(&named))?;
        if found.busy.is_some() {
            return Err(Refusal::not_ready(&named));
        }
        if let Some(network) = interface["network"].as_str()
            && tail(network, "networks/")? != found.network
        {
            return Err(Refusal::invalid("The subnetwork does not belong to the network."));
        }
        let configs = interface["accessConfigs"].as_array().cloned().unwrap_or_default();
        let is_plain = |config: &Value| config["type"].as_str().unwrap_or("ONE_TO_ONE_NAT") == "ONE_TO_ONE_NAT";
        if configs.len() > 1 || !configs.iter().all(is_plain) {
            return Err(Refusal::invalid("At most one access config of type ONE_TO_ONE_NAT is supported."));
        }
        Ok(Interface { network: found.network.clone(), subnetwork, wants_public: !configs.is_empty() })
    }

    /// The subnetwork that a network in auto mode has in each region.
    fn subnetwork_of(&self, network: &str) -> Result<String, Refusal> {
        let named = self.named(&format!("global/networks/{network}"));
        let found = self.networks.get(network).ok_or_else(|| Refusal::not_found(&named))?;
        if found.busy.is_some() {
            return Err(Refusal::not_ready(&named));
        }
        if !found.is_auto {
            return Err(Refusal::invalid(
                "Network interface must specify a subnet if the network resource is in custom subnet mode.",
            ));
        }
        Ok(network.to_owned())
    }

    fn check_quota(&self, region: &str, cores: u32) -> Result<(), Refusal> {
        let limit = self.quota("CPUS");
        if self.used_cores(region) + cores > limit {
            let message = format!("Quota 'CPUS' exceeded.  Limit: {limit}.0 in region {region}.");
            return Err(Refusal::new(403, "quotaExceeded", message));
        }
        Ok(())
    }

    pub(crate) fn used_cores(&self, region: &str) -> u32 {
        let here = self.instances.values().filter(|instance| catalog::region_of(&instance.zone) == Some(region));
        here.filter(|instance| instance.power != Power::Off).map(|instance| instance.cores).sum()
    }

    pub(crate) fn show_instance(&self, name: &str, instance: &Instance) -> Value {
        let now = self.clock.now();
        let zone = &instance.zone;
        let region = catalog::region_of(zone).unwrap_or_default();
        let mut interface = json!({
            "kind": "compute#networkInterface",
            "name": "nic0",
            "network": self.link(&format!("global/networks/{}", instance.network)),
            "subnetwork": self.link(&format!("regions/{region}/subnetworks/{}", instance.subnetwork)),
            "networkIP": instance.private.to_string(),
            "stackType": "IPV4_ONLY",
        });
        if instance.wants_public {
            let mut config =
                json!({ "kind": "compute#accessConfig", "type": "ONE_TO_ONE_NAT", "name": "external-nat" });
            // The address outside comes a little later than the one inside.
            let is_staged = !matches!(instance.power, Power::Up(since) if now < since + self.settings.boot / 2);
            if let Some(public) = instance.public.filter(|_| is_staged) {
                config["natIP"] = json!(public.to_string());
            }
            interface["accessConfigs"] = json!([config]);
        }
        let mut shown_instance = json!({
            "kind": "compute#instance",
            "id": instance.id.to_string(),
            "name": name,
            "creationTimestamp": shown(instance.created),
            "status": instance.status(now, self.settings.boot),
            "zone": self.link(&format!("zones/{zone}")),
            "machineType": self.link(&format!("zones/{zone}/machineTypes/{}", instance.machine_type())),
            "selfLink": self.link(&format!("zones/{zone}/instances/{name}")),
            "description": instance.properties.get("description").cloned().unwrap_or_default(),
            "labels": instance.labels,
            "labelFingerprint": instance.fingerprint(),
            "tags": instance.properties.get("tags").cloned().unwrap_or_else(|| json!({})),
            "metadata": instance.properties.get("metadata").cloned().unwrap_or_else(|| json!({})),
            "scheduling": instance.scheduling,
            "serviceAccounts": shown_accounts(instance),
            "networkInterfaces": [interface],
            "disks": [{ "kind": "compute#attachedDisk", "boot": true, "autoDelete": true, "diskSizeGb": disk_size(instance) }],
        });
        if let Some(end) = instance.ends() {
            shown_instance["resourceStatus"] = json!({ "scheduling": { "terminationTimestamp": shown(end) } });
        }
        shown_instance
    }

    fn shown_instances(&self, zone: Option<&str>, request: &Request) -> Result<Vec<Value>, Refusal> {
        let filter = Filter::read(request.query("filter"))?;
        let visible = self.instances.iter().filter(|(_, instance)| instance.power != Power::Announced);
        let here = visible.filter(|((known, _), _)| zone.is_none_or(|zone| zone == known));
        let shown = here.map(|((_, name), instance)| self.show_instance(name, instance));
        Ok(shown.filter(|item| filter.accepts(item)).collect())
    }

    pub(crate) fn list_instances(&self, zone: &str, request: &Request) -> Answer {
        let items = self.shown_instances(Some(zone), request)?;
        list("compute#instanceList", items, request.query("pageToken"), request.page_size(self.settings.page)?)
    }

    pub(crate) fn aggregated_instances(&self, request: &Request) -> Answer {
        let items = self.shown_instances(None, request)?;
        let (items, next) = page(items, request.query("pageToken"), request.page_size(self.settings.page)?)?;
        let mut scopes = Map::new();
        for region in catalog::regions() {
            for zone in catalog::zones(region) {
                let link = self.link(&format!("zones/{zone}"));
                let here: Vec<_> = items.iter().filter(|item| item["zone"] == link.as_str()).cloned().collect();
                let scope = if here.is_empty() {
                    let message = format!("There are no results for scope 'zones/{zone}' on this page.");
                    json!({ "warning": { "code": "NO_RESULTS_ON_PAGE", "message": message } })
                } else {
                    json!({ "instances": here })
                };
                scopes.insert(format!("zones/{zone}"), scope);
            }
        }
        let mut answer = json!({ "kind": "compute#instanceAggregatedList", "id": "list", "items": scopes });
        if let Some(next) = next {
            answer["nextPageToken"] = json!(next);
        }
        Ok(answer)
    }

    pub(crate) fn get_instance(&self, zone: &str, name: &str) -> Answer {
        let instance = self.instances.get(&(zone.to_owned(), name.to_owned()));
        let instance = instance.filter(|instance| instance.power != Power::Announced);
        instance
            .map(|instance| self.show_instance(name, instance))
            .ok_or_else(|| Refusal::not_found(&self.named(&format!("zones/{zone}/instances/{name}"))))
    }
}

/// Checks machine type, disk and image; the cores of the type.
fn check_machine(properties: &Map<String, Value>, zone: &str) -> Result<u32, Refusal> {
    let name = properties.get("machineType").and_then(Value::as_str).unwrap_or_default();
    let wrong =
        || Refusal::invalid(format!("Invalid value for field 'resource.machineType': '{name}' in zone '{zone}'"));
    let (architecture, cores) = catalog::machine_type(name, zone).ok_or_else(wrong)?;
    let disks = properties.get("disks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let [disk] = disks else { return Err(Refusal::invalid("Exactly one disk is needed.")) };
    if disk["boot"] != true || !disk["initializeParams"].is_object() {
        return Err(Refusal::invalid("The first disk must be a boot disk with initializeParams."));
    }
    let parameters = &disk["initializeParams"];
    labels(parameters.get("labels"))?;
    let size = parameters["diskSizeGb"].as_str().map_or(Some(10), |text| text.parse::<u32>().ok()).unwrap_or_default();
    if size < 10 {
        return Err(Refusal::invalid("Requested disk size cannot be smaller than the image size (10 GB)"));
    }
    let disk_type = parameters["diskType"].as_str().unwrap_or("pd-standard");
    if !catalog::fits(disk_type, name) {
        return Err(Refusal::invalid(format!("[{name}] cannot be used with disk type '{disk_type}'")));
    }
    let source = parameters["sourceImage"].as_str().unwrap_or_default();
    let image = catalog::image(source).ok_or_else(|| Refusal::not_found(source))?;
    if image != architecture {
        let name = |architecture| if architecture == Architecture::Arm { "ARM64" } else { "X86_64" };
        return Err(Refusal::invalid(format!(
            "Requested boot disk architecture ({}) is not compatible with machine type architecture ({}).",
            name(image),
            name(architecture)
        )));
    }
    Ok(cores)
}

fn check_metadata(properties: &Map<String, Value>) -> Result<(), Refusal> {
    let items =
        properties.get("metadata").and_then(|metadata| metadata["items"].as_array()).cloned().unwrap_or_default();
    let mut seen = Vec::new();
    for item in &items {
        let (Some(key), Some(value)) = (item["key"].as_str(), item["value"].as_str()) else {
            return Err(Refusal::invalid("Metadata needs a key and a value."));
        };
        if value.len() > LONGEST_METADATA || seen.contains(&key) {
            return Err(Refusal::invalid(format!("Invalid value for field 'metadata.items': '{key}'")));
        }
        seen.push(key);
    }
    let description = properties.get("description").and_then(Value::as_str).unwrap_or_default();
    let tags = properties.get("tags").and_then(|tags| tags["items"].as_array()).cloned().unwrap_or_default();
    if description.len() > LONGEST_DESCRIPTION {
        return Err(Refusal::invalid("Invalid value for field 'resource.description': too long"));
    }
    if let Some(tag) = tags.iter().filter_map(Value::as_str).find(|tag| !is_name(tag)) {
        return Err(Refusal::invalid(format!("Invalid value for field 'resource.tags.items': '{tag}'")));
    }
    Ok(())
}

fn disk_size(instance: &Instance) -> Value {
    instance.properties.get("disks").map(|disks| disks[0]["initializeParams"]["diskSizeGb"].clone()).unwrap_or_default()
}
