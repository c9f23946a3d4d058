//! What the driver takes from its environment: credentials, and where Azure is. Read once, when the driver is opened.

use std::path::PathBuf;

use azure_core::credentials::Secret;

/// The variables that Microsoft's own tools read.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `AZURE_TENANT_ID`.
    pub(crate) tenant: Option<String>,
    /// `AZURE_CLIENT_ID`.
    pub(crate) client: Option<String>,
    /// `AZURE_CLIENT_SECRET`.
    pub(crate) secret: Option<Secret>,
    /// `AZURE_SUBSCRIPTION_ID`.
    pub(crate) subscription: Option<String>,
    /// `AZURE_DEFAULTS_LOCATION`, as `az configure` names it.
    pub(crate) region: Option<String>,
    /// `AZURE_AUTHORITY_HOST`: where to sign in; another in sovereign clouds.
    pub(crate) authority: Option<String>,
    /// `AZURE_RESOURCE_MANAGER_ENDPOINT`: where Azure Resource Manager is; another in sovereign clouds.
    pub(crate) endpoint: Option<String>,
    /// `SSL_CERT_FILE`: certificates to trust beside the system's.
    pub(crate) certificates: Option<PathBuf>,
}

/// Azure Resource Manager of the public cloud.
const PUBLIC_ENDPOINT: &str = "https://management.azure.com";

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// An environment in which a variable has the value that it is looked up with; an empty one is none.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            tenant: variable("AZURE_TENANT_ID"),
            client: variable("AZURE_CLIENT_ID"),
            secret: variable("AZURE_CLIENT_SECRET").map(Secret::new),
            subscription: variable("AZURE_SUBSCRIPTION_ID"),
            region: variable("AZURE_DEFAULTS_LOCATION"),
            authority: variable("AZURE_AUTHORITY_HOST"),
            endpoint: variable("AZURE_RESOURCE_MANAGER_ENDPOINT"),
            certificates: variable("SSL_CERT_FILE").map(PathBuf::from),
        }
    }

    /// Where Azure Resource Manager is, without a slash at the end.
    pub(crate) fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(PUBLIC_ENDPOINT).trim_end_matches('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_with_or_without_a_slash_and_is_the_public_one_otherwise() {
        let with = |value: &'static str| {
            Environment::read(move |name| (name == "AZURE_RESOURCE_MANAGER_ENDPOINT").then(|| value.to_owned()))
        };

        assert_eq!(with("https://management.usgovcloudapi.net/").endpoint(), "https://management.usgovcloudapi.net");
        assert_eq!(with("").endpoint(), PUBLIC_ENDPOINT);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let environment = Environment::read(|name| Some(format!("value-of-{name}")));

        assert!(!format!("{environment:?}").contains("value-of-AZURE_CLIENT_SECRET"));
    }
}
