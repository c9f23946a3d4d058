//! The query of a request, read as Go reads it.

use std::borrow::Cow;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use model::Version;

use crate::error::ApiError;

/// The parameters of a request. Of several with one name the first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the question mark.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    /// A parameter; empty where it is absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All values of a parameter that may be given several times, in their order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A lenient boolean: everything is true but the absent, the empty, `0`, `no`, `false` and `none`.
    pub(crate) fn boolean(&self, name: &str) -> bool {
        let value = self.text(name).trim().to_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A strict boolean (Go's `ParseBool`); absent or empty is false.
    pub(crate) fn strict_boolean(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name) {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            other => Err(ApiError::invalid(format!("invalid value for {name}: {other}"))),
        }
    }

    /// The version of an object that the client saw, which every update must name.
    pub(crate) fn version(&self, object: &str) -> Result<Version, ApiError> {
        let text = self.text("version");
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let reason = match (is_number, text.parse()) {
            (true, Ok(version)) => return Ok(Version(version)),
            (true, Err(_)) => "value out of range",
            (false, _) => "invalid syntax",
        };
        Err(ApiError::invalid(format!(
            "invalid {object} version '{text}': strconv.ParseUint: parsing {text:?}: {reason}"
        )))
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

fn decode(text: &str) -> String {
    let spaced: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("filters=%7B%22a%22%3A%5B%5D%7D&since=1+2&empty&a=b=c&a=second");

        assert_eq!(query.text("filters"), r#"{"a":[]}"#);
        assert_eq!(query.text("since"), "1 2");
        assert_eq!(query.text("a"), "b=c");
        assert_eq!((query.text("empty"), query.text("absent")), ("", ""));
    }

    #[test]
    fn booleans_are_read_as_docker_reads_them() {
        let check = |text: &str, expected: bool| {
            assert_eq!(Query::parse(&format!("force={text}")).boolean("force"), expected, "{text}");
        };
        for no in ["", "0", "no", "false", "none", "FALSE", "+no+"] {
            check(no, false);
        }
        for yes in ["1", "true", "yes", "True", "x"] {
            check(yes, true);
        }
        assert!(!Query::default().boolean("force"));
    }

    #[test]
    fn strict_booleans_refuse_other_words() {
        let read = |text: &str| Query::parse(text).strict_boolean("rotateWorkerToken");

        assert_eq!(read("rotateWorkerToken=true"), Ok(true));
        assert_eq!(read(""), Ok(false));
        assert_eq!(read("rotateWorkerToken=yes").unwrap_err().message, "invalid value for rotateWorkerToken: yes");
    }

    #[test]
    fn versions_are_refused_in_dockers_words() {
        let read = |text: &str| Query::parse(text).version("node").map_err(|error| error.message);

        assert_eq!(read("version=12"), Ok(Version(12)));
        assert_eq!(read("").unwrap_err(), r#"invalid node version '': strconv.ParseUint: parsing "": invalid syntax"#);
        assert_eq!(
            read("version=-1").unwrap_err(),
            r#"invalid node version '-1': strconv.ParseUint: parsing "-1": invalid syntax"#
        );
        assert_eq!(
            read("version=99999999999999999999").unwrap_err(),
            "invalid node version '99999999999999999999': strconv.ParseUint: parsing \"99999999999999999999\": value \
             out of range"
        );
    }
}
