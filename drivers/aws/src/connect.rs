//! The way to an account: configuration and credentials by the provider's own chain, over TLS by ring.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{Builder, SharedHttpClient};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use driver::DriverError;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a call may take, answer included; launching many machines takes some ten seconds.
const CALL: Duration = Duration::from_mins(1);

/// What the provider's own chain finds: variables, profiles, the region of a machine at the provider.
pub(crate) async fn load(region: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client());
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    Box::pin(loader.load()).await
}

/// A client and its region. Whether a call is tried again is decided in one place, which is not the client.
pub(crate) fn client(configuration: &SdkConfig, region: Option<&str>) -> Result<(Client, String), DriverError> {
    let region =
        region.map(ToOwned::to_owned).or_else(|| configuration.region().map(ToString::to_string)).ok_or_else(|| {
            DriverError::Unmet {
                what: "no region is named".to_owned(),
                hint: "name one with --region or AWS_REGION, or with `aws configure set region`".to_owned(),
            }
        })?;
    let configuration = Builder::from(configuration)
        .region(Region::new(region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(CALL).build())
        .build();
    Ok((Client::from_conf(configuration), region))
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}
