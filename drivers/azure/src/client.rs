//! Calls of Azure Resource Manager: signed in, in their turn, and tried again where that may help.

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::Secret;
use driver::{DriverError, Pace, retry};
use rand::SeedableRng as _;
use rand::rand_core::UnwrapErr;
use rand::rngs::{StdRng, SysRng};
use reqwest::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::credential::Credential;
use crate::environment::Environment;
use crate::patience::Patience;
use crate::rates::rate_of;
use crate::refusal::Refusal;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// How many pages of a list are read: more than a subscription has resources for.
const MOST_PAGES: usize = 1000;

/// Calls Azure Resource Manager.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    endpoint: String,
    credential: Credential,
    pace: Pace,
    pub(crate) patience: Patience,
    /// Where machines are made, for messages.
    region: String,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    /// From `/subscriptions` on, or a whole URL that Azure gave us.
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    /// A clause for messages, such as "create machine `a`".
    action: String,
    /// The resource group was made a moment ago, and may not be known everywhere yet.
    is_in_new_group: bool,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>, version: &str, action: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: vec![("api-version", version.to_owned())],
            body: None,
            action: action.into(),
            is_in_new_group: false,
        }
    }

    pub(crate) fn get(path: impl Into<String>, version: &str, action: impl Into<String>) -> Self {
        Self::new(Method::GET, path, version, action)
    }

    pub(crate) fn put(path: impl Into<String>, version: &str, action: impl Into<String>, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, path, version, action) }
    }

    /// Whatever lies at a URL that Azure gave us.
    fn follow(url: &str, action: &str) -> Self {
        Self { query: Vec::new(), ..Self::get(url, "", action) }
    }

    pub(crate) fn with_query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn with_body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn in_new_group(mut self) -> Self {
        self.is_in_new_group = true;
        self
    }

    fn is_transient(&self, refusal: &Refusal) -> bool {
        refusal.is_transient() || (self.is_in_new_group && refusal.code == "ResourceGroupNotFound")
    }
}

/// What was answered to a call that was granted.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// Where to ask after what goes on.
    pub(crate) operation: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
struct Page {
    value: Vec<Value>,
    #[serde(rename = "nextLink")]
    next: Option<String>,
}

impl Client {
    /// Makes a client; reads the system's certificates.
    pub(crate) fn new(
        environment: &Environment,
        region: &str,
        patience: Patience,
        pace: Pace,
    ) -> Result<Self, DriverError> {
        let http = connector(environment)?;
        Ok(Self {
            endpoint: environment.endpoint().to_owned(),
            credential: Credential::new(environment.clone(), http.clone()),
            http,
            pace,
            patience,
            region: region.to_owned(),
        })
    }

    /// Signs in, where that is not done.
    pub(crate) async fn sign_in(&self) -> Result<(), DriverError> {
        retry(&self.patience.backoff, &mut rng(), || self.credential.token()).await.map_err(DriverError::into_final)?;
        Ok(())
    }

