//! Bytes on their way to a file of a host, with the digest that they must have there.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// A file to put on a host: complete and verified under its name, or not there at all.
#[derive(Clone, PartialEq, Eq)]
pub struct Upload {
    /// Where it goes: an absolute path.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// The digest (sha256, lower-case hex) of the file as it shall lie there.
    pub sha256: String,
    /// The bytes.
    pub content: Content,
}

/// The bytes of an upload.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// As they shall lie there.
    Raw(Bytes),
    /// Compressed; unpacked on the host where it has gzip, else here before they are sent.
    Gzip(Bytes),
}

/// What an upload came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// The host had the same file already; nothing was sent.
    AlreadyThere,
    /// Sent compressed and unpacked there.
    SentCompressed,
    /// Sent as it is.
    SentRaw,
}

impl Upload {
    /// A file given as its bytes.
    pub fn raw(path: impl Into<String>, mode: u32, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { path: path.into(), mode, sha256: sha256_hex(&bytes), content: Content::Raw(bytes) }
    }

    /// A file given as gzip, with the digest of the file itself.
    pub fn gzip(path: impl Into<String>, mode: u32, gzip: impl Into<Bytes>, sha256: impl Into<String>) -> Self {
        Self { path: path.into(), mode, sha256: sha256.into(), content: Content::Gzip(gzip.into()) }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Upload").field("path", &self.path).field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Raw(bytes) => write!(formatter, "Raw({} bytes)", bytes.len()),
            Self::Gzip(bytes) => write!(formatter, "Gzip({} bytes)", bytes.len()),
        }
    }
}

/// The digest of bytes, in lower-case hex as `sha256sum` prints it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all that is written to it");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_look_as_sha256sum_prints_them() {
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
