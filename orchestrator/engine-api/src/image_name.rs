//! Names and platforms of images, as requests give them: in two parameters, or as JSON.

use image::{InvalidReference, Platform, Reference};
use serde::Deserialize;

use crate::error::ApiError;
use crate::query::Query;

/// A name from a repository and a tag (or digest), which replaces one that the repository has.
pub(crate) fn reference(repository: &str, tag: &str) -> Result<Reference, ApiError> {
    let reference: Reference = repository.parse().map_err(invalid)?;
    if tag.is_empty() {
        return Ok(reference);
    }
    let separator = if tag.contains(':') { '@' } else { ':' };
    format!("{}{separator}{tag}", reference.name()).parse().map_err(invalid)
}

/// The same for a name that is given to an image, which has no digest.
pub(crate) fn new_tag(repository: &str, tag: &str) -> Result<Reference, ApiError> {
    let reference = reference(repository, tag)?;
    if reference.digest().is_some() {
        return Err(ApiError::invalid("cannot import digest reference"));
    }
    if reference.familiar_name() == "sha256" {
        return Err(ApiError::invalid("refusing to create an ambiguous tag using digest algorithm as name"));
    }
    Ok(reference)
}

/// Whether a name says which image of its repository is meant.
pub(crate) fn has_tag(name: &str) -> bool {
    name.rsplit('/').next().unwrap_or_default().contains([':', '@'])
}

/// The parameter `platform`: `linux/amd64`, or an object of the image specification.
pub(crate) fn platform(query: &Query) -> Result<Option<Platform>, ApiError> {
    let text = query.text("platform");
    if text.is_empty() {
        return Ok(None);
    }
    let text = if text.starts_with('{') {
        let object: PlatformBody = serde_json::from_str(text)
            .map_err(|error| ApiError::invalid(format!("failed to parse platform: {error}")))?;
        let parts = [object.os, object.architecture, object.variant];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    } else {
        text.to_owned()
    };
    text.parse().map(Some).map_err(|error| ApiError::invalid(format!("failed to parse platform: {error}")))
}

/// Whether an image is for the platform that was asked for; all are where none was.
pub(crate) fn is_for(image: &image::Image, wanted: Option<&Platform>) -> bool {
    let found: Option<Platform> = image.config.platform().to_string().parse().ok();
    wanted.is_none_or(|wanted| {
        found.is_some_and(|found| {
            (&found.os, &found.architecture) == (&wanted.os, &wanted.architecture)
                && (wanted.variant.is_empty() || wanted.variant == found.variant)
        })
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PlatformBody {
    os: String,
    architecture: String,
    variant: String,
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn invalid(error: InvalidReference) -> ApiError {
    ApiError::invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_together_from_their_parts() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let check = |repository: &str, tag: &str, expected: Result<&str, &str>| {
            let found = reference(repository, tag).map(|reference| reference.familiar()).map_err(|error| error.message);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{repository} {tag}");
        };
        check("alpine", "", Ok("alpine:latest"));
        check("alpine:3", "", Ok("alpine:3"));
        check("alpine:3", "4", Ok("alpine:4"));
        check("host:5000/a/b", "1", Ok("host:5000/a/b:1"));
        check("alpine", &digest, Ok(&format!("alpine@{digest}")));
        check("alpine", "a b", Err("invalid reference format"));
        check("", "", Err("invalid reference format"));
        assert_eq!(new_tag("a", &digest).unwrap_err().message, "cannot import digest reference");
        assert!(new_tag("sha256", "1").is_err());
    }

    #[test]
    fn platforms_are_read_in_both_forms() {
        let read = |text: &str| platform(&Query::parse(text)).map(|found| found.map(|found| found.to_string()));

        assert_eq!(read("platform=linux/x86_64"), Ok(Some("linux/amd64".to_owned())));
        let object = "platform=%7B%22os%22:%22linux%22,%22architecture%22:%22arm%22,%22variant%22:%22v7%22%7D";
        assert_eq!(read(object), Ok(Some("linux/arm/v7".to_owned())));
        assert_eq!(read(""), Ok(None));
        for wrong in ["platform=a/b/c/d", "platform=%7B", "platform=%7B%22os%22:1%7D"] {
            assert_eq!(read(wrong).unwrap_err().status.as_u16(), 400, "{wrong}");
        }
    }
}
