//! A driver's options, declared once: flags, file keys, environment variables, validation and docs come from this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One option of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionSpec {
    /// Its name: the flag without dashes and the key in the file (`subnet`).
    pub name: &'static str,
    /// Its environment variable.
    pub env: Option<&'static str>,
    /// What the value is called in help (`CIDR`).
    pub value_name: &'static str,
    /// The value where none is given.
    pub default: Option<&'static str>,
    /// Whether the option may be given several times.
    pub is_repeated: bool,
    /// One sentence for help.
    pub help: &'static str,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OptionValue {
    /// Of an option given once.
    One(String),
    /// Of an option that may be given several times.
    Many(Vec<String>),
}

/// The options given, by name. Names that a driver does not declare never get here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Options(pub BTreeMap<String, OptionValue>);

impl Options {
    /// The value of an option given once.
    pub fn one(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            OptionValue::One(value) => Some(value),
            OptionValue::Many(values) => values.first().map(String::as_str),
        }
    }

    /// All values of an option.
    pub fn many(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            None => Vec::new(),
            Some(OptionValue::One(value)) => vec![value],
            Some(OptionValue::Many(values)) => values.iter().map(String::as_str).collect(),
        }
    }
}
