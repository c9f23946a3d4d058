//! The body of a request: bounded, JSON, and read as leniently as Go reads it.

mod fields;

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::fields::ByName;
use crate::error::ApiError;

/// The longest body: a swarm's or node's settings have some kilobytes, with many labels.
const MAX_LENGTH: usize = 1024 * 1024;
/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the JSON in a body. What is absent, null or unknown is as if it had not been sent; an empty body is `{}`.
pub(crate) async fn read_json<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    from_value(read_value(request).await?)
}

/// The same, before it is taken for anything.
pub(crate) async fn read_value(request: Request) -> Result<Value, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = read(body).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    check_content_type(&parts.headers)?;
    serde_json::from_slice(&bytes).map_err(|error| invalid_json(&error))
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    let collected = tokio::time::timeout(PATIENCE, Limited::new(body, MAX_LENGTH).collect())
        .await
        .map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time"))?;
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request body is larger than {MAX_LENGTH} bytes"),
        )),
        Err(error) => Err(ApiError::invalid(format!("failed to read the request body: {error}"))),
    }
}

/// Refuses other media types in Docker's words. None at all is tolerated, as old clients send none.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::invalid(format!("unsupported Content-Type header ({text}): must be 'application/json'")))
}

/// Takes a document for what it should be; what is null in it is as if it had not been sent.
pub(crate) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    match without_nulls(value).unwrap_or_else(|| Value::Object(Map::new())) {
        object @ Value::Object(_) => T::deserialize(ByName(object)).map_err(|error| invalid_json(&error)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(ApiError::invalid("invalid JSON: an object is expected"))
        }
    }
}

/// Drops nulls at any depth: to Go, null is a field that was not sent. The depth is bounded by the parser.
fn without_nulls(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(values) => Some(Value::Array(values.into_iter().filter_map(without_nulls).collect())),
        Value::Object(members) => {
            let members = members.into_iter().filter_map(|(key, value)| Some((key, without_nulls(value)?)));
            Some(Value::Object(members.collect()))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value),
    }
}

fn invalid_json(error: &serde_json::Error) -> ApiError {
    ApiError::invalid(format!("invalid JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::Request;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Sample {
        name: String,
        labels: BTreeMap<String, String>,
        addresses: Vec<String>,
    }

    async fn read_sample(content_type: Option<&str>, body: impl Into<Body>) -> Result<Sample, (u16, String)> {
        let mut request = Request::new(body.into());
        if let Some(content_type) = content_type {
            request.headers_mut().insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        read_json(request).await.map_err(|error| (error.status.as_u16(), error.message))
    }

    #[tokio::test]
    async fn nothing_null_and_unknown_fields_are_tolerated() {
        for body in ["", "null", "{}", r#"{"Labels":null,"Color":"red","Addresses":[null]}"#] {
            assert_eq!(read_sample(None, body).await, Ok(Sample::default()), "{body}");
        }
        assert_eq!(read_sample(Some("text/plain"), "").await, Ok(Sample::default()));
    }

    #[tokio::test]
    async fn the_media_type_may_have_parameters_and_no_other_name() {
        let named = Sample { name: "x".to_owned(), ..Sample::default() };

        let with_charset = read_sample(Some("application/json; charset=utf-8"), r#"{"Name":"x"}"#).await;
        let as_text = read_sample(Some("text/plain"), r#"{"Name":"x"}"#).await;

        assert_eq!(with_charset, Ok(named));
        let refusal = "unsupported Content-Type header (text/plain): must be 'application/json'".to_owned();
        assert_eq!(as_text, Err((400, refusal)));
    }

    #[tokio::test]
    async fn what_is_no_json_is_refused() {
        for body in ["{", "{}{}", r#"{"Name":1}"#, "[]", "\u{0}"] {
            let (status, message) = read_sample(None, body).await.unwrap_err();
            assert!(status == 400 && message.starts_with("invalid JSON: "), "{body}: {message}");
        }
    }

    #[tokio::test]
    async fn a_body_is_bounded_in_length_and_depth() {
        let long = format!(r#"{{"Name":"{}"}}"#, "x".repeat(MAX_LENGTH));
        let deep = "[".repeat(100_000);

        assert_eq!(read_sample(None, long).await.unwrap_err().0, 413);
        assert_eq!(read_sample(None, deep).await.unwrap_err().0, 400);
    }
}
