//! How far pulling and pushing is, in Docker's words.

use std::fmt::Debug;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::json;

/// One line about a piece of work, as Docker's clients show it. A later line about the same `id` replaces the earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressLine {
    /// What it is about: a layer's first 12 digits, a tag.
    pub id: Option<String>,
    /// What is being done, or was.
    pub status: String,
    /// The bytes that are done, and those there are in all.
    pub bytes: Option<(u64, u64)>,
}

impl ProgressLine {
    /// A line about something.
    pub fn about(id: impl Into<String>, status: impl Into<String>) -> Self {
        Self { id: Some(id.into()), status: status.into(), bytes: None }
    }

    /// A line about the whole.
    pub fn whole(status: impl Into<String>) -> Self {
        Self { id: None, status: status.into(), bytes: None }
    }

    /// The same with its bytes.
    #[must_use]
    pub fn at(self, current: u64, total: u64) -> Self {
        Self { bytes: Some((current, total)), ..self }
    }
}

impl Serialize for ProgressLine {
    /// Docker's JSON line: `{"status":…,"progressDetail":{"current":…,"total":…},"id":…}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", &self.status)?;
        match (self.bytes, &self.id) {
            (Some((current, total)), _) => {
                map.serialize_entry("progressDetail", &json!({"current": current, "total": total}))?;
            }
            (None, Some(_)) => map.serialize_entry("progressDetail", &json!({}))?,
            (None, None) => {}
        }
        if let Some(id) = &self.id {
            map.serialize_entry("id", id)?;
        }
        map.end()
    }
}

/// Hears how far the work is. It is called from the work itself, a few times a second a layer: it must not wait, and
/// what it cannot pass on it drops.
pub trait Progress: Debug + Send + Sync {
    /// One line.
    fn report(&self, line: ProgressLine);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _: ProgressLine) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_docker() {
        let texts = [
            ProgressLine::about("abc", "Downloading").at(1, 2),
            ProgressLine::about("abc", "Waiting"),
            ProgressLine::whole("Digest: x"),
        ]
        .map(|line| serde_json::to_string(&line).unwrap());

        assert_eq!(texts[0], r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"abc"}"#);
        assert_eq!(texts[1], r#"{"status":"Waiting","progressDetail":{},"id":"abc"}"#);
        assert_eq!(texts[2], r#"{"status":"Digest: x"}"#);
    }
}
