//! Who we are to Azure: a token, from the first of these that has one.
//!
//! The variables of a service principal; else the developer's tools (`az login`, `azd auth login`); else the managed
//! identity of the machine that we run on. A token is kept until it is nearly over, or Azure refuses it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_identity::{
    ClientSecretCredential, ClientSecretCredentialOptions, DeveloperToolsCredential, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions,
};
use driver::DriverError;
use tokio::sync::Mutex;

use crate::environment::Environment;
use crate::refusal::SIGN_IN;

/// How long before its end a token is not used any more.
const MARGIN: Duration = Duration::from_mins(5);
/// How long the machine's own identity is waited for: where there is none, nobody answers.
const IDENTITY_PATIENCE: Duration = Duration::from_secs(5);
/// The public cloud's authority.
const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";

/// Gives tokens.
pub(crate) struct Credential {
    environment: Environment,
    http: reqwest::Client,
    held: Mutex<Option<Held>>,
}

/// A token, with what gave it.
struct Held {
    source: Arc<dyn TokenCredential>,
    token: Secret,
    use_until: SystemTime,
}

impl Credential {
    pub(crate) fn new(environment: Environment, http: reqwest::Client) -> Self {
        Self { environment, http, held: Mutex::new(None) }
    }

    /// A token that is good, as far as is known. Calls that begin at once wait for one sign-in and share it.
    pub(crate) async fn token(&self) -> Result<Secret, DriverError> {
        let mut held = self.held.lock().await;
        if let Some(known) = held.as_ref().filter(|known| known.use_until > SystemTime::now()) {
            return Ok(known.token.clone());
        }
        let source = held.take().map(|known| known.source);
        let (source, token) = match source {
            Some(source) => {
                let token = ask(&*source, &self.scope()).await?;
                (source, token)
            }
            None => self.sign_in().await?,
        };
        let token = held.insert(Held::new(source, token)).token.clone();
        Ok(token)
    }

    /// Another token than one that Azure refused; whoever was refused with it too gets the same.
    pub(crate) async fn renew(&self, refused: &Secret) -> Result<Secret, DriverError> {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|known| known.token == *refused) {
            // Its source would give the same again, which it has kept.
            *held = None;
        }
        drop(held);
        self.token().await
    }

    fn scope(&self) -> String {
        format!("{}/.default", self.environment.endpoint())
    }

    /// The first source that has a token.
    async fn sign_in(&self) -> Result<(Arc<dyn TokenCredential>, AccessToken), DriverError> {
        let Environment { tenant, client, secret, .. } = &self.environment;
        let scope = self.scope();
        if let (Some(tenant), Some(client), Some(secret)) = (tenant, client, secret) {
            let options = ClientSecretCredentialOptions { client_options: self.client_options() };
            let source =
                ClientSecretCredential::new(tenant, client.clone(), secret.clone(), Some(options)).map_err(refused)?;
            let token = ask(&*source, &scope).await?;
            return Ok((source, token));
        }
        let tools = DeveloperToolsCredential::new(None).map_err(refused)?;
        let by_tools = match tools.get_token(&[&scope], None).await {
            Ok(token) => return Ok((tools, token)),
            Err(error) => error,
        };
        let options = ManagedIdentityCredentialOptions { client_options: self.client_options(), ..Default::default() };
        if let Ok(identity) = ManagedIdentityCredential::new(Some(options)) {
            let scopes = [scope.as_str()];
            let asking = identity.get_token(&scopes, None);
            if let Ok(Ok(token)) = tokio::time::timeout(IDENTITY_PATIENCE, asking).await {
                return Ok((identity, token));
            }
        }
        tracing::debug!(error = %by_tools, "neither the developer's tools nor a managed identity have a token");
        Err(DriverError::Unmet { what: "there are no credentials for Azure".to_owned(), hint: SIGN_IN.to_owned() })
    }

    /// Tries again nowhere but in one place, and uses our own TLS.
    fn client_options(&self) -> ClientOptions {
        let mut cloud = CustomConfiguration::default();
        let authority = self.environment.authority.as_deref().unwrap_or(PUBLIC_AUTHORITY);
        authority.trim_end_matches('/').clone_into(&mut cloud.authority_host);
        ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(self.http.clone()))),
            cloud: Some(Arc::new(CloudConfiguration::from(cloud))),
            ..ClientOptions::default()
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credential").field("environment", &self.environment).finish_non_exhaustive()
    }
}

impl Held {
    fn new(source: Arc<dyn TokenCredential>, token: AccessToken) -> Self {
        let now = SystemTime::now();
        let left = SystemTime::from(token.expires_on).duration_since(now).unwrap_or_default();
        // One that is given for minutes only is used for half of them.
        Self { source, token: token.token, use_until: now + left - MARGIN.min(left / 2) }
    }
}

async fn ask(source: &dyn TokenCredential, scope: &str) -> Result<AccessToken, DriverError> {
    source.get_token(&[scope], None).await.map_err(refused)
}

/// Whether to try again is told by what lies at the bottom.
fn refused(error: azure_core::Error) -> DriverError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut is_transient = false;
    while let Some(current) = cause {
        if let Some(known) = current.downcast_ref::<azure_core::Error>() {
            is_transient |= match known.kind() {
                ErrorKind::HttpResponse { status, .. } => matches!(u16::from(*status), 408 | 429 | 500..=599),
                ErrorKind::Connection | ErrorKind::Io => true,
                ErrorKind::DataConversion | ErrorKind::Credential | ErrorKind::Other => false,
            };
        }
        cause = current.source();
    }
    if is_transient {
        return DriverError::transient("sign in to Azure", error);
    }
    let reason = error.to_string();
    let reason = reason.lines().next().unwrap_or_default();
    DriverError::Unmet { what: format!("Azure does not let us sign in: {reason}"), hint: SIGN_IN.to_owned() }
}
