//! Who a client is at a registry: the header `X-Registry-Auth`.

use http::HeaderMap;
use image::Credentials;

use crate::error::ApiError;

/// The header, which holds JSON in base64.
const HEADER: &str = "x-registry-auth";
/// The longest header: tokens of some registries have several kilobytes.
const LIMIT: usize = 64 << 10;

/// Reads who asks; nobody in particular where nothing is said.
///
/// # Errors
/// The header is not as Docker's clients write it.
pub(crate) fn credentials(headers: &HeaderMap) -> Result<Credentials, ApiError> {
    let Some(header) = headers.get(HEADER) else { return Ok(Credentials::default()) };
    let invalid = |why: &str| ApiError::invalid(format!("invalid X-Registry-Auth header: {why}"));
    let text = header.to_str().map_err(|_| invalid("it is no plain text"))?;
    if text.len() > LIMIT {
        return Err(invalid("it is too long"));
    }
    Credentials::from_header(text).map_err(|error| invalid(&error.to_string()))
}
