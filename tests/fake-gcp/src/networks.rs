//! Networks and subnetworks.

use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};
use crate::catalog;
use crate::clock::shown;
use crate::listing::{Filter, list};
use crate::operations::{Effect, Scope};
use crate::routes::{Request, is_name, tail};
use crate::shapes::{NETWORK, SUBNETWORK};
use crate::state::{Network, Prefix, State, Subnetwork};

impl State {
    pub(crate) fn insert_network(&mut self, request: &Request) -> Answer {
        let body = request.body(&NETWORK)?;
        if let Some(operation) = self.replayed(request.id()) {
            return Ok(operation);
        }
        let name = body.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !is_name(&name) {
            return Err(Refusal::invalid(format!("Invalid value for field 'resource.name': '{name}'")));
        }
        if self.networks.contains_key(&name) {
            return Err(Refusal::exists(&self.named(&format!("global/networks/{name}"))));
        }
        let Some(is_auto) = body.get("autoCreateSubnetworks").and_then(Value::as_bool) else {
            return Err(Refusal::invalid("Legacy networks can no longer be created: set autoCreateSubnetworks."));
        };
        if is_auto {
            return Err(Refusal::new(501, "notImplemented", "This fake makes networks in custom mode only."));
        }
        if body.get("mtu").and_then(Value::as_i64).is_some_and(|mtu| !(1300..=8896).contains(&mtu)) {
            return Err(Refusal::invalid("Invalid value for field 'resource.mtu'"));
        }
        let network = Network { id: self.id(), created: self.clock.now(), body, is_auto, busy: None, is_given: false };
        self.networks.insert(name.clone(), network);
        Ok(self.on_network("insert", &name, Effect::InsertNetwork(name.clone()), request))
    }

    pub(crate) fn delete_network(&mut self, name: &str, request: &Request) -> Answer {
        let named = self.named(&format!("global/networks/{name}"));
        let network = self.networks.get(name).ok_or_else(|| Refusal::not_found(&named))?;
        if network.busy.is_some() {
            return Err(Refusal::not_ready(&named));
        }
        let firewall = self.firewalls.iter().find(|(_, firewall)| firewall.network == name);
        let subnetwork = self.subnetworks.iter().find(|(_, subnetwork)| subnetwork.network == name);
        let user = firewall
            .map(|(user, _)| format!("global/firewalls/{user}"))
            .or_else(|| subnetwork.map(|((region, user), _)| format!("regions/{region}/subnetworks/{user}")));
        if let Some(user) = user {
            return Err(Refusal::in_use(&named, &self.named(&user)));
        }
        Ok(self.on_network("delete", name, Effect::DeleteNetwork(name.to_owned()), request))
    }

    pub(crate) fn get_network(&self, name: &str) -> Answer {
        self.networks
            .get(name)
            .map(|network| self.show_network(name, network))
            .ok_or_else(|| Refusal::not_found(&self.named(&format!("global/networks/{name}"))))
    }

    pub(crate) fn list_networks(&self, request: &Request) -> Answer {
        let filter = Filter::read(request.query("filter"))?;
        let items = self.networks.iter().map(|(name, network)| self.show_network(name, network));
        let items = items.filter(|item| filter.accepts(item)).collect();
        list("compute#networkList", items, request.query("pageToken"), request.page_size(self.settings.page)?)
    }

    pub(crate) fn insert_subnetwork(&mut self, region: &str, request: &Request) -> Answer {
        let body = request.body(&SUBNETWORK)?;
        if let Some(operation) = self.replayed(request.id()) {
            return Ok(operation);
        }
        let name = body.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let named = self.named(&format!("regions/{region}/subnetworks/{name}"));
        if catalog::zones(region).is_empty() {
            return Err(Refusal::not_found(&self.named(&format!("regions/{region}"))));
        }
        if !is_name(&name) {
            return Err(Refusal::invalid(format!("Invalid value for field 'resource.name': '{name}'")));
        }
        if self.subnetworks.contains_key(&(region.to_owned(), name.clone())) {
            return Err(Refusal::exists(&named));
        }
        let network = tail(body.get("network").and_then(Value::as_str).unwrap_or_default(), "networks/")?;
        let network_named = self.named(&format!("global/networks/{network}"));
        let found = self.networks.get(&network).ok_or_else(|| Refusal::not_found(&network_named))?;
        if found.busy.is_some() {
            return Err(Refusal::not_ready(&network_named));
        }
        let prefix = body.get("ipCidrRange").and_then(Value::as_str).and_then(Prefix::read);
        let prefix = prefix.ok_or_else(|| Refusal::invalid("Invalid value for field 'resource.ipCidrRange'"))?;
        let mut others = self.subnetworks.values().filter(|subnetwork| subnetwork.network == network);
        if others.any(|other| other.prefix.overlaps(prefix)) {
            return Err(Refusal::invalid("Invalid IPCidrRange: conflicts with existing subnetwork."));
        }
        let subnetwork =
            Subnetwork { id: self.id(), created: self.clock.now(), body, network, prefix, busy: None, is_given: false };
        self.subnetworks.insert((region.to_owned(), name.clone()), subnetwork);
        Ok(self.on_subnetwork(
            "insert",
            region,
            &name,
            Effect::InsertSubnetwork(region.to_owned(), name.clone()),
            request,
        ))
    }

