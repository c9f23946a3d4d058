//! Shapes of bodies: what a field may be, and that there are no others.

use serde_json::Value;

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A text.
    Text,
    /// A text that holds an integer: how JSON of Google's carries 64 bits.
    Long,
    /// An integer.
    Integer,
    /// True or false.
    Flag,
    /// One of some texts.
    OneOf(&'static [&'static str]),
    /// A list of one shape.
    List(&'static Shape),
    /// Values of one shape by name.
    Map(&'static Shape),
    /// Named fields; absent ones are absent.
    Object(&'static [(&'static str, Shape)]),
}

impl Shape {
    /// What is wrong with a value; `path` says where it stands.
    pub(crate) fn objection(&self, value: &Value, path: &str) -> Option<String> {
        let wrong = |what: &str| Some(format!("Invalid value for field '{path}': {what}"));
        match self {
            Self::Text => (!value.is_string()).then(|| wrong("not a string"))?,
            Self::Long => {
                let is_long = value.as_str().is_some_and(|text| text.parse::<i64>().is_ok());
                (!is_long).then(|| wrong("not a 64-bit integer as a string"))?
            }
            Self::Integer => (!value.is_i64() && !value.is_u64()).then(|| wrong("not an integer"))?,
            Self::Flag => (!value.is_boolean()).then(|| wrong("not a boolean"))?,
            Self::OneOf(allowed) => {
                let is_one = value.as_str().is_some_and(|text| allowed.contains(&text));
                (!is_one).then(|| wrong("not one of the values allowed"))?
            }
            Self::List(of) => match value.as_array() {
                None => wrong("not a list"),
                Some(items) => {
                    items.iter().enumerate().find_map(|(index, item)| of.objection(item, &format!("{path}[{index}]")))
                }
            },
            Self::Map(of) => match value.as_object() {
                None => wrong("not an object"),
                Some(fields) => fields.iter().find_map(|(name, item)| of.objection(item, &format!("{path}.{name}"))),
            },
            Self::Object(known) => match value.as_object() {
                None => wrong("not an object"),
                Some(fields) => fields.iter().find_map(|(name, item)| {
                    let Some((_, shape)) = known.iter().find(|(field, _)| field == name) else {
                        return Some(format!(
                            "Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field."
                        ));
                    };
                    shape.objection(item, &format!("{path}.{name}"))
                }),
            },
        }
    }
}
