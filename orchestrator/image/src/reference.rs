//! Names of images as people write them, and Docker's rules for what they mean.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, InvalidDigest};

/// The registry that is meant where none is named.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// The tag that is meant where neither tag nor digest is named.
const DEFAULT_TAG: &str = "latest";
/// Docker's bound on a repository's name.
const NAME_LIMIT: usize = 255;
/// Docker's bound on a tag.
const TAG_LIMIT: usize = 128;

/// A name of an image, in full: `alpine` is `docker.io/library/alpine:latest`.
///
/// It has a tag, a digest or both; where it has both, the digest decides what is pulled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no name of an image, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// It has another form.
    #[error("invalid reference format")]
    Format,
    /// Docker takes 64 hexadecimal digits for an id everywhere.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeAnId(String),
    /// Only tags may have capitals.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// Longer than 255 bytes.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// What follows the `@`.
    #[error("invalid reference format")]
    Digest(#[source] InvalidDigest),
}

impl Reference {
    /// The registry: a host, with its port where one is named.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one was written or meant.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was written.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Registry and repository: `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// [`Self::name`] as Docker shows it: `alpine`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix("library/") {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole as Docker shows it: `alpine:latest`.
    pub fn familiar(&self) -> String {
        self.with_suffixes(self.familiar_name())
    }

    /// The same repository by this digest alone.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { domain: self.domain.clone(), path: self.path.clone(), tag: None, digest: Some(digest) }
    }

    /// The same without its digest, if a tag is left.
    pub fn without_digest(&self) -> Option<Self> {
        self.tag.is_some().then(|| Self { digest: None, ..self.clone() })
    }

    fn with_suffixes(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name = format!("{name}:{tag}");
        }
        if let Some(digest) = &self.digest {
            name = format!("{name}@{digest}");
        }
        name
    }
}

impl fmt::Display for Reference {
    /// The whole in full; parsing it again gives the same reference.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.with_suffixes(self.name()))
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidReference::LooksLikeAnId(text.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(InvalidReference::Digest)?)),
        };
        let (domain, remainder) = split_domain(rest);
        let (path, tag) = match remainder.rsplit_once(':') {
            None => (remainder, None),
            Some((path, tag)) => (path, Some(tag)),
        };
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') && !path.is_empty() {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidReference::Uppercase(path));
        }
        if !is_domain(domain) || !path.split('/').all(is_path_component) || !tag.is_none_or(is_tag) {
            return Err(InvalidReference::Format);
        }
        if domain.len() + 1 + path.len() > NAME_LIMIT {
            return Err(InvalidReference::TooLong);
        }
        let tag = match (tag, digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }
}

/// The registry is what stands before the first slash, if it looks like a host.
fn split_domain(text: &str) -> (&str, &str) {
    let Some((first, rest)) = text.split_once('/') else { return (DEFAULT_DOMAIN, text) };
    let is_host =
        first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase());
    match (is_host, first) {
        (true, "index.docker.io") => (DEFAULT_DOMAIN, rest),
        (true, _) => (first, rest),
        (false, _) => (DEFAULT_DOMAIN, text),
    }
}

/// A host name or address, perhaps with a port.
fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, port)) if port.starts_with(':') => (address, Some(&port[1..])),
            _ => return false,
        },
        None => match text.split_once(':') {
            None => (text, None),
            Some((host, port)) => (host, Some(port)),
        },
    };
    let is_host = if text.starts_with('[') {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':')
    } else {
        host.split('.').all(is_domain_component)
    };
    is_host && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_domain_component(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Words of lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_path_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !is_word(*first) || !is_word(*last) {
        return false;
    }
    bytes
        .split(|byte| is_word(*byte))
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-'))
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=TAG_LIMIT).contains(&text.len())
        && is_word(text.as_bytes()[0])
        && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, full: &str, familiar: &str) {
        let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));

        assert_eq!(reference.to_string(), full, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
    }

    #[test]
    fn names_are_completed_and_shown_as_docker_does() {
        let digest = Digest::of(b"");
        check("alpine", "docker.io/library/alpine:latest", "alpine:latest");
        check("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20");
        check("bitnami/redis", "docker.io/bitnami/redis:latest", "bitnami/redis:latest");
        check("index.docker.io/library/a", "docker.io/library/a:latest", "a:latest");
        check("docker.io/a/b/c:V1", "docker.io/a/b/c:V1", "a/b/c:V1");
        check("localhost/x", "localhost/x:latest", "localhost/x:latest");
        check("host:5000/x", "host:5000/x:latest", "host:5000/x:latest");
        check("[::1]:5000/x:1", "[::1]:5000/x:1", "[::1]:5000/x:1");
        check("ghcr.io/o/a__b-c--d.e", "ghcr.io/o/a__b-c--d.e:latest", "ghcr.io/o/a__b-c--d.e:latest");
        check(&format!("a@{digest}"), &format!("docker.io/library/a@{digest}"), &format!("a@{digest}"));
        check(&format!("a:1@{digest}"), &format!("docker.io/library/a:1@{digest}"), &format!("a:1@{digest}"));
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        let long = "a/".repeat(130) + "a";
        for text in [
            "",
            ":",
            "a:",
            "a:-b",
            "a b",
            "-a",
            "a-",
            "a___b",
            "a..b",
            "a/",
            "/a",
            "a//b",
            "a@sha256:12",
            "a.b:x/c",
            "../a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        assert_eq!(long.parse::<Reference>(), Err(InvalidReference::TooLong));
        assert!(matches!("Foo".parse::<Reference>(), Err(InvalidReference::Uppercase(_))));
        assert!(matches!("a".repeat(64).parse::<Reference>(), Err(InvalidReference::LooksLikeAnId(_))));
        assert!(format!("a:{}", "t".repeat(129)).parse::<Reference>().is_err());
    }

    proptest! {
        #[test]
        fn every_reference_reads_what_it_writes(text in "([a-z0-9.:-]{1,12}/)?[a-z0-9._/-]{1,20}(:[A-Za-z0-9._-]{1,12})?") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference.clone()));
                prop_assert_eq!(reference.familiar().parse::<Reference>(), Ok(reference));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
            drop(text.parse::<Reference>());
        }
    }
}
