//! The grammar of an image's name: `[host[:port]/]path[:tag][@algorithm:digest]`.

/// The longest path of an image, its host with it (Docker's `RepositoryNameTotalLengthMax`).
const MAX_NAME: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;
/// The shortest digest, in hexadecimal digits.
const MIN_DIGEST: usize = 32;

/// Whether a text names an image as Docker writes it. A bare image id names none.
pub(super) fn is_image(text: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == 64 && text.bytes().all(is_hex) {
        return false;
    }
    let (text, digest) = match text.split_once('@') {
        Some((text, digest)) => (text, Some(digest)),
        None => (text, None),
    };
    // A colon behind the last slash begins the tag; one before it, a port.
    let tag_at = text.rfind(':').filter(|at| !text[*at..].contains('/'));
    let (name, tag) = match tag_at {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    name.len() <= MAX_NAME && is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)
}

fn is_name(name: &str) -> bool {
    match name.split_once('/') {
        Some((host, path)) if is_host(host) => path.split('/').all(is_component),
        Some(_) | None => name.split('/').all(is_component),
    }
}

/// What stands before the first slash is a host when it could be no folder: it has a point, a port or capitals, or is
/// `localhost`.
fn is_host(text: &str) -> bool {
    let looks_like_one =
        text == "localhost" || text.contains(['.', ':']) || text.bytes().any(|byte| byte.is_ascii_uppercase());
    let (name, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((address, port)) => {
            return is_ipv6(address) && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(is_inner)
    };
    looks_like_one && name.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Small letters and digits, with `.`, `_`, `__` or hyphens between them.
fn is_component(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = text.split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit());
    let is_separator = |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if is_letter(*first) && is_letter(*last))
        && separators.into_iter().all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_inner = |byte: u8| is_word(byte) || matches!(byte, b'.' | b'-');
    text.len() <= MAX_TAG && text.bytes().next().is_some_and(is_word) && text.bytes().all(is_inner)
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, digits)) = text.split_once(':') else { return false };
    let is_algorithm = algorithm.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-' | b'_'));
    is_algorithm && digits.len() >= MIN_DIGEST && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_as_docker_names_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for good in [
            "busybox",
            "busybox:1.36",
            "library/busybox",
            "a/b/c:V1_x-2",
            "localhost/x",
            "localhost:5000/x",
            "Registry/x",
            "registry.example.com:5000/team/a__b-c--d.e:latest",
            "[::1]:5000/x:1",
            &format!("busybox@{digest}"),
            &format!("r.io/busybox:1@{digest}"),
        ] {
            assert!(is_image(good), "{good}");
        }
        for bad in [
            "",
            " ",
            "Busybox",
            "busybox:",
            "busybox:-1",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a___b",
            "-a",
            "a_",
            "a b",
            "busybox@sha256:abc",
            "busybox@latest",
            "http://a/b",
            "a:b:c",
            "[x]/a",
            &"a".repeat(64),
            &"x".repeat(300),
            &format!("a:{}", "t".repeat(129)),
        ] {
            assert!(!is_image(bad), "{bad}");
        }
    }
}
