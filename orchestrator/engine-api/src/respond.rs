//! Answers in the form Docker gives them: JSON with a line feed behind it, or nothing at all.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tracing::error;

/// The media type of every document, without a character set, as Docker sends it.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A document.
pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Response {
    match line(document) {
        Ok(text) => (status, [(CONTENT_TYPE, JSON)], text).into_response(),
        Err(error) => {
            error!(%error, "failed to write an answer");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A document as one line, for streams.
pub(crate) fn line(document: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = serde_json::to_vec(document)?;
    text.push(b'\n');
    Ok(text)
}

/// Done, and nothing to say.
pub(crate) fn done() -> Response {
    Response::new(Body::empty())
}
