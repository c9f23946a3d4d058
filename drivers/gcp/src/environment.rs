//! What surrounds the driver: the variables that Google's own tools read, and how patient it is.

use std::env;
use std::fmt;
use std::time::Duration;

use driver::Backoff;
use google_cloud_auth::credentials::Credentials;

/// gcloud's own variable for another address of Compute Engine.
const ENDPOINT: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE";
/// The variables that name the project, in the order in which they count.
const PROJECT: [&str; 2] = ["GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"];
/// gcloud's own variable for the region.
const REGION: &str = "CLOUDSDK_COMPUTE_REGION";
/// gcloud's own variable for the zone.
const ZONE: &str = "CLOUDSDK_COMPUTE_ZONE";

/// What surrounds the driver.
#[derive(Clone, Default)]
pub struct Environment {
    /// Where Compute Engine is, if not at Google's: a URL with or without `compute/v1/` at its end.
    pub endpoint: Option<String>,
    /// How to get in; absent: Application Default Credentials.
    pub credentials: Option<Credentials>,
    /// The project, where no option names it.
    pub project: Option<String>,
    /// The region, where no option names it.
    pub region: Option<String>,
    /// The zone, where no option names one or a region.
    pub zone: Option<String>,
    /// How patient the driver is.
    pub patience: Patience,
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Environment")
            .field("endpoint", &self.endpoint)
            .field("project", &self.project)
            .field("region", &self.region)
            .field("zone", &self.zone)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// How patient the driver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// With a call that may be tried again.
    pub backoff: Backoff,
    /// The pause between two looks.
    pub interval: Duration,
    /// How long an operation, an address or a machine that vanishes may take.
    pub limit: Duration,
    /// How long something that was made may stay unseen, before it counts as gone.
    pub unseen: Duration,
}

impl Default for Patience {
    /// Google's rates are refilled each minute: who is refused tries a little longer than that.
    fn default() -> Self {
        Self {
            backoff: Backoff { attempts: 10, ..Backoff::default() },
            interval: Duration::from_secs(1),
            limit: Duration::from_mins(5),
            unseen: Duration::from_secs(10),
        }
    }
}

impl Environment {
    /// Reads the variables of this process.
    pub fn read() -> Self {
        let read = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            endpoint: read(ENDPOINT),
            credentials: None,
            project: PROJECT.into_iter().find_map(read),
            region: read(REGION),
            zone: read(ZONE),
            patience: Patience::default(),
        }
    }

    /// The address of Compute Engine without the path that the client adds itself.
    pub(crate) fn address(&self) -> Option<String> {
        let endpoint = self.endpoint.as_deref()?.trim_end_matches('/');
        Some(endpoint.strip_suffix("/compute/v1").unwrap_or(endpoint).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_may_be_written_as_gcloud_takes_it_or_short() {
        let address = |endpoint: &str| {
            Environment { endpoint: Some(endpoint.to_owned()), ..Environment::default() }.address().unwrap()
        };

        assert_eq!(address("http://127.0.0.1:9/compute/v1/"), "http://127.0.0.1:9");
        assert_eq!(address("http://127.0.0.1:9"), "http://127.0.0.1:9");
    }
}
