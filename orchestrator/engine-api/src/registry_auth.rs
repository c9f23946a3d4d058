//! Who a client is at a registry: the header `X-Registry-Auth`.
//!
//! What cannot be read says nothing, as in Docker: clients send anything at all where they have nobody to name.

use http::HeaderMap;
use image::Credentials;

/// The header, which holds JSON in base64.
const HEADER: &str = "x-registry-auth";
/// The longest header: tokens of some registries have several kilobytes.
const LIMIT: usize = 64 << 10;

/// Reads who asks; nobody in particular where nothing is said that can be understood.
pub(crate) fn credentials(headers: &HeaderMap) -> Credentials {
    let text = headers.get(HEADER).and_then(|header| header.to_str().ok()).filter(|text| text.len() <= LIMIT);
    text.and_then(|text| Credentials::from_header(text).ok()).unwrap_or_default()
}
