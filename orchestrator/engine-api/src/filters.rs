//! The `filters` of a list: JSON in either of Docker's two shapes, and how their values match.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::error::ApiError;
use crate::moment;
use crate::query::Query;

/// Filters by key. No key, or a key without values, lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    /// Reads `{"label":{"a=b":true}}` (of today's clients) and `{"label":["a=b"]}` (of old ones and SDKs).
    ///
    /// # Errors
    /// It is neither, or a key is not among those accepted; in Docker's words.
    pub(crate) fn read(query: &Query, accepted: &[&str]) -> Result<Self, ApiError> {
        let text = query.text("filters");
        if text.is_empty() {
            return Ok(Self::default());
        }
        let malformed = || ApiError::invalid("invalid filter");
        let shapes: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|_| malformed())?;
        let mut filters = BTreeMap::new();
        for (key, shape) in shapes {
            if !accepted.contains(&key.as_str()) {
                return Err(ApiError::invalid(format!("invalid filter '{key}'")));
            }
            filters.insert(key, values(shape).ok_or_else(malformed)?);
        }
        Ok(Self(filters))
    }

    /// Adds a value that a client gave by other means.
    pub(crate) fn add(&mut self, key: &str, value: &str) {
        self.0.entry(key.to_owned()).or_default().insert(value.to_owned());
    }

    /// A key whose only value says yes or no; `None` where it is absent.
    ///
    /// # Errors
    /// It says neither or both, in Docker's words.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, ApiError> {
        let values: Vec<_> = self.values(key).collect();
        match values[..] {
            [] => Ok(None),
            ["1" | "true"] => Ok(Some(true)),
            ["0" | "false"] => Ok(Some(false)),
            _ => Err(ApiError::invalid(format!("invalid filter '{key}=[{}]'", values.join(" ")))),
        }
    }

    /// The values of a key.
    pub(crate) fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Whether a text is one of the values.
    pub(crate) fn admits(&self, key: &str, text: &str) -> bool {
        self.is_open(key) || self.values(key).any(|value| value == text)
    }

    /// Whether a text begins with one of the values.
    pub(crate) fn admits_prefix(&self, key: &str, text: &str) -> bool {
        self.is_open(key) || self.values(key).any(|value| text.starts_with(value))
    }

    /// Whether labels have all that is asked for: `key`, or `key=value`.
    pub(crate) fn admits_labels(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        self.values(key).all(|wanted| {
            let (name, value) = wanted.split_once('=').unwrap_or((wanted, ""));
            labels.get(name).is_some_and(|label| value.is_empty() || label == value)
        })
    }

    /// The labels that a key asks for, each with its value where one is given.
    pub(crate) fn labels(&self, key: &str) -> Vec<(String, Option<String>)> {
        let label = |text: &str| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text.to_owned(), None),
        };
        self.values(key).map(label).collect()
    }

    /// The moment that `until` names, of which there can be one.
    ///
    /// # Errors
    /// There are several, or it is none.
    pub(crate) fn until(&self, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        let values: Vec<_> = self.values("until").collect();
        match values[..] {
            [] => Ok(None),
            [text] => moment::parse(text, now),
            [_, _, ..] => Err(ApiError::invalid("more than one until filter specified")),
        }
    }

    /// Whether no value of a key is asked for.
    pub(crate) fn is_open(&self, key: &str) -> bool {
        self.values(key).next().is_none()
    }
}

fn values(shape: Value) -> Option<BTreeSet<String>> {
    match shape {
        Value::Null => Some(BTreeSet::new()),
        Value::Object(flags) => {
            let is_flag = |flag: &Value| flag.is_boolean() || flag.is_null();
            flags.values().all(is_flag).then(|| flags.into_iter().map(|(value, _)| value).collect())
        }
        Value::Array(values) => {
            values.into_iter().map(|value| if let Value::String(text) = value { Some(text) } else { None }).collect()
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Filters, String> {
        let query = Query::parse(&format!("filters={text}"));
        Filters::read(&query, &["id", "label"]).map_err(|error| error.message)
    }

    proptest::proptest! {
        #[test]
        fn no_query_makes_it_panic(text in "[-%=&+{}\\[\\]\":,a-f0-9]{0,40}|\\PC{0,40}") {
            let _ = Filters::read(&Query::parse(&text), &["a"]);
            let _ = read(&text);
        }
    }

    #[test]
    fn both_shapes_are_read() {
        let expected = Filters(BTreeMap::from([("label".to_owned(), BTreeSet::from(["a=b".to_owned()]))]));

        assert_eq!(read(r#"{"label":{"a=b":true}}"#), Ok(expected.clone()));
        assert_eq!(read(r#"{"label":["a=b"]}"#), Ok(expected));
        assert_eq!(read(""), Ok(Filters::default()));
        assert_eq!(read("{}"), Ok(Filters::default()));
        assert!(read(r#"{"label":null}"#).unwrap().admits("label", "anything"));
    }

    #[test]
    fn unknown_keys_and_other_shapes_are_refused() {
        assert_eq!(read(r#"{"color":["red"]}"#).unwrap_err(), "invalid filter 'color'");
        for text in ["x", "[]", "1", r#"{"label":"a"}"#, r#"{"label":[1]}"#, r#"{"label":{"a":1}}"#] {
            assert_eq!(read(text).unwrap_err(), "invalid filter", "{text}");
        }
    }

    #[test]
    fn yes_and_no_are_read_as_docker_reads_them() {
        let check = |text: &str, expected: Result<Option<bool>, &str>| {
            let found = read(text).unwrap().boolean("label").map_err(|error| error.message);
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        };
        check("{}", Ok(None));
        check(r#"{"label":["true"]}"#, Ok(Some(true)));
        check(r#"{"label":{"0":true}}"#, Ok(Some(false)));
        check(r#"{"label":["0","1"]}"#, Err("invalid filter 'label=[0 1]'"));
        check(r#"{"label":["maybe"]}"#, Err("invalid filter 'label=[maybe]'"));
    }

    #[test]
    fn a_prefix_is_enough_where_docker_says_so() {
        let filters = read(r#"{"id":["ab","xy"]}"#).unwrap();

        assert!(filters.admits_prefix("id", "abc") && filters.admits_prefix("id", "xyz"));
        assert!(!filters.admits_prefix("id", "a") && !filters.admits("id", "abc"));
        assert!(filters.admits_prefix("label", "anything"));
    }

    #[test]
    fn every_label_asked_for_must_be_there() {
        let labels = BTreeMap::from([("disk".to_owned(), "ssd".to_owned()), ("zone".to_owned(), "a".to_owned())]);
        let check = |text: &str, expected: bool| {
            assert_eq!(read(text).unwrap().admits_labels("label", &labels), expected, "{text}");
        };
        check(r#"{"label":["disk"]}"#, true);
        check(r#"{"label":["disk="]}"#, true);
        check(r#"{"label":["disk=ssd","zone=a"]}"#, true);
        check(r#"{"label":["disk=ssd","zone=b"]}"#, false);
        check(r#"{"label":["rack"]}"#, false);
        check("{}", true);
    }
}
