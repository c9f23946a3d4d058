//! Speaks to one repository of a registry as one user.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::Secret;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::challenge::Challenge;
use super::endpoint::Endpoint;
use super::{Credentials, RegistryClient, RegistryError, RegistrySettings};
use crate::Reference;

/// The longest answer of a token server.
const TOKEN_LIMIT: usize = 1 << 20;
/// What is read of an answer that says why not.
const REASON_LIMIT: usize = 16 << 10;
/// What our kind of client is called at token servers.
const CLIENT_ID: &str = "docker";
/// The action of a session that asks for nothing but to be let in.
pub(super) const LOGIN: &str = "login";

/// A repository, and who asks.
#[derive(Debug)]
pub(super) struct Session {
    endpoint: Endpoint,
    pub(super) settings: RegistrySettings,
    /// The repository within the registry.
    path: String,
    /// As people know it.
    name: String,
    action: &'static str,
    credentials: Credentials,
    /// What proves who asks, once the registry has said what it wants to see.
    authorization: Mutex<Option<HeaderValue>>,
}

#[derive(Debug, Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    access_token: Option<Secret>,
}

/// Why not, in the registry's words.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<RefusalItem>,
}

#[derive(Debug, Default, Deserialize)]
struct RefusalItem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl RegistryClient {
    /// Begins to speak about a reference's repository; `action` is `pull`, `push` or [`LOGIN`].
    pub(super) async fn session(
        &self,
        reference: &Reference,
        action: &'static str,
        credentials: &Credentials,
    ) -> Result<Session, RegistryError> {
        let mut patience = super::retry::Patience::new(self.settings.attempts);
        let endpoint = loop {
            match self.endpoint(reference).await {
                Ok(endpoint) => break endpoint,
                Err(error) => patience.bear(error).await?,
            }
        };
        let token = credentials.registry_token.expose();
        let authorization = if token.is_empty() { None } else { Some(secret_header(&format!("Bearer {token}"))) };
        Ok(Session {
            endpoint,
            settings: self.settings.clone(),
            path: reference.path().to_owned(),
            name: reference.familiar_name(),
            action,
            credentials: credentials.clone(),
            authorization: Mutex::new(authorization.flatten()),
        })
    }
}

impl Session {
    /// The registry's own address, which it answers to whom it lets in.
    pub(super) fn base(&self) -> Url {
        self.endpoint.base.clone()
    }

    /// Host and port, for people.
    pub(super) fn registry(&self) -> String {
        self.endpoint.registry.clone()
    }

    /// The repository as people know it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The address of something in the repository: `manifests/latest`.
    pub(super) fn url(&self, rest: &str) -> Result<Url, RegistryError> {
        let url = self.endpoint.base.join(&format!("{}/{rest}", self.path));
        url.map_err(|error| self.nonsense(error.to_string()))
    }

    /// An address that the registry gave, relative to where it was given.
    pub(super) fn location(&self, from: &Url, text: &str) -> Result<Url, RegistryError> {
        let url = from.join(text).map_err(|error| self.nonsense(error.to_string()))?;
        self.check_scheme(url)
    }

    /// What the registry says makes no sense.
    pub(super) fn nonsense(&self, what: impl Into<String>) -> RegistryError {
        RegistryError::Nonsense { registry: self.registry(), what: what.into() }
    }

    /// The connection failed.
    pub(super) fn unreachable(&self, source: reqwest::Error) -> RegistryError {
        RegistryError::Unreachable { registry: self.registry(), source: source.without_url() }
    }