    /// Calls until it is granted or refused for good.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, DriverError> {
        self.ask(call).await?.map_err(|refusal| self.error(call, refusal))
    }

    /// Calls until it is granted or refused for good; the refusal is the caller's to judge.
    pub(crate) async fn ask(&self, call: &Call) -> Result<Result<Answer, Refusal>, DriverError> {
        let mut rng = rng();
        let asking = retry(&self.patience.backoff, &mut rng, || async {
            match self.send(call).await? {
                Err(refusal) if call.is_transient(&refusal) => Err(self.transient(call, refusal)),
                answered => Ok(answered),
            }
        });
        asking.await.map_err(DriverError::into_final)
    }

    /// What is there; `None` where it does not exist.
    pub(crate) async fn look<T: DeserializeOwned>(&self, call: &Call) -> Result<Option<T>, DriverError> {
        match self.ask(call).await? {
            Ok(answer) => self.read(call, answer.body).map(Some),
            Err(refusal) if refusal.is_missing() && refusal.code != "SubscriptionNotFound" => Ok(None),
            Err(refusal) => Err(self.error(call, refusal)),
        }
    }

    /// All pages of a list; `None` where what it is of does not exist.
    pub(crate) async fn list<T: DeserializeOwned>(&self, call: &Call) -> Result<Option<Vec<T>>, DriverError> {
        let mut all = Vec::new();
        let mut next = call.clone();
        for _ in 0..MOST_PAGES {
            let Some(page) = self.look::<Page>(&next).await? else { return Ok(None) };
            for entry in page.value {
                all.push(self.read(call, entry)?);
            }
            let Some(link) = page.next else { return Ok(Some(all)) };
            next = self.follow(&link, &call.action)?;
        }
        Err(DriverError::provider(&call.action, format!("the list has more than {MOST_PAGES} pages")))
    }

    /// Text at a URL that holds its own permission; nobody signs in to it.
    pub(crate) async fn read_text(&self, url: &str, action: &str) -> Result<String, DriverError> {
        let mut rng = rng();
        let reading = retry(&self.patience.backoff, &mut rng, || async {
            let lost = |error: reqwest::Error| DriverError::transient(action, error.without_url());
            let answer = self.http.get(url).send().await.map_err(lost)?;
            let status = answer.status();
            let text = answer.text().await.map_err(lost)?;
            match status.as_u16() {
                200..=299 => Ok(text),
                code @ (408 | 429 | 500..=599) => {
                    Err(DriverError::transient(action, format!("the storage account answered with status {code}")))
                }
                code => Err(DriverError::provider(action, format!("the storage account answered with status {code}"))),
            }
        });
        reading.await.map_err(DriverError::into_final)
    }

    /// A call of a URL that Azure gave us. Our token goes to Azure Resource Manager and the hosts below it alone.
    pub(crate) fn follow(&self, url: &str, action: &str) -> Result<Call, DriverError> {
        let parse = |url: &str| reqwest::Url::parse(url).ok();
        let is_ours = parse(url).zip(parse(&self.endpoint)).is_some_and(|(url, endpoint)| {
            let below = |host: &str| endpoint.host_str().is_some_and(|own| host.ends_with(&format!(".{own}")));
            url.scheme() == endpoint.scheme()
                && url.port() == endpoint.port()
                && (url.host() == endpoint.host() || url.host_str().is_some_and(below))
        });
        if is_ours {
            return Ok(Call::follow(url, action));
        }
        Err(DriverError::provider(action, format!("Azure points to `{url}`, which is not part of {}", self.endpoint)))
    }

    pub(crate) fn error(&self, call: &Call, refusal: Refusal) -> DriverError {
        refusal.into_error(&call.action, &self.region)
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, call: &Call, body: Value) -> Result<T, DriverError> {
        serde_json::from_value(body).map_err(|error| {
            tracing::debug!(endpoint = self.endpoint, %error, "an answer is not as its document says");
            DriverError::provider(&call.action, format!("the answer is not as its document says: {error}"))
        })
    }

    /// A refusal that may mend, as an error that says so.
    fn transient(&self, call: &Call, refusal: Refusal) -> DriverError {
        let retry_after = refusal.retry_after;
        let error = self.error(call, refusal);
        let DriverError::Provider { action, source, .. } = error else { return error };
        if retry_after.is_some() {
            return DriverError::Throttled { provider: crate::NAME, retry_after };
        }
        DriverError::Provider { action, source, is_transient: true }
    }

    /// Sends it once; again with another token where the first was refused.
    async fn send(&self, call: &Call) -> Result<Result<Answer, Refusal>, DriverError> {
        let token = self.credential.token().await?;
        match self.send_with(call, &token).await? {
            Err(refusal) if refusal.is_unauthorized() => {
                let token = self.credential.renew(&token).await?;
                self.send_with(call, &token).await
            }
            answered => Ok(answered),
        }
    }

    async fn send_with(&self, call: &Call, token: &Secret) -> Result<Result<Answer, Refusal>, DriverError> {
        self.pace.take(rate_of(&call.method), 1).await?;
        let url =
            if call.path.starts_with('/') { format!("{}{}", self.endpoint, call.path) } else { call.path.clone() };
        let lost = |error: reqwest::Error| DriverError::transient(&call.action, error.without_url());
        let mut url = reqwest::Url::parse(&url).map_err(|error| DriverError::provider(&call.action, error))?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.http.request(call.method.clone(), url).bearer_auth(token.secret());
        if let Some(body) = &call.body {
            request = request.json(body);
        } else if call.method == Method::POST {
            request = request.header(reqwest::header::CONTENT_LENGTH, "0");
        }
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let operation = header("azure-asyncoperation").or_else(|| header("location"));
        let retry_after = header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let body = answer.bytes().await.map_err(lost)?;
        tracing::trace!(method = %call.method, path = call.path, status = status.as_u16(), "asked Azure");
        if !status.is_success() {
            return Ok(Err(Refusal::read(status.as_u16(), &body, retry_after)));
        }
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or(Value::Null) };
        Ok(Ok(Answer { status: status.as_u16(), body, operation, retry_after }))
    }
}

/// Our own TLS: with ring, whatever the process has installed, and the certificates of `SSL_CERT_FILE` beside the
/// system's.
fn connector(environment: &Environment) -> Result<reqwest::Client, DriverError> {
    let action = "prepare TLS for Azure";
    let failed = |error: rustls::Error| DriverError::provider(action, error);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut extra = Vec::new();
    if let Some(file) = &environment.certificates {
        let unreadable = |error| DriverError::Unmet {
            what: format!("SSL_CERT_FILE names `{}`, which cannot be read: {error}", file.display()),
            hint: "name a file of certificates in PEM form, or unset SSL_CERT_FILE".to_owned(),
        };
        for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
            extra.push(certificate.map_err(unreadable)?);
        }
    }
    let verifier =
        rustls_platform_verifier::Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).map_err(failed)?;
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("swarmup/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| DriverError::provider(action, error))
}

/// Draws the pauses between attempts.
fn rng() -> StdRng {
    StdRng::from_rng(&mut UnwrapErr(SysRng))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_goes_to_azure_and_to_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let pace = Pace::new(folder.path());
        let client = Client::new(&Environment::default(), "eastus2", Patience::default(), pace).unwrap();
        let is_followed = |url: &str| client.follow(url, "look").is_ok();

        assert!(is_followed("https://management.azure.com/subscriptions/x"));
        assert!(is_followed("https://eastus2.management.azure.com/subscriptions/x"));
        assert!(!is_followed("http://management.azure.com/subscriptions/x"));
        assert!(!is_followed("https://management.azure.com.example.org/subscriptions/x"));
        assert!(!is_followed("https://management.azure.com:8443/subscriptions/x"));
        assert!(!is_followed("/subscriptions/x"));
    }
}
