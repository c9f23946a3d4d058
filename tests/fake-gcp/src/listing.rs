//! Lists: filters in both of Google's languages, and pages.

use serde_json::{Value, json};

use crate::answer::Refusal;

/// A filter that the fake understands. It refuses what it does not.
#[derive(Debug)]
pub(crate) enum Filter {
    /// Everything.
    All,
    /// `labels.KEY=VALUE`.
    Label(String, String),
    /// `labels.KEY:*`.
    HasLabel(String),
    /// `name=VALUE`.
    Name(String),
    /// `name eq VALUE.*`, a regular expression that must match all of the name.
    NameBegins(String),
}

impl Filter {
    pub(crate) fn read(text: Option<&str>) -> Result<Self, Refusal> {
        let Some(text) = text else { return Ok(Self::All) };
        let wrong =
            || Refusal::invalid(format!("Invalid value for field 'filter': '{text}'. Invalid list filter expression."));
        if let Some(expression) = text.strip_prefix("name eq ") {
            let expression = expression.trim_matches(|quote| quote == '"' || quote == '\'');
            let literal = expression.strip_suffix(".*").unwrap_or(expression);
            if !literal.chars().all(|character| character.is_ascii_alphanumeric() || character == '-') {
                return Err(wrong());
            }
            let is_open = literal.len() < expression.len();
            return Ok(if is_open { Self::NameBegins(literal.to_owned()) } else { Self::Name(literal.to_owned()) });
        }
        if let Some(key) = text.strip_suffix(":*").and_then(|text| text.strip_prefix("labels.")) {
            return Ok(Self::HasLabel(key.to_owned()));
        }
        let (field, value) = text.split_once('=').ok_or_else(wrong)?;
        let value = value.trim().trim_matches('"').to_owned();
        match field.trim() {
            "name" => Ok(Self::Name(value)),
            field => Ok(Self::Label(field.strip_prefix("labels.").ok_or_else(wrong)?.to_owned(), value)),
        }
    }

    pub(crate) fn accepts(&self, item: &Value) -> bool {
        let name = item["name"].as_str().unwrap_or_default();
        match self {
            Self::All => true,
            Self::Label(key, value) => item["labels"][key].as_str() == Some(value),
            Self::HasLabel(key) => item["labels"][key].is_string(),
            Self::Name(wanted) => name == wanted,
            Self::NameBegins(literal) => name.starts_with(literal),
        }
    }
}

/// A page of a list, and the token of the next.
pub(crate) fn page(
    items: Vec<Value>,
    token: Option<&str>,
    most: usize,
) -> Result<(Vec<Value>, Option<String>), Refusal> {
    let from = match token {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| Refusal::invalid("Invalid value for field 'pageToken'"))?,
    };
    let next = from + most;
    let has_more = next < items.len();
    Ok((items.into_iter().skip(from).take(most).collect(), has_more.then(|| next.to_string())))
}

/// A list as its method answers it.
pub(crate) fn list(kind: &str, items: Vec<Value>, token: Option<&str>, most: usize) -> Result<Value, Refusal> {
    let (items, next) = page(items, token, most)?;
    let mut answer = json!({ "kind": kind, "id": "list", "items": items });
    if let Some(next) = next {
        answer["nextPageToken"] = json!(next);
    }
    Ok(answer)
}