    pub(crate) fn delete_subnetwork(&mut self, region: &str, name: &str, request: &Request) -> Answer {
        let named = self.named(&format!("regions/{region}/subnetworks/{name}"));
        let subnetwork = self.subnetworks.get(&(region.to_owned(), name.to_owned()));
        let subnetwork = subnetwork.ok_or_else(|| Refusal::not_found(&named))?;
        if subnetwork.busy.is_some() {
            return Err(Refusal::not_ready(&named));
        }
        let user = self
            .instances
            .iter()
            .find(|(_, instance)| instance.subnetwork == name && catalog::region_of(&instance.zone) == Some(region));
        if let Some(((zone, user), _)) = user {
            return Err(Refusal::in_use(&named, &self.named(&format!("zones/{zone}/instances/{user}"))));
        }
        let effect = Effect::DeleteSubnetwork(region.to_owned(), name.to_owned());
        Ok(self.on_subnetwork("delete", region, name, effect, request))
    }

    pub(crate) fn get_subnetwork(&self, region: &str, name: &str) -> Answer {
        self.subnetworks
            .get(&(region.to_owned(), name.to_owned()))
            .map(|subnetwork| self.show_subnetwork(region, name, subnetwork))
            .ok_or_else(|| Refusal::not_found(&self.named(&format!("regions/{region}/subnetworks/{name}"))))
    }

    pub(crate) fn list_subnetworks(&self, region: &str, request: &Request) -> Answer {
        let filter = Filter::read(request.query("filter"))?;
        let here = self.subnetworks.iter().filter(|((known, _), _)| known == region);
        let items = here.map(|((_, name), subnetwork)| self.show_subnetwork(region, name, subnetwork));
        let items = items.filter(|item| filter.accepts(item)).collect();
        list("compute#subnetworkList", items, request.query("pageToken"), request.page_size(self.settings.page)?)
    }

    fn on_network(&mut self, kind: &'static str, name: &str, effect: Effect, request: &Request) -> Value {
        self.start_operation(kind, Scope::Global, &format!("global/networks/{name}"), effect, request.id())
    }

    fn on_subnetwork(
        &mut self,
        kind: &'static str,
        region: &str,
        name: &str,
        effect: Effect,
        request: &Request,
    ) -> Value {
        let target = format!("regions/{region}/subnetworks/{name}");
        self.start_operation(kind, Scope::Region(region.to_owned()), &target, effect, request.id())
    }

    fn show_network(&self, name: &str, network: &Network) -> Value {
        let subnetworks: Vec<_> = self
            .subnetworks
            .iter()
            .filter(|(_, subnetwork)| subnetwork.network == name)
            .map(|((region, subnetwork), _)| self.link(&format!("regions/{region}/subnetworks/{subnetwork}")))
            .collect();
        json!({
            "kind": "compute#network",
            "id": network.id.to_string(),
            "name": name,
            "creationTimestamp": shown(network.created),
            "description": network.body.get("description").cloned().unwrap_or_default(),
            "autoCreateSubnetworks": network.is_auto,
            "mtu": network.body.get("mtu").cloned().unwrap_or_else(|| json!(1460)),
            "subnetworks": subnetworks,
            "selfLink": self.link(&format!("global/networks/{name}")),
        })
    }

    fn show_subnetwork(&self, region: &str, name: &str, subnetwork: &Subnetwork) -> Value {
        let prefix = subnetwork.prefix;
        json!({
            "kind": "compute#subnetwork",
            "id": subnetwork.id.to_string(),
            "name": name,
            "creationTimestamp": shown(subnetwork.created),
            "description": subnetwork.body.get("description").cloned().unwrap_or_default(),
            "network": self.link(&format!("global/networks/{}", subnetwork.network)),
            "ipCidrRange": format!("{}/{}", std::net::Ipv4Addr::from(prefix.first), prefix.length),
            "gatewayAddress": std::net::Ipv4Addr::from(prefix.first + 1).to_string(),
            "region": self.link(&format!("regions/{region}")),
            "selfLink": self.link(&format!("regions/{region}/subnetworks/{name}")),
        })
    }
}
