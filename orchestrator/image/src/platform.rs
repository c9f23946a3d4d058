//! What machine an image is made for, and which of several images fits a machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::null_is_default;

/// Operating system and processor, in the image specification's words (`linux`, `amd64`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// `linux`.
    #[serde(deserialize_with = "null_is_default")]
    pub os: String,
    /// `amd64`, `arm64`, `arm`, …
    #[serde(deserialize_with = "null_is_default")]
    pub architecture: String,
    /// The generation of the processor: `v7`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub variant: String,
}

/// A text that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlatform {
    /// It is not of that form.
    #[error("`{0}` is no platform: os/architecture or os/architecture/variant")]
    Malformed(String),
    /// One word alone, and neither a system nor an architecture. Docker's words.
    #[error("\"{0}\": unknown operating system or architecture: invalid argument")]
    Unknown(String),
}

/// The architectures that may be named alone: those of Go's compiler that Linux has. Source: containerd's `platforms`.
const ARCHITECTURES: [&str; 14] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64",
    "s390x", "sparc64",
];

impl Platform {
    /// The platform of this machine.
    pub fn host() -> Self {
        normalized("linux", std::env::consts::ARCH, "")
    }

    /// How well an image of `offered` runs here: less is better, `None` is not at all.
    pub(crate) fn distance(&self, offered: &Self) -> Option<u32> {
        let wanted = normalized(&self.os, &self.architecture, &self.variant);
        let offered = normalized(&offered.os, &offered.architecture, &offered.variant);
        if wanted.os != offered.os || wanted.architecture != offered.architecture {
            return None;
        }
        let generation = |platform: &Self| match platform.variant.strip_prefix('v') {
            Some(number) => number.parse::<u32>().ok(),
            None => platform.variant.is_empty().then_some(if platform.architecture == "arm" { 7 } else { 0 }),
        };
        // A processor runs what its elders ran, and an unknown variant only where it is named.
        if wanted.variant == offered.variant {
            return Some(0);
        }
        generation(&wanted)?.checked_sub(generation(&offered)?)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(formatter, "/{}", self.variant) }
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    /// `linux/amd64`, `linux/arm/v7`; `arm64` alone is of linux.
    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        };
        let shown = || text.chars().take(80).collect();
        if !parts.iter().all(is_word) {
            return Err(InvalidPlatform::Malformed(shown()));
        }
        match parts[..] {
            ["linux"] => Ok(Self::host()),
            [architecture] => {
                let platform = normalized("linux", architecture, "");
                let is_known = ARCHITECTURES.contains(&platform.architecture.as_str());
                if is_known { Ok(platform) } else { Err(InvalidPlatform::Unknown(shown())) }
            }
            [os, architecture] => Ok(normalized(os, architecture, "")),
            [os, architecture, variant] => Ok(normalized(os, architecture, variant)),
            _ => Err(InvalidPlatform::Malformed(shown())),
        }
    }
}

/// One name for what has several.
fn normalized(os: &str, architecture: &str, variant: &str) -> Platform {
    let (architecture, variant) = match (architecture.to_ascii_lowercase().as_str(), variant) {
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64".to_owned(), ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64".to_owned(), variant),
        ("aarch64" | "arm64", "v8" | "8") => ("arm64".to_owned(), ""),
        ("aarch64" | "arm64", variant) => ("arm64".to_owned(), variant),
        ("x86" | "i386" | "i686" | "386", _) => ("386".to_owned(), ""),
        ("armhf" | "armv7l", _) => ("arm".to_owned(), "v7"),
        ("armel", _) => ("arm".to_owned(), "v6"),
        (other, variant) => (other.to_owned(), variant),
    };
    Platform { os: os.to_ascii_lowercase(), architecture, variant: variant.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &str, offered: &str, distance: Option<u32>) {
        let (wanted, offered): (Platform, Platform) = (wanted.parse().unwrap(), offered.parse().unwrap());

        assert_eq!(wanted.distance(&offered), distance, "{wanted} offered {offered}");
    }

    #[test]
    fn a_machine_runs_its_own_and_its_elders_images() {
        check("linux/x86_64", "linux/amd64", Some(0));
        check("linux/aarch64", "linux/arm64/v8", Some(0));
        check("linux/arm/v7", "linux/arm/v6", Some(1));
        check("linux/arm/v6", "linux/arm/v7", None);
        check("linux/amd64", "linux/amd64/v3", None);
        check("linux/amd64", "linux/arm64", None);
        check("linux/amd64", "windows/amd64", None);
    }

    #[test]
    fn texts_of_another_form_are_refused() {
        for text in ["", "a/b/c/d", "linux/", "linux/a b", "foo", "windows"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
        assert_eq!("aarch64".parse::<Platform>().unwrap().to_string(), "linux/arm64");
    }
}
