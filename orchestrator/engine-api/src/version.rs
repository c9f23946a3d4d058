//! The API version that a client asks for: the `/v1.NN` before the path, or none.

use std::fmt;

use http::Uri;
use http::uri::PathAndQuery;

use model::{API_VERSION, MIN_API_VERSION};

use crate::error::ApiError;

/// A version of the API. Decides which fields a client of that age is given and may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion {
    major: u32,
    minor: u32,
}

impl ApiVersion {
    /// A version by its numbers.
    pub(crate) const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Reads digits and points; what follows the second number is of no account.
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
        Some(Self { major: numbers.next()?, minor: numbers.next().unwrap_or(0) })
    }

    fn newest() -> Self {
        Self::parse(API_VERSION).expect("our own version is well-formed")
    }

    fn oldest() -> Self {
        Self::parse(MIN_API_VERSION).expect("our own oldest version is well-formed")
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// Takes the version off the path. A path without one means the newest version.
///
/// # Errors
/// The version is out of our range, in Docker's words.
pub(crate) fn take_from(uri: &mut Uri) -> Result<ApiVersion, ApiError> {
    let Some((text, rest)) = split(uri.path()) else {
        return Ok(ApiVersion::newest());
    };
    let Some(version) = ApiVersion::parse(text) else {
        return Ok(ApiVersion::newest());
    };
    if version < ApiVersion::oldest() {
        return Err(ApiError::invalid(format!(
            "client version {text} is too old. Minimum supported API version is {MIN_API_VERSION}, please upgrade \
             your client to a newer version"
        )));
    }
    if version > ApiVersion::newest() {
        return Err(ApiError::invalid(format!(
            "client version {text} is too new. Maximum supported API version is {API_VERSION}"
        )));
    }
    let rest = uri.query().map_or_else(|| rest.to_owned(), |query| format!("{rest}?{query}"));
    let rest = PathAndQuery::try_from(rest).map_err(|_| ApiError::page_not_found())?;
    *uri = Uri::from(rest);
    Ok(version)
}

/// Splits `/v1.41/nodes` into `1.41` and `/nodes`.
fn split(path: &str) -> Option<(&str, &str)> {
    let versioned = path.strip_prefix("/v")?;
    let end = versioned.find('/')?;
    Some((&versioned[..end], &versioned[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Result<(&str, &str), &str>) {
        let mut uri: Uri = path.parse().unwrap();
        let found = take_from(&mut uri).map(|version| (version.to_string(), uri.to_string()));
        let found = found.map_err(|error| error.message);
        let expected = expected.map(|(version, rest)| (version.to_owned(), rest.to_owned())).map_err(str::to_owned);
        assert_eq!(found, expected, "{path}");
    }

    proptest::proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "/v[0-9.]{0,24}(/[a-z?/]{0,8})?") {
            let mut uri: Uri = path.parse().unwrap();
            let _ = take_from(&mut uri);
        }
    }

    #[test]
    fn the_version_is_taken_off_the_path() {
        check("/nodes", Ok(("1.51", "/nodes")));
        check("/v1.41/nodes", Ok(("1.41", "/nodes")));
        check("/v1.24/nodes?filters=%7B%7D", Ok(("1.24", "/nodes?filters=%7B%7D")));
        check("/v1.51/_ping", Ok(("1.51", "/_ping")));
    }

    #[test]
    fn a_path_that_only_looks_versioned_is_left_alone() {
        check("/volumes", Ok(("1.51", "/volumes")));
        check("/volumes/prune", Ok(("1.51", "/volumes/prune")));
        check("/vx/nodes", Ok(("1.51", "/vx/nodes")));
        check("/v1.41", Ok(("1.51", "/v1.41")));
    }

    #[test]
    fn versions_out_of_range_are_refused_in_dockers_words() {
        check("/v1.52/info", Err("client version 1.52 is too new. Maximum supported API version is 1.51"));
        check("/v2.0/info", Err("client version 2.0 is too new. Maximum supported API version is 1.51"));
        check(
            "/v1.23/info",
            Err("client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client \
                 to a newer version"),
        );
        check(
            "/v1/info",
            Err("client version 1 is too old. Minimum supported API version is 1.24, please upgrade your client to \
                 a newer version"),
        );
    }

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        assert!(ApiVersion::new(1, 9) < ApiVersion::new(1, 24));
        assert!(ApiVersion::new(1, 51) < ApiVersion::new(2, 0));
    }
}
