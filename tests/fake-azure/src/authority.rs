//! The authority: gives tokens to the one application that it knows, and says which of them are good.

use std::collections::BTreeMap;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::answer::{Answer, Refusal};
use crate::settings::bucket;
use crate::world::{Key, World};

/// Who a token was given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The application, which owns the subscription.
    Application,
    /// A machine, in the name of an identity that it is lent.
    Machine { machine: Key, identity: Key },
}

impl World {
    /// The client credentials flow of OAuth 2.0, as Entra ID speaks it.
    pub(crate) fn give_token(&mut self, tenant: &str, body: &[u8]) -> Answer {
        let form = read_form(&String::from_utf8_lossy(body));
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let settings = &self.settings;
        if !tenant.eq_ignore_ascii_case(&settings.tenant) {
            return refuse("invalid_request", 90002, "Tenant not found.");
        }
        if field("grant_type") != "client_credentials" {
            return refuse("unsupported_grant_type", 70003, "The app requested an unsupported grant type.");
        }
        if field("client_id") != settings.client {
            return refuse("unauthorized_client", 700_016, "Application was not found in the directory.");
        }
        if field("client_secret") != settings.secret {
            return refuse("invalid_client", 7_000_215, "Invalid client secret provided.");
        }
        if field("scope") != format!("{}/.default", self.base) {
            return refuse("invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid.");
        }
        let seconds = settings.token_lifetime.as_secs();
        let token = self.new_token(Caller::Application);
        Answer::json(
            200,
            json!({
                "token_type": "Bearer",
                "expires_in": seconds,
                "ext_expires_in": seconds,
                "access_token": token,
            }),
        )
    }

    /// Gives a token out.
    pub(crate) fn new_token(&mut self, caller: Caller) -> String {
        let token = format!("token-{}", self.next_number());
        self.tokens.insert(token.clone(), (self.now + self.settings.token_lifetime, caller));
        token
    }

    /// Who sends a request; refuses one without a token that is good still.
    pub(crate) fn check_token(&self, authorization: Option<&str>) -> Result<Caller, Refusal> {
        let Some(token) = authorization.and_then(|header| header.strip_prefix("Bearer ")) else {
            let message = "Authentication failed. The 'Authorization' header is missing.";
            return Err(Refusal::new(401, "AuthenticationFailed", message));
        };
        match self.tokens.get(token) {
            None => Err(Refusal::new(401, "InvalidAuthenticationToken", "The access token is invalid.")),
            Some((until, _)) if *until <= self.now => Err(Refusal::new(
                401,
                "ExpiredAuthenticationToken",
                "The access token expiry UTC time is earlier than now.",
            )),
            Some((_, caller)) => Ok(caller.clone()),
        }
    }

    /// Takes a place in a bucket of calls, where there are any.
    pub(crate) fn check_rate(&mut self, method: &str) -> Result<(), Refusal> {
        let Some(rates) = self.settings.rates else { return Ok(()) };
        let bucket = bucket(method);
        for ((name, (burst, per_second)), (level, at)) in rates.by_name().into_iter().zip(&mut self.buckets) {
            if name == bucket {
                let passed = at.map_or(Duration::MAX, |at| self.now.saturating_duration_since(at));
                *level = (*level + passed.as_secs_f64() * per_second).min(burst);
                *at = Some(self.now);
                if *level < 1.0 {
                    let message = "Number of requests exceeded the limit.";
                    let refusal = Refusal::new(429, "SubscriptionRequestsThrottled", message);
                    return Err(Refusal { retry_after: Some(1), ..refusal });
                }
                *level -= 1.0;
            }
        }
        Ok(())
    }
}

fn refuse(error: &str, code: u32, description: &str) -> Answer {
    let status = if error == "invalid_client" { 401 } else { 400 };
    let description = format!("AADSTS{code}: {description}");
    Answer::json(status, json!({ "error": error, "error_description": description, "error_codes": [code] }))
}

fn read_form(text: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), decode(value))).collect()
}