    /// Asks once, proving who asks where that is wanted. An answer that says no is an error.
    pub(super) async fn send(
        &self,
        url: &Url,
        request: impl Fn(&reqwest::Client, Url) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let is_own = url.host_str() == self.endpoint.base.host_str()
            && url.port_or_known_default() == self.endpoint.base.port_or_known_default();
        let attempt = async |authorization: Option<HeaderValue>| {
            let mut builder = request(&self.endpoint.http, url.clone());
            // Nobody else than the registry itself is shown who asks.
            if let Some(authorization) = authorization.filter(|_| is_own) {
                builder = builder.header(AUTHORIZATION, authorization);
            }
            self.within(builder.send()).await?.map_err(|error| self.unreachable(error))
        };
        let shown = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut answer = attempt(shown.clone()).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && is_own {
            let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
            if let Some(challenge) = Challenge::strongest(headers) {
                let authorization = self.prove(&challenge).await?;
                self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&authorization);
                // Compared with what this request showed: others that were refused at once may have been faster.
                if authorization != shown {
                    answer = attempt(authorization).await?;
                }
            }
        }
        if answer.status().is_success() { Ok(answer) } else { Err(self.refusal(answer).await) }
    }

    /// The next piece of an answer; `None` at its end.
    pub(super) async fn piece(&self, answer: &mut Response) -> Result<Option<Bytes>, RegistryError> {
        self.within(answer.chunk()).await?.map_err(|error| self.unreachable(error))
    }

    /// Waits for the registry, not for ever.
    async fn within<T>(&self, wait: impl Future<Output = T>) -> Result<T, RegistryError> {
        tokio::time::timeout(self.settings.stall, wait).await.map_err(|_| self.stalled())
    }

    /// Next to nothing arrived for too long.
    pub(super) fn stalled(&self) -> RegistryError {
        RegistryError::Stalled { registry: self.registry(), after: self.settings.stall }
    }

    /// The whole of an answer, if it is not longer than this.
    pub(super) async fn read(&self, mut answer: Response, limit: usize) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece(&mut answer).await? {
            if bytes.len() + piece.len() > limit {
                return Err(self.nonsense(format!("an answer is longer than {limit} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// What to show the registry.
    async fn prove(&self, challenge: &Challenge) -> Result<Option<HeaderValue>, RegistryError> {
        let Challenge::Bearer { realm, service } = challenge else {
            return Ok(self.credentials.basic().as_deref().and_then(secret_header));
        };
        let scope = match self.action {
            LOGIN => None,
            "push" => Some(format!("repository:{}:pull,push", self.path)),
            _ => Some(format!("repository:{}:pull", self.path)),
        };
        let realm = Url::parse(realm).map_err(|error| self.nonsense(format!("its token server: {error}")))?;
        let mut url = self.check_scheme(realm)?;
        let mut parameters: Vec<_> = scope.iter().map(|scope| ("scope", scope.as_str())).collect();
        if let Some(service) = service {
            parameters.push(("service", service));
        }
        let identity = self.credentials.identity_token.expose();
        let request = if identity.is_empty() {
            url.query_pairs_mut().extend_pairs(&parameters);
            let request = self.endpoint.http.get(url);
            match self.credentials.basic().as_deref().and_then(secret_header) {
                Some(basic) => request.header(AUTHORIZATION, basic),
                None => request,
            }
        } else {
            parameters.extend([("grant_type", "refresh_token"), ("refresh_token", identity), ("client_id", CLIENT_ID)]);
            let mut form = url.clone();
            form.query_pairs_mut().clear().extend_pairs(&parameters);
            let form = form.query().unwrap_or_default().to_owned();
            self.endpoint.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form)
        };
        let answer = self.within(request.send()).await?.map_err(|error| self.unreachable(error))?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer).await);
        }
        let bytes = self.read(answer, TOKEN_LIMIT).await?;
        let answer: TokenAnswer =
            serde_json::from_slice(&bytes).map_err(|_| self.nonsense("its token server sends no token"))?;
        let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
        let token = token.ok_or_else(|| self.nonsense("its token server sends no token"))?;
        Ok(secret_header(&format!("Bearer {}", token.expose())))
    }

    /// Passwords and tokens of a registry with https are not sent anywhere without.
    fn check_scheme(&self, url: Url) -> Result<Url, RegistryError> {
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.endpoint.is_lax => Ok(url),
            other => Err(self.nonsense(format!("it leads to an address of {other}"))),
        }
    }

    /// Why not.
    async fn refusal(&self, answer: Response) -> RegistryError {
        let status = answer.status();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let text = self.read(answer, REASON_LIMIT).await.unwrap_or_default();
        let refusal: Refusal = serde_json::from_slice(&text).unwrap_or_default();
        let reason = match refusal.errors.first() {
            Some(item) => shown(&format!("{}: {}", item.code.to_lowercase().replace('_', " "), item.message)),
            None => status.to_string(),
        };
        let registry = self.registry();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                RegistryError::Denied { action: self.action, name: self.name.clone(), reason }
            }
            StatusCode::NOT_FOUND => RegistryError::NotFound(self.name.clone()),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                RegistryError::Busy { registry, reason, retry_after: retry_after.map(Duration::from_secs) }
            }
            status if status.is_server_error() => {
                RegistryError::Busy { registry, reason, retry_after: retry_after.map(Duration::from_secs) }
            }
            _ => RegistryError::Refused { registry, reason },
        }
    }
}

/// A stranger's words, shortened and without what a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(300).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A header that no log shows; `None` for what cannot be one.
fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
