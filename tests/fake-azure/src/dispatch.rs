//! Which request is answered by what.

use std::collections::BTreeMap;

use crate::answer::{Answer, Answered, Refusal};
use crate::route::{Kind, Route, Target};
use crate::world::{Key, World};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) route: Route,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl World {
    pub(crate) fn answer(&mut self, request: &Incoming) -> Answer {
        if let (Target::Token { tenant }, "POST") = (&request.route.target, request.method.as_str()) {
            return self.give_token(tenant, &request.body);
        }
        if let (Target::Blob { id }, "GET") = (&request.route.target, request.method.as_str()) {
            return Self::serial_log(id);
        }
        self.manage(request).unwrap_or_else(Refusal::into_answer)
    }

    fn manage(&mut self, request: &Incoming) -> Answered {
        let Incoming { method, route, query, headers, body, .. } = request;
        let caller = self.check_token(headers.get("authorization").map(String::as_str))?;
        self.check_rate(method)?;
        if let Some(subscription) = &route.subscription
            && !subscription.eq_ignore_ascii_case(&self.settings.subscription)
        {
            let message = format!("The subscription '{subscription}' could not be found.");
            return Err(Refusal::new(404, "SubscriptionNotFound", message));
        }
        self.authorize(&caller, method, &route.target)?;
        route.target.check_query(method, query)?;
        let has_body = matches!(method.as_str(), "PUT" | "PATCH");
        if has_body && !headers.get("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
            return Err(Refusal::new(415, "UnsupportedMediaType", "The content media type is not supported."));
        }
        if !has_body && !body.is_empty() {
            return Err(Refusal::new(400, "InvalidRequestContent", "This request takes no body."));
        }
        match (method.as_str(), &route.target) {
            ("GET", _) => self.look(request),
            ("PUT", Target::Group { name }) => self.put_group(name, body),
            ("PATCH", Target::Group { name }) => self.patch_group(name, body),
            ("DELETE", Target::Group { name }) => self.delete_group(name, query),
            ("PUT", Target::Assignment { group, name }) => self.put_assignment(group, name, body),
            ("PUT", Target::Item { group, kind, name }) => self.put_item(group, *kind, name, body),
            ("PATCH", Target::Item { group, kind, name }) => self.patch_item(&Key::new(group, *kind, name), body),
            ("DELETE", Target::Item { group, kind, name }) => self.delete_item(&Key::new(group, *kind, name)),
            ("POST", Target::Action { group, kind: Kind::Machine, name, action }) => {
                self.group(group)?;
                self.act_on_machine(&Key::new(group, Kind::Machine, name), method, action)
            }
            _ => Err(Refusal::new(404, "InvalidResourceType", "The resource type, or the method, could not be found.")),
        }
    }

    fn look(&mut self, request: &Incoming) -> Answered {
        let Incoming { route, query, url, .. } = request;
        match &route.target {
            Target::Subscriptions => Ok(self.subscriptions()),
            Target::Subscription => Ok(self.subscription()),
            Target::Permissions => Ok(Self::permissions()),
            Target::Usages { namespace, .. } => Ok(self.usages(namespace)),
            Target::Groups => self.list_groups(query, url),
            Target::Group { name } => self.view_group(name),
            Target::Resources { group } => self.list_resources(group.as_deref(), query, url),
            Target::Items { group, kind } => self.list_items(group, *kind, query, url),
            Target::Item { group, kind, name } => self.view_item(&Key::new(group, *kind, name)),
            Target::Subnet { group, network, name } => self.view_subnet(&Key::new(group, Kind::Network, network), name),
            Target::Operation { id, .. } => self.operation(id),
            Target::OperationResult { id } => self.operation_result(id),
            Target::Action { group, kind: Kind::Machine, name, action } => {
                self.act_on_machine(&Key::new(group, Kind::Machine, name), "GET", action)
            }
            Target::Token { .. }
            | Target::Blob { .. }
            | Target::Action { .. }
            | Target::Assignment { .. }
            | Target::Unknown => Err(Refusal::new(404, "InvalidResourceType", "The resource type could not be found.")),
        }
    }

    fn put_item(&mut self, group: &str, kind: Kind, name: &str, body: &[u8]) -> Answered {
        match kind {
            Kind::Machine => self.put_machine(group, name, body),
            Kind::SecurityGroup => self.put_security_group(group, name, body),
            Kind::Network => self.put_network(group, name, body),
            Kind::ApplicationGroup => self.put_application_group(group, name, body),
            Kind::Identity => self.put_identity(group, name, body),
            Kind::Disk | Kind::Interface | Kind::Address => Err(Refusal::new(
                400,
                "NotSupportedByThisFake",
                "Disks, interfaces and addresses come with machines here.",
            )),
        }
    }

    fn delete_item(&mut self, key: &Key) -> Answered {
        self.group(&key.group)?;
        match key.kind {
            Kind::Machine => self.delete_machine(key),
            Kind::Disk => self.delete_disk(key),
            Kind::Identity => self.delete_identity(key),
            Kind::Interface | Kind::Address | Kind::SecurityGroup | Kind::Network | Kind::ApplicationGroup => {
                self.delete_network_item(key)
            }
        }
    }
}
