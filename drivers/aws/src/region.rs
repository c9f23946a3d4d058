//! The regions of an account.

use driver::DriverError;

use crate::api::{Api, Call};
use crate::rates::DESCRIBE_REGIONS;

/// The names of those that the account has enabled.
pub(crate) async fn enabled(api: &Api) -> Result<Vec<String>, DriverError> {
    let call = Call::new(DESCRIBE_REGIONS, "list the account's regions");
    let answer = api.call(call, || api.client.describe_regions().send()).await?;
    Ok(answer.regions().iter().filter_map(|region| region.region_name().map(ToOwned::to_owned)).collect())
}
