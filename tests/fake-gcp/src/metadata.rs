//! Service accounts: which exist, who may give them to instances, what an instance may by one; and the metadata server, at
//! which an instance asks who it is and gets tokens.
//!
//! Rules of "View and query VM metadata" and "Service accounts" in Compute Engine's documents: nothing without the header
//! `Metadata-Flavor: Google`, nothing for a proxy; an instance has one account at most, and its tokens are good for the
//! scopes that it was given, whatever else the account may.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::answer::Refusal;
use crate::state::{Instance, Power, State};

/// The account that every project begins with.
pub(crate) const DEFAULT_ACCOUNT: &str = "1234567890-compute@developer.gserviceaccount.com";
/// The project's number.
const NUMBER: &str = "1234567890";
/// The scopes that let somebody change things of Compute Engine.
const SCOPES: [&str; 2] = ["https://www.googleapis.com/auth/compute", "https://www.googleapis.com/auth/cloud-platform"];

/// Who a token was given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// The user of the credentials, who owns the project.
    User,
    /// An instance, by its zone and name.
    Instance(String, String),
}

/// What an instance is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Text(String),
    /// A token for it is to be given out.
    Token(Bearer),
    Refused(u16, &'static str),
}

impl State {
    /// Refuses service accounts that do not exist or may not be given away.
    pub(crate) fn check_accounts(&self, properties: &Map<String, Value>) -> Result<(), Refusal> {
        let accounts =
            properties.get("serviceAccounts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let [account] = accounts else {
            return if accounts.is_empty() { Ok(()) } else { Err(Refusal::invalid("At most one service account.")) };
        };
        let email = account["email"].as_str().unwrap_or_default();
        let known = &self.settings.service_accounts;
        if email != "default" && email != DEFAULT_ACCOUNT && !known.iter().any(|own| own == email) {
            return Err(Refusal::invalid(format!("The resource '{email}' of type 'serviceAccount' was not found.")));
        }
        if account["scopes"].as_array().is_none_or(Vec::is_empty) {
            return Err(Refusal::invalid("At least one scope is needed for a service account."));
        }
        if !self.settings.may_act_as {
            let message = format!("The user does not have access to service account '{email}'.");
            return Err(Refusal::new(400, "SERVICE_ACCOUNT_ACCESS_DENIED", message));
        }
        Ok(())
    }

    /// Refuses what the bearer of a token may not do.
    pub(crate) fn authorize(&self, bearer: &Bearer, kind: &str) -> Result<(), Refusal> {
        let Bearer::Instance(zone, name) = bearer else { return Ok(()) };
        let account = self.instances.get(&(zone.clone(), name.clone())).and_then(account);
        let scopes =
            account.map(|account| account["scopes"].as_array().cloned().unwrap_or_default()).unwrap_or_default();
        if !scopes.iter().any(|scope| SCOPES.iter().any(|known| scope == known)) {
            let message = "Request had insufficient authentication scopes.";
            return Err(Refusal::new(403, "insufficientPermissions", message));
        }
        if !kind.starts_with("instances.") {
            return Err(Refusal::new(403, "forbidden", format!("Required permission for '{kind}' is missing.")));
        }
        Ok(())
    }

    /// What the instance with a private address is told.
    pub(crate) fn tell_instance(
        &self,
        from: IpAddr,
        method: &str,
        path: &str,
        header: impl Fn(&str) -> Option<String>,
    ) -> Told {
        if header("metadata-flavor").as_deref() != Some("Google") || header("x-forwarded-for").is_some() {
            return Told::Refused(403, "Missing required header \"Metadata-Flavor\": \"Google\"");
        }
        let mut up =
            self.instances.iter().filter(|(_, instance)| !matches!(instance.power, Power::Announced | Power::Off));
        let Some(((zone, name), instance)) = up.find(|(_, instance)| IpAddr::V4(instance.private) == from) else {
            return Told::Refused(404, "No instance has this address");
        };
        match (method, path.strip_prefix("/computeMetadata/v1/").unwrap_or_default()) {
            ("GET", "project/project-id") => Told::Text(self.settings.project.clone()),
            ("GET", "instance/name") => Told::Text(name.clone()),
            ("GET", "instance/zone") => Told::Text(format!("projects/{NUMBER}/zones/{zone}")),
            ("GET", "instance/service-accounts/default/token") if account(instance).is_some() => {
                Told::Token(Bearer::Instance(zone.clone(), name.clone()))
            }
            _ => Told::Refused(404, "There is nothing here"),
        }
    }
}

/// The service account of an instance.
fn account(instance: &Instance) -> Option<&Value> {
    instance.properties.get("serviceAccounts")?.as_array()?.first()
}

/// The service account of an instance, as it shows it.
pub(crate) fn shown_accounts(instance: &Instance) -> Value {
    let shown = |account: &Value| {
        let email = account["email"].as_str().filter(|email| *email != "default").unwrap_or(DEFAULT_ACCOUNT);
        json!({ "email": email, "scopes": account["scopes"] })
    };
    account(instance).map_or_else(|| json!([]), |account| json!([shown(account)]))
}
