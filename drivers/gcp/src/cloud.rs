//! The calls to Compute Engine: each takes its place, is tried again while that may help, and fails in our words.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driver::{DriverError, Pace, Rate, retry};
use google_cloud_auth::credentials::{Builder, Credentials};
use google_cloud_compute_v1::client::{
    Firewalls, GlobalOperations, Instances, Networks, Projects, RegionOperations, Regions, Subnetworks, ZoneOperations,
};
use google_cloud_gax::client_builder::Result as BuildResult;
use google_cloud_gax::retry_policy::NeverRetry;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustls::crypto::{CryptoProvider, ring};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::environment::Environment;
use crate::failure::{self, LOG_IN};
use crate::memory::Memory;
use crate::settings::{PROJECT, Settings};

// Google counts by the project and the minute: <https://cloud.google.com/compute/docs/api-rate-limits>. A bucket may be
// full when a minute begins, so burst and refill together stay below what a minute allows.

/// Calls that change something: 1500 a minute.
pub(crate) const CHANGES: Rate = Rate { bucket: "gcp.changes", burst: 300.0, per_second: 20.0 };
/// Calls that read one thing: 1500 a minute.
pub(crate) const READS: Rate = Rate { bucket: "gcp.reads", burst: 300.0, per_second: 20.0 };
/// Lists: 750 a minute.
pub(crate) const LISTS: Rate = Rate { bucket: "gcp.lists", burst: 150.0, per_second: 10.0 };
/// Looks at operations: 1500 a minute.
pub(crate) const OPERATIONS: Rate = Rate { bucket: "gcp.operations", burst: 300.0, per_second: 20.0 };

/// How long an answer may take.
const ANSWER: Duration = Duration::from_mins(1);
/// How long an answer may take that waits for an operation: Google holds it for two minutes.
const LONG_ANSWER: Duration = Duration::from_secs(150);
/// How long getting the first token may take, where credentials are looked for at the metadata server.
const FIRST_TOKEN: Duration = Duration::from_secs(30);

/// Clients of the parts of Compute Engine, and the project.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) project: String,
    pub(crate) instances: Instances,
    pub(crate) firewalls: Firewalls,
    pub(crate) networks: Networks,
    pub(crate) subnetworks: Subnetworks,
    pub(crate) regions: Regions,
    pub(crate) projects: Projects,
    pub(crate) zone_operations: ZoneOperations,
    pub(crate) region_operations: RegionOperations,
    pub(crate) global_operations: GlobalOperations,
}

/// Compute Engine as the driver uses it.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) environment: Environment,
    pub(crate) settings: Settings,
    pub(crate) memory: Memory,
    pace: Pace,
    clients: OnceCell<Clients>,
    /// The zones of the region, once they were asked for.
    pub(crate) zones: OnceCell<Vec<String>>,
}

impl Cloud {
    pub(crate) fn new(settings: Settings, environment: Environment, folder: &Path) -> Self {
        Self {
            environment,
            settings,
            memory: Memory::default(),
            pace: Pace::new(folder),
            clients: OnceCell::new(),
            zones: OnceCell::new(),
        }
    }

    /// The clients; the first use finds the credentials.
    pub(crate) async fn clients(&self) -> Result<&Clients, DriverError> {
        self.clients.get_or_try_init(|| connect(&self.environment, &self.settings)).await
    }

    /// Calls Compute Engine; `action` is a clause such as "list the machines".
    pub(crate) async fn call<T, F>(
        &self,
        rate: Rate,
        action: &str,
        mut send: impl FnMut(&Clients) -> F,
    ) -> Result<T, DriverError>
    where
        F: Future<Output = google_cloud_compute_v1::Result<T>>,
    {
        let clients = self.clients().await?;
        let mut rng = StdRng::seed_from_u64(rand::random());
        let called = retry(&self.environment.patience.backoff, &mut rng, || {
            let answer = send(clients);
            async {
                self.pace.take(rate, 1).await?;
                answer.await.map_err(|error| failure::of_call(action, error))
            }
        });
        called.await.map_err(DriverError::into_final)
    }

    /// Pauses between two looks.
    pub(crate) async fn pause(&self) {
        tokio::time::sleep(self.environment.patience.interval).await;
    }
}

async fn connect(environment: &Environment, settings: &Settings) -> Result<Clients, DriverError> {
    if CryptoProvider::get_default().is_none() {
        // Where somebody else was quicker, theirs is as good.
        drop(ring::default_provider().install_default());
    }
    let credentials = match &environment.credentials {
        Some(credentials) => credentials.clone(),
        None => Builder::default().build().map_err(|error| DriverError::Unmet {
            what: format!("there are no credentials for Google Cloud: {error}"),
            hint: LOG_IN.to_owned(),
        })?,
    };
    let token = tokio::time::timeout(FIRST_TOKEN, credentials.headers(http::Extensions::new()));
    let problem = match token.await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("nobody answers".to_owned()),
    };
    if let Some(problem) = problem {
        let what = format!("Google gives no token for the credentials: {problem}");
        return Err(DriverError::Unmet { what, hint: LOG_IN.to_owned() });
    }
    let project = match &settings.project {
        Some(project) => project.clone(),
        None => project_of_credentials().await.ok_or_else(|| DriverError::Unmet {
            what: "no project of Google Cloud is named".to_owned(),
            hint: format!("name it with `--{PROJECT}`, or in GOOGLE_CLOUD_PROJECT"),
        })?,
    };
    build(environment.address(), credentials, project)
        .await
        .map_err(|error| DriverError::provider("prepare the calls to Compute Engine", error))
}

async fn build(endpoint: Option<String>, credentials: Credentials, project: String) -> BuildResult<Clients> {
    macro_rules! client {
        ($service:ty, $answer:expr) => {{
            let builder = <$service>::builder()
                .with_credentials(credentials.clone())
                .with_retry_policy(NeverRetry)
                .with_attempt_timeout($answer);
            match &endpoint {
                Some(endpoint) => builder.with_endpoint(endpoint).build().await?,
                None => builder.build().await?,
            }
        }};
    }
    Ok(Clients {
        project,
        instances: client!(Instances, ANSWER),
        firewalls: client!(Firewalls, ANSWER),
        networks: client!(Networks, ANSWER),
        subnetworks: client!(Subnetworks, ANSWER),
        regions: client!(Regions, ANSWER),
        projects: client!(Projects, ANSWER),
        zone_operations: client!(ZoneOperations, LONG_ANSWER),
        region_operations: client!(RegionOperations, LONG_ANSWER),
        global_operations: client!(GlobalOperations, LONG_ANSWER),
    })
}

/// The project that the file of Application Default Credentials names, if any.
async fn project_of_credentials() -> Option<String> {
    let path = match env::var_os("GOOGLE_APPLICATION_CREDENTIALS") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME")?).join(".config/gcloud/application_default_credentials.json"),
    };
    let fields: Value = serde_json::from_slice(&tokio::fs::read(path).await.ok()?).ok()?;
    let named = ["project_id", "quota_project_id"].into_iter().find_map(|name| fields[name].as_str());
    named.map(ToOwned::to_owned)
}
