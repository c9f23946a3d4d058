//! What was asked and how it was answered.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Logged {
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The headers, lower-case; secrets are not kept.
    pub headers: BTreeMap<String, String>,
    /// The body, where it was JSON.
    pub body: Option<Value>,
    /// The status of the answer; 0 where nothing was done and nothing answered.
    pub status: u16,
    /// When it was answered, in seconds since 1970.
    pub at: f64,
    /// The bucket of calls that it took from.
    pub bucket: &'static str,
    /// What kind of request it was, as [`Fault::kind`](crate::Fault::kind) names kinds.
    pub kind: String,
}

impl Logged {
    /// Whether it went to Azure Resource Manager rather than to the authority, a storage account or the metadata service.
    pub fn is_resource_manager(&self) -> bool {
        !matches!(self.kind.as_str(), "token" | "blob" | "metadata")
    }
}

/// The log: in memory, and in a file where one is named.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: Vec<Logged>,
    file: Option<File>,
}

impl Log {
    pub(crate) fn open(file: Option<&Path>) -> std::io::Result<Self> {
        Ok(Self { entries: Vec::new(), file: file.map(File::create).transpose()? })
    }

    pub(crate) fn add(&mut self, entry: Logged) {
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(&entry).expect("a request is JSON");
            // A log that cannot be written shows when it is judged: it is empty.
            let _ = writeln!(file, "{line}");
        }
        self.entries.push(entry);
    }

    pub(crate) fn entries(&self) -> Vec<Logged> {
        self.entries.clone()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
