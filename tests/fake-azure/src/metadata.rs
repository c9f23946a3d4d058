//! The metadata service that machines ask at an address of their own link: which machine it is, and tokens for the
//! identities that it is lent.
//!
//! Rules of "Azure Instance Metadata Service" and "How to use managed identities for Azure resources on an Azure VM to
//! acquire an access token": nothing without the header `Metadata: true`, nothing for a proxy, a version with each request.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::json;

use crate::answer::{Answer, Body};
use crate::authority::Caller;
use crate::world::World;

/// A request of a machine.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) from: IpAddr,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl World {
    pub(crate) fn tell_machine(&mut self, asked: &Asked) -> Answer {
        let Asked { from, method, path, query, headers } = asked;
        let is_metadata = headers.get("metadata").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if !is_metadata || headers.contains_key("x-forwarded-for") {
            return refuse(400, "invalid_request", "Required metadata header not specified");
        }
        if method != "GET" {
            return refuse(405, "method_not_allowed", "The method is not allowed");
        }
        let version = query.get("api-version").map(String::as_str);
        let Some((machine, lent)) = self.machine_at(*from).map(|(key, machine)| (key, machine.lent.clone())) else {
            return refuse(404, "not_found", "No machine has this address");
        };
        match (path.as_str(), version) {
            (_, None) => refuse(400, "invalid_request", "api-version was not specified in the request"),
            ("/metadata/instance/compute/subscriptionId", Some("2021-02-01")) => {
                if query.get("format").map(String::as_str) != Some("text") {
                    return refuse(400, "invalid_request", "A leaf is asked for as text");
                }
                Answer { status: 200, headers: Vec::new(), body: Body::Text(self.settings.subscription.clone()) }
            }
            ("/metadata/identity/oauth2/token", Some("2018-02-01")) => {
                let resource = query.get("resource").map(|resource| resource.trim_end_matches('/'));
                if resource != Some(self.base.as_str()) {
                    return refuse(400, "invalid_resource", "The resource principal was not found in the tenant");
                }
                let Some(identity) = self.identity_of(&lent, query) else {
                    return refuse(400, "invalid_request", "Identity not found");
                };
                let resource = query["resource"].clone();
                let seconds = self.settings.token_lifetime.as_secs().to_string();
                let token = self.new_token(Caller::Machine { machine, identity });
                let body = json!({
                    "access_token": token, "expires_in": seconds, "resource": resource, "token_type": "Bearer",
                });
                Answer::json(200, body)
            }
            _ => refuse(404, "not_found", "There is no such path, or not in this version"),
        }
    }
}

fn refuse(status: u16, error: &str, description: &str) -> Answer {
    Answer::json(status, json!({ "error": error, "error_description": description }))
}
