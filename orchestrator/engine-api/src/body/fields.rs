//! A document whose fields are read by their names alone.
//!
//! serde also takes an array for a structure, its values for the fields in their order. To Docker's clients that is a
//! mistake, and is refused as one.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// The document, or a part of it.
#[derive(Debug)]
pub(super) struct ByName(pub(super) Value);

impl IntoDeserializer<'_, serde_json::Error> for ByName {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for ByName {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(values) => SeqDeserializer::new(values.into_iter().map(Self)).deserialize_any(visitor),
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, value)| (name, Self(value)));
                MapDeserializer::new(members).deserialize_any(visitor)
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                plain.deserialize_any(visitor)
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        if self.0.is_array() {
            return Err(Error::invalid_type(Unexpected::Seq, &visitor));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Outer {
        name: String,
        inner: Option<Inner>,
        all: Vec<Inner>,
        size: Option<[u16; 2]>,
        kind: Kind,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner {
        number: i64,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        #[default]
        One,
        Other,
    }

    fn read(value: Value) -> Result<Outer, String> {
        Outer::deserialize(ByName(value)).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_read_by_name() {
        let document = json!({
            "name": "a", "inner": {"number": 7}, "all": [{"number": -1}, {}], "size": [1, 2], "kind": "other", "x": [1]
        });

        let outer = read(document).unwrap();

        let all = vec![Inner { number: -1 }, Inner::default()];
        let (inner, size) = (Some(Inner { number: 7 }), Some([1, 2]));
        assert_eq!(outer, Outer { name: "a".to_owned(), inner, all, size, kind: Kind::Other });
        assert_eq!(read(json!({"inner": null})), Ok(Outer::default()));
    }

    #[test]
    fn no_array_is_taken_for_fields_at_any_depth() {
        for document in [json!(["a"]), json!({"inner": []}), json!({"inner": [7]}), json!({"all": [[7]]})] {
            let refusal = read(document.clone()).unwrap_err();
            assert!(refusal.starts_with("invalid type: sequence, expected struct "), "{document}: {refusal}");
        }
        for document in [json!({"size": [1, 2, 3]}), json!({"size": [70_000, 1]}), json!({"kind": "third"})] {
            assert!(read(document.clone()).is_err(), "{document}");
        }
    }
}
